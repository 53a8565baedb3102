"""Gram products: a contraction of a value with itself is symmetric, and half of it is enough.

Only blocks up to the diagonal are multiplied.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from diagrammar import program as ops
from diagrammar.ir.diagram import product
from diagrammar.program.passes.registry import Draft, Replacement, Stage, program_pass
from diagrammar.program.writer import Writer
from diagrammar.rewrite.rule import Miss

LEAST = 64
"""The fewest rows that are worth blocks; of the summed entries it takes twice as many."""
BLOCKS = 8
TEXT = """
size p := 128, i := {rows}, j := {rows}
tensor X[p, i]
G[i, j] = X[p, i] * X[p, j]
"""


@dataclass(frozen=True, slots=True)
class _Axes:
    """The axes of a value that meets itself, by role, and where the result's axes stand."""

    batch: tuple[int, ...]
    rows: tuple[int, ...]
    depth: tuple[int, ...]
    out: tuple[int, ...]


@program_pass(
    law="Σ_p X[i,p]·X[j,p] = Σ_p X[j,p]·X[i,p]",
    example=TEXT.format(rows=70),
    near_miss=TEXT.format(rows=63),
    reason="63 rows are fewer than 64",
    stage=Stage.SYMMETRY,
)
def syrk(step: ops.Step, program: Draft) -> Replacement | Miss:
    """A product of a value with itself as a Gram matrix, where it is large."""
    op = step.operation
    axes = _axes(op) if isinstance(op, ops.Einsum) else None
    if axes is None or not isinstance(op, ops.Einsum):
        return Miss("no product of a value with itself")
    shape = program.steps[op.values[0]].shape
    if not all(isinstance(n, int) for n in shape):
        return Miss("sizes are open")
    rows, depth = (int(product(shape[n] for n in part)) for part in (axes.rows, axes.depth))
    if rows < LEAST:
        return Miss(f"{rows} rows are fewer than {LEAST}")
    if depth < 2 * LEAST:
        return Miss(f"{depth} summed entries are fewer than {2 * LEAST}")
    return Replacement(partial(_written, step, op.values[0], axes), f"{rows} rows, {depth} summed")


def _axes(op: ops.Einsum) -> _Axes | None:
    """The roles of the axes; None unless the two sides are one value, read in the same way."""
    if len(op.values) != 2 or op.values[0] != op.values[1]:
        return None
    first, second = op.terms
    pairs = list(zip(first, second, strict=True))
    batch = tuple(n for n, (a, b) in enumerate(pairs) if a == b and a in op.out)
    depth = tuple(n for n, (a, b) in enumerate(pairs) if a == b and a not in op.out)
    rows = tuple(n for n, (a, b) in enumerate(pairs) if a != b)
    left, right = ([t[n] for n in rows] for t in op.terms)
    if not rows or not depth or set(left) & set(right) or not {*left, *right} <= set(op.out):
        return None
    if op.out.index(left[0]) > op.out.index(right[0]):  # symmetric: either side may be first
        left, right = right, left
    made = (*(first[n] for n in batch), *left, *right)
    return _Axes(batch, rows, depth, tuple(made.index(label) for label in op.out))


def _written(step: ops.Step, x: int, axes: _Axes, writer: Writer) -> int:
    source = writer.steps[x]
    batch, rows, depth = (
        [source.shape[n] for n in part] for part in (axes.batch, axes.rows, axes.depth)
    )
    count = int(product(rows))
    order = (*axes.batch, *axes.rows, *axes.depth)
    names = [source.axes[n] for n in order]
    if order != tuple(range(len(order))):
        x = writer.step(ops.Permute(x, order), [source.shape[n] for n in order], names)
    kept = names[: len(batch)]
    inner = [_joined(names[len(batch) : len(batch) + len(rows)])]
    summed = _joined(names[len(batch) + len(rows) :])
    x = writer.reshape(x, [*batch, count, product(depth)], [*kept, *inner, summed])
    block = max(-(-count // BLOCKS), 16)
    made = writer.step(ops.Gram(x, block), [*batch, count, count], [*kept, *inner, *inner])
    back = tuple(axes.out.index(n) for n in range(len(axes.out)))
    shape, named = [step.shape[n] for n in back], [step.axes[n] for n in back]
    made = writer.reshape(made, shape, named)
    if axes.out == tuple(range(len(axes.out))):
        return made
    return writer.step(ops.Permute(made, axes.out), step.shape, step.axes, step.remark)


def _joined(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"({' '.join(names)})"
