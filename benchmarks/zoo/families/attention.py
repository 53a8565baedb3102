"""Attention of torch's own layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.zoo.network import Problem, classes, images, network, prepared


class Patches(nn.Module):
    """Patches of an image as tokens, a learned token of the class, a transformer of torch."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.patches, self.batch_first = nn.Conv2d(1, 4, 2, stride=2), batch_first
        self.token = nn.Parameter(torch.randn(1, 1, 4))
        block = nn.TransformerEncoderLayer(4, 2, 6, batch_first=batch_first, norm_first=True)
        self.encoder = nn.TransformerEncoder(block, 1, enable_nested_tensor=False)
        self.head = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.patches(x).flatten(2).transpose(1, 2)
        h = torch.cat([self.token.expand(len(x), -1, -1), h], 1)
        if not self.batch_first:
            h = h.transpose(0, 1)
        h = self.encoder(h)
        return self.head(h[:, 0] if self.batch_first else h[0])


def patches(batch_first: bool, **more: Any) -> Problem:
    model = prepared(Patches(batch_first))
    return Problem(model, (images(3, 1, 4, 4), classes()), nn.CrossEntropyLoss(), **more)


FEED_FORWARD = ("patches", "encoder.layers.0.linear1", "encoder.layers.0.linear2", "head")


@network("transformer encoder", "attention's output layer is no call of a module", light=True,
         refused=r"self_attn\.out_proj'")  # fmt: skip
def transformer_encoder() -> Problem:
    return patches(batch_first=True)


@network("transformer encoder, chosen layers", "without the attention's output layer", light=True)
def transformer_encoder_chosen_layers() -> Problem:
    return patches(batch_first=True, options={"layers": FEED_FORWARD})


@network("transformer encoder, time first", "torch's default: layers see [t, b, c]", light=True)
def transformer_encoder_time_first() -> Problem:
    return patches(batch_first=False, options={"layers": FEED_FORWARD})


class Heads(nn.Module):
    """Attention of linear layers."""

    def __init__(self, width: int = 4, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.kv = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        context = x if context is None else context
        q, k, v = (h.unflatten(2, (self.heads, -1)).transpose(1, 2)
                   for h in (self.q(x), *self.kv(context).chunk(2, 2)))  # fmt: skip
        return self.out(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2)
                        .flatten(2))  # fmt: skip


@network("detection transformer", "learned queries look at features; logits and boxes as one",
         light=True)  # fmt: skip
def detection_transformer() -> Problem:
    class Queries(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(inplace=True))
            self.encode, self.cross = Heads(), Heads()
            self.queries = nn.Parameter(torch.randn(1, 2, 4))
            self.logits, self.boxes = nn.Linear(4, 3), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            h = self.backbone(x).flatten(2).transpose(1, 2)
            h = h + self.encode(h)
            q = self.queries.expand(len(x), -1, -1)
            q = (q + self.cross(q, h)).tanh()
            return torch.cat([self.logits(q), self.boxes(q).sigmoid()], 2)

    x, y = images(2, 1, 5, 5), torch.randn(2, 2, 7, dtype=torch.float64)
    return Problem(prepared(Queries()), (x, y), nn.MSELoss())


@network("queries of batch 1", "a layer sees the queries before they are expanded", light=True)
def queries_of_batch_one() -> Problem:
    class Queries(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.into, self.cross, self.head = nn.Linear(2, 4), Heads(), nn.Linear(4, 4)
            self.queries = nn.Parameter(torch.randn(1, 2, 4))

        def forward(self, x: Tensor) -> Tensor:
            h = self.into(x)
            q, (k, v) = self.cross.q(self.queries), self.cross.kv(h).chunk(2, 2)
            h = self.cross.out((q @ k.mT).softmax(2) @ v)
            return self.head(h.mean(1))

    x = torch.randn(3, 4, 2, dtype=torch.float64)
    return Problem(prepared(Queries()), (x, classes()), nn.CrossEntropyLoss())
