"""Gram matrices of windows, row by row (`ir.autocorrelation`, `lowerings.window_rows`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from diagrammar import program as ops
from diagrammar.ir.autocorrelation import gram_form
from diagrammar.ir.diagram import product
from diagrammar.ir.relation import Relation
from diagrammar.ir.scalar import Dim, expand
from diagrammar.ir.tree import Apply
from diagrammar.lowerings.contract import copied
from diagrammar.lowerings.registry import lowering as registered
from diagrammar.lowerings.window_rows import Segment, blocks
from diagrammar.program.writer import Value

if TYPE_CHECKING:
    from diagrammar.lowerings.lower import Lowering


@registered(
    law="Σ_o windows·windows[k, k′] = Σ over rows i of X[i]·X[i + D·(k′ − k)]",
    example="""
    size n := 2, c := 2, i := 9, k := 3
    tensor X[n, c, i]
    pattern P[i, o, k] = conv(padding=1)
    A[c, k, c', k'] = X[n, c, i] * P[i, o, k] * X[n, c', i'] * P[i', o, k']
""",
    scales=True,
)
def row_by_row(lowering: Lowering, tree: Apply, factor: Dim) -> Value:
    """One product for each distance of rows and each stretch of rows; windows are their sums, times
    a factor.

    Σ_o Π[i,o,k]·Π[i′,o,k′] says which rows meet: those D·(k′ − k) apart in the column of k.
    """
    relation = lowering.network.tensors[tree.at]
    assert isinstance(relation, Relation)
    form = gram_form(relation, lowering.network.sizes)
    assert form is not None
    rows = _Rows(lowering, tree, form.i, form.i2)
    found: dict[tuple[int, int], Value] = {}
    made: dict[tuple[int, Segment], Value] = {}
    for block in blocks(form, mirrored=not rows.alike):
        total = [
            made.setdefault((block.distance, s), rows.product(block.distance, s))
            for s in block.segments
        ]
        value = lowering.writer.scale(rows.total(total), factor)
        found[block.k, block.k2] = value
        if rows.alike and block.k != block.k2:
            found[block.k2, block.k] = rows.mirrored(value)
    size = int(form.K)
    return rows.grid([[found[k, k2] for k2 in range(size)] for k in range(size)], form.k, form.k2)


class _Rows:
    """The two sides of a Gram matrix of windows, copied once as rows side by side."""

    def __init__(self, lowering: Lowering, tree: Apply, i: str, i2: str) -> None:
        self.lowering, self.writer, self.i = lowering, lowering.writer, i
        left, right = (lowering.value(part) for part in tree.parts)
        needed = lowering.needed(tree)
        shared = [w for w in left.wires if w in right.wires]
        self.batch = [w for w in shared if w in needed]
        summed = [w for w in shared if w not in needed]
        self.native = tree.details == ("batched",) and len(summed) > 0
        self.first, self.last = (summed[:1], summed[1:]) if self.native else ([], summed)
        self.rows = [
            [w for w in v.wires if w not in shared and w not in (i, i2)] for v in (left, right)
        ]
        self.names: list[str] = []
        self.left = self._laid(left, self.rows[0], i)
        self.right = self._laid(right, self.rows[1], i2)
        self.alike = self.left.step == self.right.step

    def _laid(self, value: Value, rows: Sequence[str], i: str) -> Value:
        """Axes (batch, rows, i, summed), or with the first summed wire in front for a native call;
        the rows are one axis, and so are summed wires."""
        order = [*self.first, *self.batch, *rows, i, *self.last]
        value = copied(self.lowering, value, [value.axis(w) for w in order])
        if self.native:
            axes = [self.first, [*self.batch, *rows], [i], self.last]
        else:
            axes = [*([w] for w in self.batch), list(rows), [i], self.last]
        names = [a[0] if len(a) == 1 else f"({' '.join(a)})" if a else "" for a in axes]
        step = self.writer.group(value, axes, names)
        if not self.native:
            names = [*self.batch, names[-3] or f"side {len(self.names)}", self.i, names[-1]]
            self.names.append(names[-3])
        return Value(step, tuple(names))

    def product(self, distance: int, segment: Segment) -> Value:
        """Rows of a segment times those a distance on."""
        left = self._cut(self.left, segment.start, segment)
        right = self._cut(self.right, segment.start + distance, segment)
        if self.native:
            return self._native(left, right)
        sizes = {w: n for v in (left, right) for w, n in zip(v.wires, self._shape(v), strict=True)}
        before, self.writer.sizes = self.writer.sizes, {**self.writer.sizes, **sizes}
        value = self.writer.einsum(left, right, [*self.batch, *self.names])
        self.writer.sizes = before
        return self._named(value.step)

    def _shape(self, value: Value) -> tuple[Dim, ...]:
        return self.writer.steps[value.step].shape

    def _cut(self, value: Value, start: int, segment: Segment) -> Value:
        axis = len(value.wires) - 2
        shape = list(self._shape(value))
        if start == 0 and segment.count == shape[axis]:
            return value
        shape[axis] = segment.count
        operation = ops.Slice(value.step, axis, start, segment.count, segment.step)
        names = self.writer.steps[value.step].axes
        return Value(self.writer.step(operation, shape, names), value.wires)

    def _native(self, left: Value, right: Value) -> Value:
        """[b, (g rows), i, summed] twice: the weight gradient of a kernel of size one."""
        groups = product(self.writer.sizes[w] for w in self.batch)
        sizes = [product(self.writer.sizes[w] for w in rows) for rows in self.rows]
        ones = (1, 1)
        operation = ops.WeightGradient(right.step, left.step, ones, (0, 0), ones, groups)
        shape = (expand(groups * sizes[0]), sizes[1], *ones)
        return self._named(self.writer.step(operation, shape, ("rows", "rows'", "1", "1")))

    def _named(self, step: int) -> Value:
        """A product with an axis for each wire."""
        return self.writer.ungroup(step, [*self.batch, *self.rows[0], *self.rows[1]])

    def total(self, values: Sequence[Value]) -> Value:
        """The sum of products; zero where no rows meet."""
        if not values:
            zero = ops.Indicator((), self.left.step)
            return self.writer.value(zero, [*self.batch, *self.rows[0], *self.rows[1]])
        if len(values) == 1:
            return values[0]
        operation = ops.Add(tuple(v.step for v in values))
        return self.writer.value(operation, values[0].wires)

    def mirrored(self, value: Value) -> Value:
        """The sides exchanged."""
        first, second = self.rows
        moved = self.writer.permute(value, [*self.batch, *second, *first])
        return Value(moved.step, value.wires)

    def grid(self, values: Sequence[Sequence[Value]], k: str, k2: str) -> Value:
        """Blocks side by side along two wires, which stand where the result wants them."""
        every = [v.step for row in values for v in row]
        if any(isinstance(self.writer.steps[n].operation, ops.Indicator) for n in every):
            rows = [self._stacked(row, k2) for row in values]
            return self._stacked(rows, k)
        wires = self._with(self._with(values[0][0].wires, k2), k)
        axes = wires.index(k), wires.index(k2)
        return self.writer.value(ops.Blocks(tuple(every), len(values[0]), axes), wires)

    def _stacked(self, values: Sequence[Value], wire: str) -> Value:
        wires = self._with(values[0].wires, wire)
        operation = ops.Stack(tuple(v.step for v in values), wires.index(wire))
        return self.writer.value(operation, wires)

    def _with(self, have: tuple[str, ...], wire: str) -> tuple[str, ...]:
        """Wires with one more, after the last that stands before it in the result."""
        open_ = self.lowering.open
        before = [n for n, w in enumerate(have) if w in open_ and wire in open_]
        at = 1 + max((n for n in before if open_.index(have[n]) < open_.index(wire)), default=-1)
        return (*have[:at], wire, *have[at:])
