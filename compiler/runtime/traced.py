"""Calls that PyTorch traces, by torch.compile or torch.export, where sizes may be symbols.

A program is made for the sizes of its operands. In a trace, wires that only number things, such as
the batch, may stay open, and one program serves all their sizes; every other size becomes a number,
on which the trace then depends. Making programs is no part of the trace.

Imports torch; imported when a trace needs a program that is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import compiler
from torch.fx.experimental.symbolic_shapes import guard_scalar, has_static_value

from diagrammar.runtime.dtypes import is_whole
from diagrammar.runtime.operands import Kind

if TYPE_CHECKING:
    from diagrammar.layers.operations import Operations
    from diagrammar.runtime.function import Function

Kept = TypeVar("Kept")
TRACES = 256
"""Emitted functions that traces of one function or layer may ask for again."""

Open = tuple[tuple[int | None, ...], ...]


def constant(function: Kept) -> Kept:
    """A function that Dynamo calls, and does not trace; its result is a constant of the trace."""
    mark: Any = compiler.assume_constant_result  # which has no types
    marked: Kept = mark(function)
    return marked


def made_for(function: Function, operands: Sequence[Any]) -> Callable[..., Any]:
    """The emitted function for operands whose sizes may be symbols."""
    free = _open_axes(function, tuple([x.ndim for x in operands]))
    shapes: list[tuple[Any, ...]] = []
    for x, axes in zip(operands, free, strict=True):
        shape: list[Any] = []
        for n, stays in zip(x.shape, axes, strict=True):
            if has_static_value(n):
                shape.append(guard_scalar(n))
            else:
                shape.append(None if stays else guard_scalar(n))
        shapes.append(tuple(shape))
    kind = function.programs.kind_of(tuple(operands))
    whole = any(is_whole(x) for x in operands)
    itemsize = 8 if whole else kind.itemsize
    emitted: Callable[..., Any] = getattr(
        function.traced, _emitted(function, tuple(shapes), itemsize, kind.device, whole)
    )
    if not whole:
        return emitted
    exact = _is_in_integers(function, tuple([x.ndim for x in operands]))
    dtype = torch.int64 if exact else torch.float64
    return lambda *integers: emitted(*[x.to(dtype) for x in integers])


def compiled(
    operations: Operations, name: str, sizes: Mapping[str, Any]
) -> tuple[tuple[str, ...], Function]:
    """The operands' names and the function of a layer's definition; its `sizes` become numbers."""
    known: dict[str, Any] = {}
    for n, size in sizes.items():
        if isinstance(size, tuple):
            known[n] = tuple([guard_scalar(m) for m in size])
        else:
            known[n] = None if size is None else guard_scalar(size)
    pair: tuple[tuple[str, ...], Function]
    pair = getattr(operations.traced, _compiled(operations, name, tuple(known.items())))
    return pair


def _keep(traced: SimpleNamespace, name: str, function: Any) -> None:
    """One more that is traced; beyond a bound, the first goes."""
    setattr(traced, name, function)
    for old in list(vars(traced))[:-TRACES]:
        delattr(traced, old)


@constant
def _compiled(operations: Operations, name: str, sizes: tuple[tuple[str, Any], ...]) -> str:
    key = "_".join([name, *(f"{n}{value}" for n, value in sizes)])
    if not hasattr(operations.traced, key):
        _keep(operations.traced, key, operations.compile(name, **dict(sizes)))
    return key


@constant
def _open_axes(function: Function, ranks: tuple[int, ...]) -> tuple[tuple[bool, ...], ...]:
    return function.open_axes(ranks)


@constant
def _is_in_integers(function: Function, ranks: tuple[int, ...]) -> bool:
    return not function.programs.of_ranks(ranks).integers()[0].is_floating_point


@constant
def _emitted(function: Function, shapes: Open, itemsize: int, device: str, whole: bool) -> str:
    """The name of the emitted function among those `traced`; Dynamo takes no function that is a
    constant, but one that is an attribute."""
    name = "_".join("x".join("n" if n is None else str(n) for n in shape) for shape in shapes)
    name = f"{device}_{itemsize}_{whole}_{name}"
    if not hasattr(function.traced, name):
        programs = function.programs.of_ranks([len(s) for s in shapes])
        programs = programs.integers()[1] if whole else programs
        emitted: Any = programs.with_open(shapes, Kind(itemsize, device)).call
        _keep(function.traced, name, emitted.function)
    return name
