"""Networks of torchvision, narrow and shallow."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from benchmarks.zoo.network import (
    Problem,
    classes,
    images,
    network,
    prepared,
)

source = "torchvision"


def classifier(model: nn.Module, count: int = 2, *size: int, **more: Any) -> Problem:
    """Images of three channels, four classes."""
    data = images(count, 3, *(size or (8, 8))), classes(count)
    return Problem(prepared(model), data, nn.CrossEntropyLoss(), **more)


@network("ResNet", "BasicBlock, activations in place", source=source, light=True)
def resnet() -> Problem:
    from torchvision.models.resnet import BasicBlock, conv1x1

    def stage(into: int, out: int, stride: int) -> nn.Module:
        down = nn.Sequential(conv1x1(into, out, stride), nn.BatchNorm2d(out))
        return nn.Sequential(BasicBlock(into, out, stride, down), BasicBlock(out, out))

    return classifier(nn.Sequential(
        nn.Conv2d(3, 4, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(4),
        nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1), stage(4, 4, 1), stage(4, 6, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4),
    ), 3)  # fmt: skip


@network("ResNeXt", "Bottleneck with groups", source=source)
def resnext() -> Problem:
    from torchvision.models.resnet import Bottleneck, conv1x1

    down = nn.Sequential(conv1x1(4, 8), nn.BatchNorm2d(8))
    return classifier(nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), Bottleneck(4, 2, 1, down, groups=2, base_width=64),
        Bottleneck(8, 2, groups=2, base_width=64), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, 4),
    ), 3)  # fmt: skip


@network("MobileNetV2", "depthwise layers", source=source)
def mobilenet_v2() -> Problem:
    from torchvision.models import MobileNetV2
    from torchvision.ops import Conv2dNormActivation

    settings = [[1, 8, 1, 1], [2, 8, 2, 2]]
    model = MobileNetV2(4, width_mult=0.1, inverted_residual_setting=settings)
    model.features[-1] = Conv2dNormActivation(8, 12, kernel_size=1, activation_layer=nn.ReLU6)
    model.classifier = nn.Linear(12, 4)
    return classifier(model)


@network("MobileNetV3", "squeeze and excitation, hard swish", source=source)
def mobilenet_v3() -> Problem:
    from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3

    one = partial(InvertedResidualConfig, width_mult=0.25)
    settings = [one(16, 3, 16, 16, True, "RE", 2, 1), one(16, 5, 32, 32, True, "HS", 2, 1)]
    return classifier(MobileNetV3(settings, last_channel=10, num_classes=4))


@network("EfficientNet", "MBConv, stochastic depth", source=source)
def efficientnet() -> Problem:
    from torchvision.models.efficientnet import EfficientNet, FusedMBConvConfig, MBConvConfig

    settings = [FusedMBConvConfig(2, 3, 1, 8, 8, 1), MBConvConfig(2, 3, 2, 8, 8, 2)]
    return classifier(EfficientNet(settings, dropout=0.1, num_classes=4, last_channel=12))


@network("ConvNeXt", "depthwise 7×7, linear layers with channels last", source=source)
def convnext() -> Problem:
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    settings = [CNBlockConfig(4, 6, 1), CNBlockConfig(6, None, 1)]
    return classifier(ConvNeXt(settings, num_classes=4))


@network("DenseNet", "concatenated features", source=source)
def densenet() -> Problem:
    from torchvision.models import DenseNet

    return classifier(DenseNet(2, (2, 2), 4, bn_size=2, num_classes=4), 2, 16, 16)


@network("ShuffleNetV2", "split and shuffled channels", source=source)
def shufflenet() -> Problem:
    from torchvision.models import ShuffleNetV2

    return classifier(ShuffleNetV2([2, 1, 1], [8, 8, 8, 8, 12], 4))


@network("RegNet", "groups, squeeze and excitation", source=source)
def regnet() -> Problem:
    from torchvision.models.regnet import BlockParams, RegNet

    settings = BlockParams([1, 1], [8, 8], [4, 4], [1.0, 1.0], [2, 2], se_ratio=0.25)
    return classifier(RegNet(settings, 4, stem_width=4))


@network("Inception block", "branches of several kernels", source=source)
def inception() -> Problem:
    from torchvision.models.googlenet import Inception

    return classifier(nn.Sequential(Inception(3, 2, 3, 4, 2, 3, 2), nn.AdaptiveAvgPool2d(1),
                                    nn.Flatten(), nn.Linear(11, 4)))  # fmt: skip


@network("Swin", "shifted windows folded into the batch", source=source,
         refused=r"'features\.\d\.\d\.attn\.(qkv|proj)'")  # fmt: skip
def swin() -> Problem:
    from torchvision.models import SwinTransformer

    return classifier(SwinTransformer([2, 2], 4, [2, 2], [1, 2], [2, 2], num_classes=4))


@network("Swin V2", "a network of relative positions without a batch axis", source=source,
         refused=r"'features\.\d\.\d\.attn\.(qkv|proj|cpb_mlp\.\d)'")  # fmt: skip
def swin_v2() -> Problem:
    from torchvision.models import swin_transformer as parts

    return classifier(parts.SwinTransformer(
        [2, 2], 4, [2], [2], [2, 2], num_classes=4, block=parts.SwinTransformerBlockV2,
        downsample_layer=parts.PatchMergingV2,
    ))  # fmt: skip


@network("ViT", "multi-head attention of torch", source=source, refused=r"out_proj'")
def vit() -> Problem:
    from torchvision.models import VisionTransformer

    return classifier(VisionTransformer(8, 4, 2, 2, 4, 6, num_classes=4))


@network("Video Swin", "windows of a video folded into the batch", source=source,
         refused=r"'features\.\d\.\d\.attn\.(qkv|proj)'")  # fmt: skip
def video_swin() -> Problem:
    from torchvision.models.video.swin_transformer import SwinTransformer3d

    model = SwinTransformer3d([2, 2, 2], 4, [2], [2], [2, 2, 2], num_classes=4)
    return classifier(model, 2, 4, 8, 8)


@network("video ResNet", "convolutions of space and of time", source=source)
def video_resnet() -> Problem:
    from torchvision.models.video.resnet import BasicBlock, Conv2Plus1D

    return classifier(nn.Sequential(
        nn.Conv3d(3, 4, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1), bias=False),
        BasicBlock(4, 4, Conv2Plus1D), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 4),
    ), 2, 3, 8, 8)  # fmt: skip


class Backbone(nn.Module):
    """Features of two sizes, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        low = self.one(x).relu()
        return {"low": low, "high": self.two(low).relu(), "out": self.two(low).relu()}


class Single(Backbone):
    """Features of one size."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"out": self.two(self.one(x).relu()).relu()}


def deeplab() -> nn.Module:
    from torchvision.models.segmentation.deeplabv3 import ASPP, DeepLabV3

    head = nn.Sequential(ASPP(4, [1, 2], 4), nn.Conv2d(4, 3, 1))
    return DeepLabV3(Single(), head)


@network("DeepLabV3", "a dict of outputs", source=source, refused=r"(?i)dict|tensor")
def deeplab_dict() -> Problem:
    y = classes(2, 3, 8, 8)
    return Problem(prepared(deeplab()), (images(2), y), nn.CrossEntropyLoss(ignore_index=255))


class Out(nn.Module):
    """One entry of a dict of outputs, of the middle of the image."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.model(x)["out"][:, :, 3:5, 2:6]
        return out


@network("DeepLabV3, one output", "atrous pyramid, ignore_index", source=source)
def deeplab_out() -> Problem:
    y = classes(2, 3, 2, 4)
    y[0, 0, :3] = 255
    return Problem(prepared(Out(deeplab())), (images(2), y), nn.CrossEntropyLoss(ignore_index=255))


@network("RetinaNet head", "one head for the maps of a pyramid", source=source,
         refused=r"is called (more than once|\w+ times)")  # fmt: skip
def retinanet_head() -> Problem:
    from torchvision.models.detection.retinanet import RetinaNetClassificationHead

    class Head(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = Backbone()
            self.head = RetinaNetClassificationHead(4, 1, 2, norm_layer=nn.BatchNorm2d)
            self.head.conv = self.head.conv[:1]

        def forward(self, x: Tensor) -> Tensor:
            low = self.backbone.one(x).relu()
            return self.head([low, self.backbone.two(low).relu()]).transpose(1, 2)

    y = classes(2, 2, 20)
    return Problem(prepared(Head()), (images(2), y), nn.CrossEntropyLoss())
