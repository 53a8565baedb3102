"""Products of values with gaps, in which a NaN or infinity stays where it belongs.

Where a zero that stands for no term (`lowerings.gaps`) meets a NaN, a product has a NaN that no sum
has. Where no order of contractions avoids that, or only a much dearer one, three products do what
one did. With x₀ for x without what is not finite, x̄ for marks of that, and |x| for marks of where
x has terms:

    a·b = a₀·b₀, and NaN where ā·|b| + |a|·b̄ > 0

|x| is the same steps on ones, so it has the gaps of x. An infinity comes out as NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from diagrammar import program as ops
from diagrammar.plan.planner import Planned
from diagrammar.program.nonfinite import Known, Reach, analysed
from diagrammar.program.writer import Writer

Product = ops.Einsum | ops.Gram | ops.Convolution | ops.TransposedConvolution | ops.WeightGradient
_MOVES = (
    ops.Reshape, ops.Contiguous, ops.Permute, ops.Slice, ops.Pad, ops.Window, ops.Diagonal,
    ops.Flip, ops.Dilate, ops.Place, ops.Gather, ops.Expand, ops.Cast, ops.Concat, ops.Stack,
    ops.Blocks, ops.Indicator,
)  # fmt: skip
"""What adds nothing: marks stay zeros and ones."""


def as_marked(planned: Planned) -> Planned:
    """The plan with three products in the place of each in which gaps meet an operand; two where
    gaps are on one side."""
    marking = _Marking(planned)
    return planned.rewritten(marking.writer, [marking.value[at] for at in planned.program.results])


class _Marking:
    """The steps of a program, written again."""

    def __init__(self, planned: Planned) -> None:
        self.steps = planned.program.steps
        self.writer = Writer()
        self.value: dict[int, int] = {}
        self.terms: dict[int, int] = {}
        known = analysed(self.steps)
        for at, step in enumerate(self.steps):
            self.writer.about = planned.origins[at]
            self.value[at] = self._written(at, step, known)

    def _written(self, at: int, step: ops.Step, known: Sequence[Known]) -> int:
        op = step.operation
        if isinstance(op, Product):
            sides = op.inputs[:2] if not isinstance(op, ops.Gram) else (op.x, op.x)
            if len(sides) == 2:
                a, b = (known[v] for v in sides)
                met = [x.given and y.zeros is Reach.MORE for x, y in ((a, b), (b, a))]
                if any(met):
                    return self._marked(op, step, (sides[0], sides[1]), met)
        return self._like(step, ops.reread(op, self.value))

    def _like(self, step: ops.Step, operation: ops.Operation) -> int:
        return self.writer.step(operation, step.shape, step.axes, step.remark)

    def _marked(
        self, op: Product, step: ops.Step, sides: tuple[int, int], met: Sequence[bool]
    ) -> int:
        """The product of finite entries, spoiled; `met` says of each side whether gaps of the
        other meet it."""
        finite, counts = [], []
        for n, side in enumerate(sides):
            x, of = self.value[side], self.steps[side]
            if met[n]:
                marks = [self._terms(v) for v in sides]
                marks[n] = self.writer.step(ops.Marked(x), of.shape, of.axes)
                counts.append(self._product(op, step, (marks[0], marks[1]), bias=False))
                x = self.writer.step(ops.Finite(x), of.shape, of.axes)
            finite.append(x)
        made = self._product(op, step, (finite[0], finite[1]), bias=True)
        total = counts[0]
        if len(counts) > 1:
            total = self.writer.step(ops.Add(tuple(counts)), step.shape, step.axes)
        return self.writer.step(ops.Spoiled((made, total)), step.shape, step.axes)

    def _product(self, op: Product, step: ops.Step, sides: tuple[int, int], *, bias: bool) -> int:
        """The same product of two other values."""
        a, b = sides
        match op:
            case ops.Einsum():
                return self._like(step, ops.Einsum((a, b), op.terms, op.out))
            case ops.Gram() if a == b:
                return self._like(step, ops.Gram(a, op.block))
            case ops.Gram():
                rank = len(step.shape) + 1
                batch, (r, r2, d) = tuple(range(rank - 3)), range(rank - 3, rank)
                terms = (*batch, r, d), (*batch, r2, d)
                return self._like(step, ops.Einsum((a, b), terms, (*batch, r, r2)))
            case ops.Convolution():
                third = self.value[op.bias] if bias and op.bias is not None else None
                return self._like(step, _put(op, x=a, weight=b, bias=third))
            case ops.TransposedConvolution():
                return self._like(step, _put(op, x=a, weight=b))
            case ops.WeightGradient():
                return self._like(step, _put(op, x=a, cotangent=b))

    def _terms(self, at: int) -> int:
        """Ones where a value has terms, zeros in its gaps: its steps on ones."""
        if at not in self.terms:
            step = self.steps[at]
            op = step.operation
            if isinstance(op, ops.Operand):
                ones = ops.Indicator(((),), self.value[at])
                self.terms[at] = self.writer.step(ones, step.shape, step.axes)
            elif isinstance(op, ops.Indicator):
                self.terms[at] = self.value[at]
            elif isinstance(op, ops.Scale):
                self.terms[at] = self._terms(op.x)
            else:
                made = ops.reread(op, {v: self._terms(v) for v in op.inputs})
                counts = self.writer.step(made, step.shape, step.axes)
                if not isinstance(op, _MOVES):
                    counts = self.writer.step(ops.Marked(counts, True), step.shape, step.axes)
                self.terms[at] = counts
        return self.terms[at]


def _put(op: ops.Operation, **values: int | None) -> ops.Operation:
    """An operation that reads other values."""
    kept = {f.name: getattr(op, f.name) for f in fields(op)}
    return type(op)(**(kept | values))
