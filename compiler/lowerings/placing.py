"""Relations read towards the input: folds, entries apart among zeros, and windows of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diagrammar import program as ops
from diagrammar.ir.relation import ConvForm
from diagrammar.ir.scalar import Dim, equal, expand, nonnegative
from diagrammar.ir.tree import Apply, Tree
from diagrammar.lowerings.reading import apart
from diagrammar.lowerings.registry import lowering as registered
from diagrammar.program.writer import Value

if TYPE_CHECKING:
    from diagrammar.lowerings.lower import Lowering


@registered(
    law="Σ_ok V[…o,k]·Π[i,o,k]: entries of V added where S·o + D·k − P = i",
    example="""
    size n := 2, i := 6, k := 3
    tensor V[n, o, k]
    pattern P[i, o, k] = conv(padding=1)
    Y[n, i] = V[n, o, k] * P[i, o, k]
""",
)
def folding(lowering: Lowering, tree: Apply, factor: Any) -> Value:
    """A relation read from (o, k) to i, summing: col2im."""
    return lowering.writer.scale(_fold(lowering, tree), factor)


def _fold(lowering: Lowering, tree: Apply) -> Value:
    form = lowering.form(tree.at)
    if _is_placing(form, []):
        return _place(lowering, tree)
    value = lowering.value(tree.parts[0])
    if form.k is None:
        return _placed(lowering, value, form)
    wires = [w for w in value.wires if w not in (form.o, form.k)] + [form.i]
    start = 0 if nonnegative(form.P) else expand(-form.P)  # entries before it get nothing
    extent, padding = expand(form.I - start), expand(form.P + start)
    operation = ops.Fold(
        value.step, value.axis(form.o), value.axis(form.k), extent, form.S, form.D, padding
    )
    shape = [*lowering.writer.shape(wires[:-1]), extent]
    folded = Value(lowering.writer.step(operation, shape, wires), tuple(wires))
    return lowering.writer.pad(folded, {form.i: (start, 0)}, gaps=True)


def _place(lowering: Lowering, tree: Apply) -> Value:
    """i = S·o − P without a kernel, for a chain of relations at once: entries apart among
    zeros."""
    chain: list[ConvForm] = []
    positions: list[int] = []
    child: Tree = tree
    while isinstance(child, Apply) and child.lowering == "folding":
        if not _is_placing(lowering.form(child.at), chain):
            break
        chain.append(lowering.form(child.at))
        positions.append(child.at)
        (child,) = child.parts
    value = lowering.value(child)
    start: list[Dim] = [0] * len(value.wires)
    step: list[Dim] = [1] * len(value.wires)
    wires, places = list(value.wires), {f.o: f for f in chain}
    for axis, wire in enumerate(value.wires):
        if wire in places:
            form = places[wire]
            start[axis], step[axis], wires[axis] = expand(-form.P), form.S, form.i
    with lowering.about(positions):
        return lowering.writer.value(ops.Place(value.step, tuple(start), tuple(step)), wires)


def _is_placing(form: ConvForm, chain: list[ConvForm]) -> bool:
    """Whether every o has its place in i, and none of it is placed again by the chain so
    far."""
    return (
        form.k is None
        and form.relation.view is not None
        and all(form.i != other.o for other in chain)
    )


def _placed(lowering: Lowering, value: Value, form: ConvForm) -> Value:
    """i = S·o − P without a kernel, some of it outside: zeros between, then padded and
    cropped."""
    wide = _dilated(lowering, value, form.o, form.S, form.O)
    before = expand(-form.P)
    after = expand(form.I - before - form.S * (form.O - 1) - 1)
    return _named(lowering.writer.pad(wide, {form.o: (before, after)}, gaps=True), form.o, form.i)


def _dilated(lowering: Lowering, value: Value, wire: str, step: Dim, extent: Dim) -> Value:
    if equal(step, 1):
        return value
    axis = value.axis(wire)
    shape = list(lowering.writer.steps[value.step].shape)
    shape[axis] = expand(step * (extent - 1) + 1)
    number = lowering.writer.step(ops.Dilate(value.step, axis, step), shape, value.wires)
    return Value(number, value.wires)


def _named(value: Value, old: str, new: str) -> Value:
    return Value(value.step, tuple(new if w == old else w for w in value.wires))


@registered(
    law="Σ_o V[…o]·Π[i,o,k] = V at (i + P − D·k)/S where that is whole, else 0",
    example="""
    size n := 2, i := 6, k := 3
    tensor V[n, o]
    pattern P[i, o, k] = conv(padding=1)
    Y[n, i, k] = V[n, o] * P[i, o, k]
""",
)
def transposed_windows(lowering: Lowering, tree: Apply, factor: Any) -> Value:
    """A relation read from o to (i, k), or from k to (i, o)."""
    return lowering.writer.scale(_spread(lowering, tree), factor)


def _spread(lowering: Lowering, tree: Apply) -> Value:
    """Read from o to (i, k), or, by the kernel–output swap, from k to (i, o).

    With k′ = K − 1 − k: S·o = i + D·k′ − (D(K−1) − P), windows over the dilated, padded axis,
    then flipped.
    """
    value, form = lowering.value(tree.parts[0]), lowering.form(tree.at)
    if form.k is None:
        return _placed(lowering, value, form)
    o, k, S, D, O, K = form.o, form.k, form.S, form.D, form.O, form.K  # noqa: E741
    if tree.details == (form.k,):
        o, k, S, D, O, K = k, o, D, S, K, O  # noqa: E741
    wide = _dilated(lowering, value, o, S, O)
    before = expand(D * (K - 1) - form.P)
    after = expand(form.I + D * (K - 1) - before - (S * (O - 1) + 1))
    padded = lowering.writer.pad(wide, {o: (before, after)}, gaps=True)
    made = apart(lowering, padded, k)
    windows = lowering.writer.window(padded, o, form.i, made, stride=1, dilation=D)
    axis = windows.axis(made)
    shape = lowering.writer.steps[windows.step].shape
    flipped = Value(
        lowering.writer.step(ops.Flip(windows.step, axis), shape, windows.wires), windows.wires
    )
    if made != k:
        return lowering.writer.diagonal(flipped, flipped.axis(k), flipped.axis(made))
    return flipped
