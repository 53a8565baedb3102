"""What a program costs: seconds for each step, from sizes, strides and the machine's rates."""

from __future__ import annotations

from collections.abc import Sequence

from diagrammar import program as ops
from diagrammar.diagram import product
from diagrammar.plan.cost import Machine
from diagrammar.plan.search import estimate
from diagrammar.plan.strides import Placed, placed, reshaped


def price(program: ops.Program, machine: Machine) -> float:
    """The seconds of a call."""
    return sum(prices(program, machine))


def prices(program: ops.Program, machine: Machine) -> list[float]:
    """The seconds of each step; with an empty batch, those of the calls."""
    if any(0 in step.shape for step in program.steps):
        return [machine.view() for _ in program.steps]
    places = placed(program)
    return [_seconds(step, at, places, machine) for at, step in enumerate(program.steps)]


def _seconds(step: ops.Step, at: int, places: Sequence[Placed], machine: Machine) -> float:
    op = step.operation
    shape = places[at].shape
    written = int(product(shape))
    match op:
        case ops.Operand():
            return 0.0
        case ops.Indicator():
            return machine.view()
        case ops.Einsum():
            return _contraction(op, places, written, machine)
        case ops.Convolution() | ops.TransposedConvolution() | ops.WeightGradient():
            return _native(op, shape, places, machine)
    if not places[at].copied:
        return machine.view()
    read = sum(int(product(places[v].shape)) for v in op.inputs)
    if isinstance(op, ops.Stack):
        read = written
    scattered = isinstance(op, ops.Reshape | ops.Fold) or any(
        not places[v].contiguous for v in op.inputs
    )
    return machine.moved(read + written, scattered=scattered)


def _contraction(op: ops.Einsum, places: Sequence[Placed], written: int, machine: Machine) -> float:
    sizes = {
        n: s
        for v, t in zip(op.values, op.terms, strict=True)
        for n, s in zip(t, places[v].shape, strict=True)
    }
    swept = product(sizes.values())
    read = sum(int(product(places[v].shape)) for v in op.values)
    if len(op.values) == 1:
        return machine.moved(read + written, scattered=False)
    shared = [n for n in op.terms[0] if n in op.terms[1]]
    summed = [n for n in shared if n not in op.out]
    if not summed:
        return machine.moved(read + written, scattered=False)
    depth = int(product(sizes[n] for n in summed))
    widths = [1, 1]
    for side, term in enumerate(op.terms):
        last = max(n for n, label in enumerate(term) if label in summed)
        first = min(n for n, label in enumerate(term) if label in summed)
        own = [n for n in term if n not in shared]
        behind = [n for n in own if term.index(n) > last]
        before = [n for n in own if term.index(n) < first]
        widths[side] = int(product(sizes[n] for n in (behind or before or own)))
    seconds = machine.matmul(int(swept), widths[0], widths[1], depth)
    copies = sum(
        int(product(places[v].shape))
        for v, t in zip(op.values, op.terms, strict=True)
        if not _is_matrix(places[v], [label in summed for label in t], [n in shared for n in t])
    )
    if copies:
        seconds += machine.moved(2 * copies, scattered=True)
    return seconds + machine.moved(read + written, scattered=False)


def _is_matrix(value: Placed, summed: Sequence[bool], shared: Sequence[bool]) -> bool:
    """Whether the summed axes lie together, and so do those that stay."""
    kinds = [0 if s else 2 if both else 1 for s, both in zip(summed, shared, strict=True)]
    for kind in (0, 1):
        at = [n for n, k in enumerate(kinds) if k == kind]
        shape = tuple(value.shape[n] for n in at)
        strides = tuple(value.strides[n] for n in at)
        if kind == 0 and reshaped(shape, strides, (int(product(shape)),)) is None:
            return False
    steps = [
        s for s, n, k in zip(value.strides, value.shape, kinds, strict=True) if k < 2 and n > 1
    ]
    return not steps or min(steps) <= 1


def _native(
    op: ops.Convolution | ops.TransposedConvolution | ops.WeightGradient,
    shape: Sequence[int],
    places: Sequence[Placed],
    machine: Machine,
) -> float:
    x = places[op.x].shape
    other = places[op.cotangent if isinstance(op, ops.WeightGradient) else op.weight].shape
    groups = estimate(op.groups)
    moved = int(product(shape)) + int(product(x)) + int(product(other))
    if isinstance(op, ops.WeightGradient):
        swept = int(product(shape)) * other[0] * int(product(other[2:]))
        inner, outer, kernel = shape[1], shape[0] // groups, int(product(shape[2:]))
        positions = int(product(other[2:]))
    elif isinstance(op, ops.Convolution):
        swept = int(product(shape)) * int(product(other[1:]))
        inner, outer, kernel = other[1], other[0] // groups, int(product(other[2:]))
        positions = int(product(shape[2:]))
    else:
        swept = int(product(x)) * int(product(other[1:]))
        inner, outer, kernel = other[0] // groups, other[1], int(product(other[2:]))
        positions = int(product(x[2:]))
    kind = type(op).__name__
    return machine.library(kind, swept, inner, outer, kernel, positions, groups, moved)
