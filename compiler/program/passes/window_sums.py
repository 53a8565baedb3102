"""Products with window matrices as sums over stretches of rows.

Law: Σ_i X[…,i,…]·V[i,k] with V[i,k] = [i is in the column of k] is a sum of X over those rows. Rows
come in a few stretches that the same k have, so X is read once, and nothing is multiplied. Where
two axes are summed in this way, the first goes first: what is left is read in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from diagrammar import program as ops
from diagrammar.plan.planner import Planned
from diagrammar.program.writer import Writer

LARGEST = 2**16
"""The most entries of a window matrix that is looked at."""


def as_sums(planned: Planned) -> Planned:
    """The plan with products with window matrices as sums, where the matrices are known."""
    program, writer = planned.program, Writer()
    uses = Counter(v for step in program.steps for v in step.operation.inputs)
    value: dict[int, int] = {}
    for at, step in enumerate(program.steps):
        writer.about = planned.origins[at]
        operation = ops.reread(step.operation, value)
        made = None
        if isinstance(operation, ops.Einsum) and len(operation.values) == 2:
            assert isinstance(step.operation, ops.Einsum)
            alone = [uses[v] == 1 for v in step.operation.values]
            made = _sum(writer, operation, step, alone)
        value[at] = made or writer.step(operation, step.shape, step.axes, step.remark)
    return planned.rewritten(writer, tuple(value[at] for at in program.results))


def _sum(writer: Writer, op: ops.Einsum, step: ops.Step, alone: Sequence[bool]) -> int | None:
    for side in (0, 1):
        matrix, other = op.terms[side], op.terms[1 - side]
        shared = [n for n in matrix if n in other]
        indicator = writer.steps[op.values[side]]
        if len(matrix) != 2 or len(shared) != 1 or shared[0] in op.out:
            continue
        found = stretches(indicator, summed=matrix.index(shared[0]))
        if found is None:
            continue
        (kept,) = (n for n in matrix if n not in shared)
        labels = tuple(kept if n == shared[0] else n for n in other)
        if set(labels) != set(op.out):
            continue
        axis = other.index(shared[0])
        writer.about |= writer.origins[op.values[side]]
        made = _written(writer, op.values[1 - side], axis, found, alone[1 - side])
        if labels == op.out:
            return made
        order = tuple(labels.index(n) for n in op.out)
        return writer.step(ops.Permute(made, order), step.shape, step.axes, step.remark)
    return None


def _written(
    writer: Writer, x: int, axis: int, found: tuple[ops.Stretches, int, int], alone: bool
) -> int:
    """The sums along an axis; together with those that x is, if nothing else reads x."""
    runs, stride, size = found
    source = writer.steps[x]
    axes, all_runs, strides = (axis,), (runs,), (stride,)
    inner = source.operation
    order = None
    if isinstance(inner, ops.Permute) and isinstance(
        writer.steps[inner.x].operation, ops.WindowSums
    ):
        order, inner = inner.order, writer.steps[inner.x].operation
    shape, names = list(source.shape), list(source.axes)
    shape[axis], names[axis] = size, "k"
    placed = axis if order is None else order[axis]
    if not alone or not isinstance(inner, ops.WindowSums) or placed in inner.axes:
        return writer.step(ops.WindowSums(x, axes, all_runs, strides), shape, names)
    writer.about |= writer.origins[x]
    together = sorted(
        [(placed, runs, stride), *zip(inner.axes, inner.stretches, inner.stride, strict=True)]
    )
    axes, all_runs, strides = zip(*together, strict=True)
    whole = ops.WindowSums(inner.x, axes, all_runs, strides)
    if order is None:
        return writer.step(whole, shape, names)
    back = [order.index(n) for n in range(len(order))]
    made = writer.step(whole, [shape[n] for n in back], [names[n] for n in back])
    return writer.step(ops.Permute(made, order), shape, names)


def stretches(step: ops.Step, *, summed: int) -> tuple[ops.Stretches, int, int] | None:
    """The stretches of rows of a known 0/1 matrix, their step, and the number of columns; None
    where a column is no run of rows, or rows are only put in place."""
    op, shape = step.operation, step.shape
    if not isinstance(op, ops.Indicator) or not all(isinstance(n, int) for n in shape):
        return None
    rows, columns = int(shape[summed]), int(shape[1 - summed])
    if rows * columns > LARGEST:
        return None
    table = [
        [_entry(op, (i, k) if summed == 0 else (k, i)) for i in range(rows)] for k in range(columns)
    ]
    if any(entry is None or entry > 1 for column in table for entry in column):
        return None
    runs = [[i for i, entry in enumerate(column) if entry] for column in table]
    if columns > rows and all(len(run) <= 1 for run in runs):
        return None  # rows are put in place, none are added
    steps = {b - a for run in runs for a, b in pairwise(run)}
    if len(steps) > 1:
        return None
    stride = steps.pop() if steps else 1
    classes: dict[int, list[int]] = {}
    for k, run in enumerate(runs):
        if run:
            classes.setdefault(run[0] % stride, []).append(k)
    found: list[tuple[int, int, tuple[int, ...]]] = []
    for members in classes.values():
        cuts = sorted({end for k in members for end in (runs[k][0], runs[k][-1] + stride)})
        for start, stop in pairwise(cuts):
            has = tuple(k for k in members if runs[k][0] <= start and stop <= runs[k][-1] + stride)
            if has:
                found.append((start, stop, has))
    return tuple(sorted(found)), stride, columns


def _entry(op: ops.Indicator, index: tuple[int, int]) -> int | None:
    """The entry of a matrix; None where it depends on open sizes."""
    total = 0
    for piece in op.pieces:
        holds = True
        for c in piece:
            numbers = (*c.coefficients, c.constant, c.modulus or 0)
            if not all(isinstance(n, int) for n in numbers):
                return None
            form = sum(int(a) * n for a, n in zip(c.coefficients, index, strict=True))
            form += int(c.constant)
            modulus = int(c.modulus or 0)
            holds &= form >= 0 if c.nonnegative else form % modulus == 0 if modulus else form == 0
        total += holds
    return total
