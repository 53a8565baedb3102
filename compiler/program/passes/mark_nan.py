"""Products of values with gaps, in which a NaN or infinity stays where it belongs.

Where a zero that stands for no term (`ir.gaps`) meets a NaN, a product has a NaN that no sum
has. Where no order of contractions avoids that, or only a much dearer one, three products do what
one did. With x₀ for x without what is not finite, x̄ for marks of that, and |x| for marks of where
x has terms:

    a·b = a₀·b₀, and NaN where ā·|b| + |a|·b̄ > 0

|x| is the same steps on ones, so it has the gaps of x. An infinity comes out as NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import partial

from diagrammar import program as ops
from diagrammar.program.nonfinite import Reach, learn
from diagrammar.program.operations.base import Role
from diagrammar.program.passes.registry import Draft, Replacement, Stage, program_pass
from diagrammar.program.writer import Writer
from diagrammar.rewrite.rule import Miss

TEXT = """
size b := 2, i := 9, k := 3
tensor X[b, {x}]
pattern P[i, o, k] = conv(stride=2)
A[k, k'] = X[b, {x}] * P[i, o, k] * X[b, {x}'] * P[{ends}, k']
"""

Product = ops.Einsum | ops.Gram | ops.Convolution | ops.TransposedConvolution | ops.WeightGradient
_ADDS_NOTHING = (Role.MOVE, Role.PATTERN)
"""What it makes of marks are zeros and ones."""


@program_pass(
    law="a·b = a₀·b₀, and NaN where ā·|b| + |a|·b̄ > 0",
    example=TEXT.format(x="o", ends="i, o'"),
    near_miss=TEXT.format(x="i", ends="i', o"),
    reason="no gap meets an operand",
    stage=Stage.MARKS,
    choice="NaN marked",
)
def mark_nan(step: ops.Step, program: Draft) -> Replacement | Miss:
    """Three products in the place of one in which gaps meet an operand; two where gaps are on one
    side."""
    op = step.operation
    if not isinstance(op, Product):
        return Miss("no product")
    sides = op.inputs[:2] if not isinstance(op, ops.Gram) else (op.x, op.x)
    if len(sides) != 2:
        return Miss("no product of two values")
    a, b = (program.known(v, learn) for v in sides)
    met = [x.given and y.zeros is Reach.MORE for x, y in ((a, b), (b, a))]
    if not any(met):
        return Miss("no gap meets an operand")
    write = partial(_marked, op, step, (sides[0], sides[1]), met)
    return Replacement(write, "a gap meets an operand")


def _marked(
    op: Product, step: ops.Step, sides: tuple[int, int], met: Sequence[bool], writer: Writer
) -> int:
    """The product of finite entries, spoiled; `met` says of each side whether gaps of the other
    meet it."""
    finite, counts = [], []
    terms: dict[int, int] = {}
    for n, x in enumerate(sides):
        of = writer.steps[x]
        if met[n]:
            marks = [_terms(writer, v, terms) for v in sides]
            marks[n] = writer.step(ops.Marked(x), of.shape, of.axes)
            counts.append(_like(writer, step, _product(op, step, (marks[0], marks[1]), bias=False)))
            x = writer.step(ops.Finite(x), of.shape, of.axes)
        finite.append(x)
    made = _like(writer, step, _product(op, step, (finite[0], finite[1]), bias=True))
    total = counts[0]
    if len(counts) > 1:
        total = writer.step(ops.Add(tuple(counts)), step.shape, step.axes)
    return writer.step(ops.Spoiled((made, total)), step.shape, step.axes)


def _like(writer: Writer, step: ops.Step, operation: ops.Operation) -> int:
    return writer.step(operation, step.shape, step.axes, step.remark)


def _product(op: Product, step: ops.Step, sides: tuple[int, int], *, bias: bool) -> ops.Operation:
    """The same product of two other values."""
    a, b = sides
    match op:
        case ops.Einsum():
            return ops.Einsum((a, b), op.terms, op.out)
        case ops.Gram() if a == b:
            return ops.Gram(a, op.block)
        case ops.Gram():
            rank = len(step.shape) + 1
            batch, (r, r2, d) = tuple(range(rank - 3)), range(rank - 3, rank)
            return ops.Einsum((a, b), ((*batch, r, d), (*batch, r2, d)), (*batch, r, r2))
        case ops.Convolution():
            return _put(op, x=a, weight=b, bias=op.bias if bias else None)
        case ops.TransposedConvolution():
            return _put(op, x=a, weight=b)
        case ops.WeightGradient():
            return _put(op, x=a, cotangent=b)


def _terms(writer: Writer, at: int, known: dict[int, int]) -> int:
    """Ones where a value has terms, zeros in its gaps: its steps on ones."""
    if at in known:
        return known[at]
    step = writer.steps[at]
    op = step.operation
    if isinstance(op, ops.Operand):
        made = writer.step(ops.Indicator(((),), at), step.shape, step.axes)
    elif isinstance(op, ops.Indicator):
        made = at
    elif isinstance(op, ops.Scale | ops.Finite):
        made = _terms(writer, op.x, known)
    elif isinstance(op, ops.Spoiled):
        made = _terms(writer, op.values[0], known)
    else:
        again = ops.reread(op, {v: _terms(writer, v, known) for v in op.inputs})
        made = writer.step(again, step.shape, step.axes, step.remark)
        if op.role not in _ADDS_NOTHING:
            made = writer.step(ops.Marked(made, True), step.shape, step.axes)
    known[at] = made
    return made


def _put(op: ops.Operation, **values: int | None) -> ops.Operation:
    """An operation that reads other values."""
    kept = {f.name: getattr(op, f.name) for f in fields(op)}
    return type(op)(**(kept | values))
