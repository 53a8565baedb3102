"""Networks of timm, narrow and shallow."""

from __future__ import annotations

from typing import Any

from torch import nn

from benchmarks.zoo.network import (
    Problem,
    classes,
    images,
    network,
    prepared,
)

source = "timm"


def classifier(model: nn.Module, count: int = 2, *size: int, **more: Any) -> Problem:
    """Images of three channels, four classes."""
    data = images(count, 3, *(size or (8, 8))), classes(count)
    return Problem(prepared(model), data, nn.CrossEntropyLoss(), **more)


@network("ViT of timm", "one linear layer for queries, keys and values", source=source)
def vit() -> Problem:
    from timm.models.vision_transformer import VisionTransformer

    return classifier(VisionTransformer(8, 4, num_classes=4, embed_dim=4, depth=2, num_heads=2,
                                        mlp_ratio=2), 3)  # fmt: skip


@network("Swin of timm", "shifted windows folded into the batch", source=source)
def swin() -> Problem:
    from timm.models.swin_transformer import SwinTransformer

    return classifier(SwinTransformer(8, 2, num_classes=4, embed_dim=4, depths=(2,), num_heads=(2,),
                                      window_size=2, mlp_ratio=2))  # fmt: skip


@network("Swin V2 of timm", "windows, and a network of relative positions", source=source,
         refused=r"'layers\.\d\.blocks\.\d\.attn\.(qkv|proj|cpb_mlp\.\d)'")  # fmt: skip
def swin_v2() -> Problem:
    from timm.models.swin_transformer_v2 import SwinTransformerV2

    return classifier(SwinTransformerV2(8, 2, num_classes=4, embed_dim=4, depths=(2,),
                                        num_heads=(2,), window_size=2, mlp_ratio=2))  # fmt: skip


@network("MLP-Mixer", "linear layers over tokens", source=source)
def mixer() -> Problem:
    from timm.models.mlp_mixer import MlpMixer

    return classifier(MlpMixer(num_classes=4, img_size=8, patch_size=4, num_blocks=2,
                               embed_dim=6))  # fmt: skip


@network("ConvMixer", "depthwise layers with residuals", source=source)
def convmixer() -> Problem:
    from timm.models.convmixer import ConvMixer

    return classifier(ConvMixer(6, 2, kernel_size=3, patch_size=2, num_classes=4), 3)


@network("ResNet of timm", "average pools, anti-aliasing", source=source)
def resnet() -> Problem:
    from timm.models.resnet import Bottleneck, ResNet

    return classifier(ResNet(Bottleneck, (1, 1, 1, 1), num_classes=4, channels=(4, 4, 4, 4),
                             stem_width=4, stem_type="deep", avg_down=True), 2, 16, 16)  # fmt: skip


@network("NFNet", "weights that are standardised at each call, left out", source=source)
def nfnet() -> Problem:
    from timm.models.nfnet import NfCfg, NormFreeNet

    settings = NfCfg((1, 1), (8, 8), stem_chs=4, num_features=8, group_size=4, attn_layer="se",
                     attn_kwargs={}, act_layer="silu")  # fmt: skip
    return classifier(NormFreeNet(settings, num_classes=4))


@network("PoolFormer", "pools for attention", source=source)
def poolformer() -> Problem:
    from timm.models.metaformer import MetaFormer, Pooling

    return classifier(MetaFormer(num_classes=4, depths=(1, 1), dims=(4, 6), token_mixers=Pooling),
                      2, 16, 16)  # fmt: skip


@network("BEiT", "biases of relative positions, a layer without a bias", source=source,
         refused=r"'blocks\.\d\.attn\.qkv'")  # fmt: skip
def beit() -> Problem:
    from timm.models.beit import Beit

    return classifier(Beit(8, 4, num_classes=4, embed_dim=8, depth=1, num_heads=2, mlp_ratio=2,
                           init_values=0.1))  # fmt: skip


@network("MaxViT", "windows and grids folded into the batch", source=source)
def maxvit() -> Problem:
    from timm.models.maxxvit import MaxxVit, MaxxVitCfg, MaxxVitConvCfg, MaxxVitTransformerCfg

    settings = MaxxVitCfg(
        embed_dim=(4,), depths=(1,), block_type=("M",), stem_width=4,
        conv_cfg=MaxxVitConvCfg(expand_ratio=1),
        transformer_cfg=MaxxVitTransformerCfg(dim_head=2, expand_ratio=1, window_size=(2, 2)),
    )  # fmt: skip
    return classifier(MaxxVit(settings, img_size=16, num_classes=4), 2, 16, 16)


@network("gMLP", "spatial gates", source=source)
def gmlp() -> Problem:
    from timm.layers import GatedMlp
    from timm.models.mlp_mixer import MlpMixer, SpatialGatingBlock

    return classifier(MlpMixer(num_classes=4, img_size=8, patch_size=4, num_blocks=1, embed_dim=6,
                               mlp_ratio=2, block_layer=SpatialGatingBlock,
                               mlp_layer=GatedMlp))  # fmt: skip
