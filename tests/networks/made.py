"""Networks made from a few choices: which layer, where the examples are among its rows, what else
its weight is used for, what couples examples. Each is small, in float64, and the same every time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.zoo.network import Problem, prepared

LAYERS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(4, 4),
    "conv1d": lambda: nn.Conv1d(4, 4, 3, padding=1, padding_mode="circular"),
    "conv2d": lambda: nn.Conv2d(4, 4, (3, 1), padding=(1, 0), groups=2),
    "conv3d": lambda: nn.Conv3d(4, 4, (1, 2, 1), padding="same", bias=False),
    "transposed": lambda: nn.ConvTranspose1d(4, 4, 3, padding=1, groups=2),
}
"""Layers that keep four channels and all sizes."""


def positions(kind: str) -> tuple[int, ...]:
    """The sizes of a layer's image; none for a linear layer."""
    return {
        "linear": (),
        "conv1d": (3,),
        "conv2d": (3, 2),
        "conv3d": (2, 2, 1),
        "transposed": (3,),
    }[kind]


def apply(layer: nn.Module, h: Tensor, dims: int) -> Tensor:
    """A layer on rows [rows, 4, *image]; channels stand second throughout."""
    if isinstance(layer, nn.Linear):
        return layer(h.reshape(len(h), 4)).reshape(h.shape)
    return layer(h)


def pooled(h: Tensor) -> Tensor:
    """[rows, 4, *image] → [rows, 4], with weights that differ by position."""
    flat = h.reshape(len(h), 4, -1)
    return flat @ torch.linspace(0.5, 1.5, flat.shape[2], dtype=flat.dtype)


class Rows(nn.Module):
    """A layer whose rows are not the network's examples: x [b, t, 4, *image] → [b, 3]."""

    def __init__(self, kind: str, where: str) -> None:
        super().__init__()
        self.where, self.layer = where, LAYERS[kind]()
        self.other = LAYERS[kind]()
        self.head = nn.Linear(4, 3)
        self.register_buffer("table", torch.randn(1, 4, *positions(kind)))

    def forward(self, x: Tensor) -> Tensor:
        b, t = x.shape[:2]
        dims = x.ndim - 3
        match self.where:
            case "blocks":
                h = apply(self.layer, x.flatten(0, 1), dims).tanh()
                h = pooled(h).unflatten(0, (b, t)).mean(1)
            case "interleaved":
                h = apply(self.layer, x.transpose(0, 1).flatten(0, 1), dims).tanh()
                h = pooled(h).unflatten(0, (t, b)).mean(0)
            case "halves":
                h = apply(self.layer, torch.cat([x[:, 0], x[:, 1]]), dims).tanh()
                h = pooled(h[:b] * h[b:])
            case "table":
                h = pooled(x[:, 0] * apply(self.layer, self.table, dims).tanh())
            case "experts":
                first = x[:, 0].flatten(1).sum(1) > 0
                h = x.new_zeros(b, 4)
                for chosen, layer in ((first, self.layer), (~first, self.other)):
                    if chosen.any():
                        h[chosen] = pooled(apply(layer, x[chosen, 0], dims).tanh())
            case "middle":  # time, examples, time: no axis and no block
                folded = x.unflatten(1, (2, 2)).movedim(2, 0).flatten(0, 2)
                h = pooled(apply(self.layer, folded, dims).tanh())
                h = h.unflatten(0, (2, b, 2)).mean((0, 2))
            case _:
                raise ValueError(self.where)
        return self.head(h)


class TimeFirst(nn.Module):
    """A linear layer on [t, b, 4], in which the first axis is time."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x.transpose(0, 1)).tanh().cumsum(0)[-1])


class Flat(nn.Module):
    """A language model whose output [b·t, 3] has a row for each word, of each example's words in
    turn or (`strided`) of each word's examples."""

    def __init__(self, strided: bool) -> None:
        super().__init__()
        self.strided = strided
        self.layer, self.head = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.head(self.layer(x).tanh().cumsum(1))
        return (h.transpose(0, 1) if self.strided else h).flatten(0, 1)


WHERE = ("blocks", "interleaved", "halves", "table", "experts", "middle")


def rows() -> Iterator[tuple[str, Callable[[], Problem]]]:
    """Networks of kind A by name: rows that are not examples."""
    for kind, where in product(LAYERS, WHERE):
        yield f"{kind}-{where}", lambda kind=kind, where=where: of_rows(kind, where)
    for t in (2, 3, 4):
        yield f"time-first-{t}", lambda t=t: problem(TimeFirst(), (3, t, 4))
    yield "flat", lambda: flat(strided=False)


def of_rows(kind: str, where: str) -> Problem:
    """A network of `Rows`, whose experts are both given an example."""
    made = problem(Rows(kind, where), (3, 4, 4, *positions(kind)))
    if where == "experts":
        x = made.data[0]
        x[:, 0] = x[:, 0].abs() * torch.tensor([1.0, -1, 1]).double().view(3, *(1,) * (x.ndim - 2))
    used = {"layer", "head"} | ({"other"} if where == "experts" else set())
    options = {"layers": sorted(used)}
    return Problem(made.model, made.data, made.loss, options=options)


def flat(strided: bool) -> Problem:
    """A network of `Flat`, with labels in the order of its output."""
    torch.manual_seed(0)
    x, y = torch.randn(3, 4, 4).double(), torch.randint(0, 3, (3, 4))
    y = (y.T if strided else y).flatten()
    return Problem(prepared(Flat(strided)), (x, y), nn.CrossEntropyLoss(), examples=3)


def problem(model: nn.Module, shape: tuple[int, ...], loss: Any = None) -> Problem:
    """A network on normal inputs of a shape, with three classes."""
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.float64)
    return Problem(prepared(model), (x, torch.randint(0, 3, (shape[0],))), loss or Classes())


Classes = nn.CrossEntropyLoss

# -- weights that are used elsewhere, too ----------------------------------------------------------

FUNCTIONS = {
    "linear": F.linear, "conv1d": F.conv1d, "conv2d": F.conv2d, "conv3d": F.conv3d,
    "transposed": F.conv_transpose1d,
}  # fmt: skip


class Uses(nn.Module):
    """A layer whose weight, or bias, is used beside its one call: x [b, 4, *image] → [b, 3]."""

    def __init__(self, kind: str, use: str) -> None:
        super().__init__()
        self.kind, self.use = kind, use
        self.layer, self.head = LAYERS[kind](), nn.Linear(4, 3)
        self.other = LAYERS[kind]() if "module" in use else nn.Identity()
        if use == "another module's weight":
            self.other.weight = self.layer.weight
        if use == "another module's bias":
            self.other.bias = self.layer.bias

    def forward(self, x: Tensor) -> Tensor:
        h = apply(self.layer, x, x.ndim - 2).tanh()
        if self.use == "a function":
            weight = self.layer.weight
            if self.kind == "linear":
                h = h @ weight.mT
            else:
                middle = {"groups": getattr(self.layer, "groups", 1)}
                h = FUNCTIONS[self.kind](h, weight, **middle)
        elif self.use == "a penalty":
            h = h + self.layer.weight.square().sum()
        elif self.use == "a scale":
            h = h * self.layer.weight.std()
        elif "module" in self.use:
            h = apply(self.other, h, x.ndim - 2)
        return self.head(pooled(h.tanh()))


USES = (
    "a function", "a penalty", "a scale", "another module's weight", "another module's bias",
)  # fmt: skip


def uses() -> Iterator[tuple[str, Callable[[], Problem]]]:
    """Networks of kind B by name: parameters that are used elsewhere."""
    for kind, use in product(LAYERS, USES):
        if use == "another module's bias" and LAYERS[kind]().bias is None:
            continue
        shape = (3, 4, *(n + 2 for n in positions(kind)))
        yield f"{kind}-{use}", lambda kind=kind, use=use, s=shape: problem(Uses(kind, use), s)


# -- examples that are coupled ---------------------------------------------------------------------

COUPLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "less the mean": lambda h: h - h.mean(0),
    "over the norm": lambda h: h / h.norm(),
    "softmax": lambda h: h.softmax(0),
    "over the largest": lambda h: h / h.abs().amax(0),
    "all pairs": lambda h: (h @ h.T).sum(1, keepdim=True) * h,
    "running sum": lambda h: h.cumsum(0),
    "neighbour": lambda h: h + h.roll(1, 0),
    "sorted": lambda h: h + h.sort(0).values,
}


class Coupled(nn.Module):
    """Examples that see each other before a layer, between two, or behind them."""

    def __init__(self, coupling: str, where: str) -> None:
        super().__init__()
        self.coupling, self.where = COUPLINGS[coupling], where
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        if self.where == "before":
            x = self.coupling(x)
        h = self.first(x).tanh()
        if self.where == "between":
            h = self.coupling(h)
        h = self.second(h)
        return self.coupling(h) if self.where == "behind" else h


def coupled() -> Iterator[tuple[str, Callable[[], Problem]]]:
    """Networks of kind E by name: examples that depend on each other."""
    for how, where in product(COUPLINGS, ("before", "between", "behind")):
        yield f"{how}-{where}", lambda how=how, w=where: problem(Coupled(how, w), (4, 4))
    for norm in (nn.BatchNorm1d(4, affine=False, track_running_stats=False),
                 nn.BatchNorm1d(4, track_running_stats=False)):  # fmt: skip
        model = nn.Sequential(nn.Linear(4, 4), norm, nn.Linear(4, 3))
        yield f"batch norm-{norm.affine}", lambda model=model: problem(model, (4, 4))
