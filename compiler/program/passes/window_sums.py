"""Products with window matrices as sums over stretches of rows.

Rows come in a few stretches that the same k have, so X is read once, and nothing is multiplied.
Where two axes are summed in this way, the first goes first: what is left is read in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from diagrammar import program as ops
from diagrammar.program.passes.registry import Draft, Replacement, Stage, program_pass
from diagrammar.program.writer import Writer
from diagrammar.rewrite.rule import Miss

LARGEST = 2**16
"""The most entries of a window matrix that is looked at."""
TEXT = """
size b := 2, i := 9, k := 3
tensor X[b, i]
pattern P[i, k] = {pattern}
Y[b, k] = X[b, i] * P[i, k]
"""


@dataclass(frozen=True)
class _Sum:
    """A product with the window matrix `matrix`: sums of x along an axis, whose axes have `labels`
    afterwards."""

    matrix: int
    x: int
    axis: int
    labels: tuple[int, ...]
    rows: tuple[ops.Stretches, int, int]


@program_pass(
    law="Σ_i X[…,i,…]·V[i,k]  with V[i,k] = [i is in the column of k]  is a sum of X over those i",
    example=TEXT.format(pattern="[k <= i, i <= k + 4]"),
    near_miss=TEXT.format(pattern="[k <= i] + [i <= 4]"),
    reason="neither value is a window matrix, summed over its rows",
    stage=Stage.SUMS,
    choice="sums of rows",
    plain=True,
)
def window_sums(step: ops.Step, program: Draft) -> Replacement | Miss:
    """A product with a window matrix as sums, where the matrix is known."""
    op = step.operation
    if not isinstance(op, ops.Einsum) or len(op.values) != 2:
        return Miss("no product of two values")
    found = next((s for side in (0, 1) if (s := _sum(op, side, program))), None)
    if found is None:
        return Miss("neither value is a window matrix, summed over its rows")
    alone = program.reads(found.x) == 1
    return Replacement(partial(_in_order, step, op, found, alone), "a known matrix of 0 and 1")


def _sum(op: ops.Einsum, side: int, program: Draft) -> _Sum | None:
    """The sums that a product is, if its value on a side is a window matrix."""
    matrix, other = op.terms[side], op.terms[1 - side]
    shared = [n for n in matrix if n in other]
    if len(matrix) != 2 or len(shared) != 1 or shared[0] in op.out:
        return None
    found = stretches(program.steps[op.values[side]], summed=matrix.index(shared[0]))
    (kept,) = (n for n in matrix if n not in shared)
    labels = tuple(kept if n == shared[0] else n for n in other)
    if found is None or set(labels) != set(op.out):
        return None
    return _Sum(op.values[side], op.values[1 - side], other.index(shared[0]), labels, found)


def _in_order(step: ops.Step, op: ops.Einsum, found: _Sum, alone: bool, writer: Writer) -> int:
    """The sums, with their axes as the product had them."""
    writer.take_over(found.matrix)
    made = _written(writer, found.x, found.axis, found.rows, alone)
    if found.labels == op.out:
        return made
    order = tuple(found.labels.index(n) for n in op.out)
    return writer.step(ops.Permute(made, order), step.shape, step.axes, step.remark)


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
    writer.take_over(x)
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
