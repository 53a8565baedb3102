"""The seven operations that are checked and timed: our function, its operands and PyTorch's answer.

Everything is compiled from the shipped files. Where padding, stride or dilation differ between the
dimensions that is conv2d_unequal.tn. The weight's JVP is taken from there for all layers, since
conv2d.tn does not define it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

import diagrammar as dg
from benchmarks.layers import Layer
from diagrammar.program import Indicator
from diagrammar.runtime.function import Function
from diagrammar.runtime.specialised import Specialised
from tests import reference
from tests.reference import Hyper

Given = Mapping[str, Tensor]


@dataclass(frozen=True)
class Operation:
    """A definition of the shipped files, the operands it takes and the reference for its result."""

    name: str
    definition: str
    operands: tuple[str, ...]
    expected: Callable[[Hyper, Given], Tensor]
    only_unequal: bool = False


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "forward",
        "Y",
        ("X", "W", "bias"),
        lambda h, t: reference.forward(h, t["X"], t["W"], t["bias"]),
    ),
    Operation(
        "weight VJP",
        "dW",
        ("X", "dY"),
        lambda h, t: reference.weight_vjp(h, t["X"], t["W"], t["dY"]),
    ),
    Operation(
        "input VJP",
        "dX",
        ("W", "dY"),
        lambda h, t: reference.input_vjp(h, t["X"], t["W"], t["dY"]),
    ),
    Operation(
        "input JVP",
        "tY",
        ("tX", "W"),
        lambda h, t: reference.input_jvp(h, t["X"], t["W"], t["tX"]),
    ),
    Operation(
        "weight JVP",
        "tY_W",
        ("X", "tW"),
        lambda h, t: reference.weight_jvp(h, t["X"], t["W"], t["tW"]),
        only_unequal=True,
    ),
    Operation("KFAC-expand", "A_expand", ("X",), lambda h, t: reference.kfac_expand(h, t["X"])),
    Operation("KFAC-reduce", "A_reduce", ("X",), lambda h, t: reference.kfac_reduce(h, t["X"])),
)
"""In the order of every table."""


def operation(name: str) -> Operation:
    """An operation by name."""
    return next(o for o in OPERATIONS if o.name == name)


def hyper(layer: Layer) -> Hyper:
    """A layer's hyper-parameters, as the references take them."""
    return Hyper(layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups)


def shapes(layer: Layer, batch: int) -> dict[str, tuple[int, ...]]:
    """The shape of everything that some operation takes, by operand."""
    x, w, y = layer.input_shape(batch), layer.weight_shape, layer.output_shape(batch)
    return {"X": x, "tX": x, "W": w, "tW": w, "dY": y, "bias": (layer.out_channels,)}


def operands(
    layer: Layer, batch: int, dtype: torch.dtype = torch.float64, seed: int = 0
) -> dict[str, Tensor]:
    """Standard normal operands, seeded; a positive mean in X keeps its averages from vanishing."""
    generator = torch.Generator().manual_seed(seed)
    made = {
        name: torch.randn(shape, generator=generator, dtype=dtype)
        for name, shape in shapes(layer, batch).items()
    }
    made["X"] += 0.5
    return made


@cache
def _shipped(name: str) -> dg.Spec:
    return dg.shipped(name)


def compiled(layer: Layer, op: Operation, **options: Any) -> Function:
    """Our function, with the layer's hyper-parameters given by name."""
    k1, k2 = layer.kernel_size
    values: dict[str, Any] = {"k1": k1, "k2": k2, "g": layer.groups, **options}
    if op.definition == "dX":  # what stride leaves open
        values["i1"], values["i2"] = layer.input_size
    per_dimension = {"s": layer.stride, "p": layer.padding, "d": layer.dilation}
    if op.only_unequal or layer.unequal:
        for letter, pair in per_dimension.items():
            values[f"{letter}1"], values[f"{letter}2"] = pair
        return _shipped("conv2d_unequal")[op.definition].compile(**values)
    values |= {letter: pair[0] for letter, pair in per_dimension.items()}
    return _shipped("conv2d")[op.definition].compile(**values)


def specialised(layer: Layer, op: Operation, batch: int, function: Function) -> Specialised:
    """The function for a layer's shapes: its program, plan, source and traces."""
    known = shapes(layer, batch)
    return function.specialise(**{name: known[name] for name in op.operands})


def dense_patterns(special: Specialised) -> int:
    """How many I×O×K arrays a program builds: its `Indicator` steps of three or more axes.

    Every 0/1 array of a program is an `Indicator`; a pattern has an axis for each of i, o and k.
    """
    steps = special.program.steps
    return sum(isinstance(s.operation, Indicator) and len(s.shape) >= 3 for s in steps)
