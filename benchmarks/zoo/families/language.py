"""Networks of transformers, narrow and shallow."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from benchmarks.zoo.network import Problem, classes, images, network, prepared

source = "transformers"
SMALL = {"hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2,
         "intermediate_size": 6, "vocab_size": 7, "max_position_embeddings": 8}  # fmt: skip


class InDouble(TorchFunctionMode):
    """Float32 means float64: the library's norms, softmaxes and routers go to float32 by name,
    and no number after that is right to more than seven digits."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is Tensor.float:
            func = Tensor.double
        args = tuple(torch.float64 if a is torch.float32 else a for a in args)
        named = {k: torch.float64 if a is torch.float32 else a for k, a in (kwargs or {}).items()}
        return func(*args, **named)


class Double(nn.Module):
    """A network that computes in float64 throughout."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def __call__(self, *given: Any) -> Any:
        with InDouble():
            return super().__call__(*given)


class Logits(Double):
    """The logits of a network of transformers; of each word with the classes second."""

    def forward(self, x: Tensor) -> Tensor:
        f: Tensor = self.model(x).logits
        return f.transpose(1, 2) if f.ndim == 3 else f


class Flat(Logits):
    """The logits of all words of all texts in one axis, as the library's own loss has them."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).transpose(1, 2).flatten(0, 1)


def of_words(model: nn.Module, count: int = 2, length: int = 3, words: int = 7) -> Problem:
    """A language model with labels for all words."""
    data = classes(count, words, length), classes(count, words, length)
    return Problem(prepared(Logits(model)), data, nn.CrossEntropyLoss())


@network("BERT", "a classifier of texts", source=source)
def bert() -> Problem:
    from transformers import BertConfig, BertForSequenceClassification

    model = BertForSequenceClassification(BertConfig(**SMALL, num_labels=4))
    return Problem(prepared(Logits(model)), (classes(3, 7, 4), classes()), nn.CrossEntropyLoss())


@network("BERT, its own output", "a ModelOutput", source=source,
         refused=r"SequenceClassifierOutput")  # fmt: skip
def bert_output() -> Problem:
    from transformers import BertConfig, BertForSequenceClassification

    model = BertForSequenceClassification(BertConfig(**SMALL, num_labels=4))
    return Problem(prepared(model), (classes(3, 7, 4), classes()), nn.CrossEntropyLoss())


@network("masked BERT", "the decoder has the embedding's weight", source=source,
         refused=r"'model\.cls\.predictions\.decoder(\.\w+)?'|word_embeddings")  # fmt: skip
def masked_bert() -> Problem:
    from transformers import BertConfig, BertForMaskedLM

    return of_words(BertForMaskedLM(BertConfig(**SMALL)))


@network("GPT-2", "the head has the embedding's weight", source=source,
         refused=r"'model\.lm_head(\.weight)?'|wte")  # fmt: skip
def gpt2() -> Problem:
    from transformers import GPT2Config, GPT2LMHeadModel

    settings = GPT2Config(vocab_size=7, n_positions=8, n_embd=4, n_layer=1, n_head=2)
    return of_words(GPT2LMHeadModel(settings))


def llama_settings(**more: Any) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(**SMALL, num_key_value_heads=1, tie_word_embeddings=False, **more)


@network("Llama", "gated feed-forward, shared keys, rotations", source=source)
def llama() -> Problem:
    from transformers import LlamaForCausalLM

    return of_words(LlamaForCausalLM(llama_settings()))


@network("Llama, flat", "logits of all words in one axis", source=source)
def flat_llama() -> Problem:
    from transformers import LlamaForCausalLM

    data = classes(2, 7, 3), classes(6, 7)
    model = prepared(Flat(LlamaForCausalLM(llama_settings())))
    return Problem(model, data, nn.CrossEntropyLoss(), examples=2)


@network("Llama, checkpointed", "gradient checkpointing as the library switches it on",
         source=source)  # fmt: skip
def checkpointed_llama() -> Problem:
    from transformers import LlamaForCausalLM
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    inner, same = (LlamaForCausalLM(llama_settings()) for _ in range(2))
    for model in (inner, same):  # in float64 also when they run again, in the backward pass
        for part in (*model.model.layers, model.model):
            for name, module in part.named_children():
                if isinstance(module, LlamaRMSNorm):
                    setattr(part, name, nn.RMSNorm(4, eps=module.variance_epsilon))
    made, twin = of_words(inner), prepared(Logits(same))
    twin.load_state_dict(made.model.state_dict())
    inner.gradient_checkpointing_enable()
    inner.train()
    return Problem(made.model, made.data, made.loss, twin=twin)


@network("Mixtral", "experts as stacked parameters, left out", source=source)
def mixtral() -> Problem:
    from transformers import MixtralConfig, MixtralForCausalLM

    settings = MixtralConfig(**SMALL, num_key_value_heads=1, num_local_experts=2,
                             num_experts_per_tok=1, tie_word_embeddings=False,
                             experts_implementation="eager")  # fmt: skip
    return of_words(MixtralForCausalLM(settings))


@network("Switch transformer", "experts as modules that see some of the words", source=source)
def switch() -> Problem:
    from transformers import SwitchTransformersConfig, SwitchTransformersEncoderModel

    settings = SwitchTransformersConfig(
        vocab_size=7, d_model=4, d_kv=2, d_ff=6, num_layers=1, num_heads=2, num_experts=2,
        num_sparse_encoder_layers=1, num_decoder_layers=1, num_sparse_decoder_layers=0,
        expert_capacity=8, router_jitter_noise=0.0,
    )  # fmt: skip
    model = SwitchTransformersEncoderModel(settings)

    class Classifier(Double):
        def __init__(self, model: nn.Module) -> None:
            super().__init__(model)
            self.head = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.model(x).last_hidden_state.mean(1))

    data = classes(3, 7, 4), classes()
    return Problem(prepared(Classifier(model)), data, nn.CrossEntropyLoss())


@network("T5", "encoder and decoder, one embedding for both", source=source,
         refused=r"'model\.lm_head(\.weight)?'|shared")  # fmt: skip
def t5() -> Problem:
    from transformers import T5Config, T5ForConditionalGeneration

    class Both(Logits):
        def forward(self, x: Tensor) -> Tensor:
            f: Tensor = self.model(input_ids=x[:, 0], decoder_input_ids=x[:, 1]).logits
            return f.transpose(1, 2)

    settings = T5Config(vocab_size=7, d_model=4, d_kv=2, d_ff=6, num_layers=1, num_heads=2)
    model = prepared(Both(T5ForConditionalGeneration(settings)))
    return Problem(model, (classes(2, 7, 2, 3), classes(2, 7, 3)), nn.CrossEntropyLoss())


@network("ALBERT", "one block that is called for each layer", source=source,
         refused=r"is called (more than once|\w+ times)")  # fmt: skip
def albert() -> Problem:
    from transformers import AlbertConfig, AlbertForSequenceClassification

    settings = AlbertConfig(**{**SMALL, "num_hidden_layers": 2}, embedding_size=4,
                            num_labels=4)  # fmt: skip
    model = prepared(Logits(AlbertForSequenceClassification(settings)))
    return Problem(model, (classes(3, 7, 4), classes()), nn.CrossEntropyLoss())


@network("XLNet", "layers see [t, b, c]", source=source)
def xlnet() -> Problem:
    from transformers import XLNetConfig, XLNetForSequenceClassification

    settings = XLNetConfig(vocab_size=7, d_model=4, n_layer=1, n_head=2, d_inner=6, num_labels=4)
    model = prepared(Logits(XLNetForSequenceClassification(settings)))
    return Problem(model, (classes(3, 7, 4), classes()), nn.CrossEntropyLoss())


@network("ViT of transformers", "separate queries, keys and values", source=source)
def vit() -> Problem:
    from transformers import ViTConfig, ViTForImageClassification

    small = {k: v for k, v in SMALL.items() if k not in ("vocab_size", "max_position_embeddings")}
    settings = ViTConfig(**small, image_size=8, patch_size=4, num_labels=4)
    model = prepared(Logits(ViTForImageClassification(settings)))
    return Problem(model, (images(3), classes()), nn.CrossEntropyLoss())


@network("Swin of transformers", "windows folded into the batch", source=source)
def swin() -> Problem:
    from transformers import SwinConfig, SwinForImageClassification

    settings = SwinConfig(image_size=8, patch_size=2, embed_dim=4, depths=[2], num_heads=[2],
                          window_size=2, mlp_ratio=1, num_labels=4)  # fmt: skip
    model = prepared(Logits(SwinForImageClassification(settings)))
    return Problem(model, (images(2), classes(2)), nn.CrossEntropyLoss())


@network("Wav2Vec2", "weight norm of a convolution of positions", source=source)
def wav2vec2() -> Problem:
    from transformers import Wav2Vec2Config, Wav2Vec2ForSequenceClassification

    settings = Wav2Vec2Config(
        **SMALL, conv_dim=(3, 4), conv_kernel=(3, 2), conv_stride=(2, 2), num_labels=4,
        num_conv_pos_embeddings=3, num_conv_pos_embedding_groups=2, classifier_proj_size=5,
        num_feat_extract_layers=2, feat_extract_norm="layer", do_stable_layer_norm=True,
    )  # fmt: skip
    model = prepared(Logits(Wav2Vec2ForSequenceClassification(settings)))
    x = torch.randn(3, 24, dtype=torch.float64)
    return Problem(model, (x, classes()), nn.CrossEntropyLoss())


@network("SegFormer", "sequences reduced by convolutions, a head of all stages", source=source)
def segformer() -> Problem:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    settings = SegformerConfig(
        num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[4, 6],
        patch_sizes=[3, 3], strides=[2, 2], num_attention_heads=[1, 2], mlp_ratios=[1, 1],
        decoder_hidden_size=4, num_labels=3,
    )  # fmt: skip

    class Pixels(Logits):
        def forward(self, x: Tensor) -> Tensor:
            f: Tensor = self.model(x).logits
            return f

    model = prepared(Pixels(SegformerForSemanticSegmentation(settings)))
    return Problem(model, (images(2), classes(2, 3, 4, 4)), nn.CrossEntropyLoss())


@network("DETR", "queries that look at an image; logits and boxes as one", source=source)
def detr() -> Problem:
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

    backbone = ResNetConfig(num_channels=3, embedding_size=4, hidden_sizes=[4, 6], depths=[1, 1],
                            layer_type="basic", out_features=["stage2"])  # fmt: skip
    settings = DetrConfig(
        use_timm_backbone=False, use_pretrained_backbone=False, backbone=None,
        backbone_config=backbone, d_model=4, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=6,
        decoder_ffn_dim=6, num_queries=2, num_labels=2,
    )  # fmt: skip

    class Joined(Logits):
        def forward(self, x: Tensor) -> Tensor:
            found = self.model(x)
            return torch.cat([found.logits, found.pred_boxes], 2)

    model = prepared(Joined(DetrForObjectDetection(settings)))
    y = torch.randn(2, 2, 7, dtype=torch.float64)
    return Problem(model, (images(2, 3, 16, 16), y), nn.MSELoss())


@network("CLIP", "every image is compared with every text", source=source,
         refused=r"depend on each other|'model\.\S*(vision|text|visual)\S*'")  # fmt: skip
def clip() -> Problem:
    from transformers import CLIPConfig, CLIPModel

    text = {**SMALL, "eos_token_id": 6, "bos_token_id": 5, "pad_token_id": 0}
    vision = {k: v for k, v in SMALL.items() if k not in ("vocab_size", "max_position_embeddings")}
    settings = CLIPConfig(text_config=text, projection_dim=3,
                          vision_config={**vision, "image_size": 8, "patch_size": 4})  # fmt: skip

    class Pairs(Logits):
        def forward(self, x: Any) -> Tensor:
            f: Tensor = self.model(pixel_values=x["pixels"], input_ids=x["words"]).logits_per_image
            return f

    x = {"pixels": images(3), "words": classes(3, 5, 4)}
    model = prepared(Pairs(CLIPModel(settings)))
    return Problem(model, (x, torch.arange(3)), nn.CrossEntropyLoss())


@network("Mamba", "a convolution whose weight a function takes", source=source,
         refused=r"mixer\.conv1d'.*not called")  # fmt: skip
def mamba() -> Problem:
    from transformers import MambaConfig, MambaForCausalLM

    settings = MambaConfig(vocab_size=7, hidden_size=4, state_size=2, num_hidden_layers=1,
                           conv_kernel=2, tie_word_embeddings=False)  # fmt: skip
    return of_words(MambaForCausalLM(settings))
