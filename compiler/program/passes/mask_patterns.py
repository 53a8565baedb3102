"""Patterns as masks of what they meet: a NaN or infinity stays out of the sums that a pattern
leaves out (`program.nonfinite`)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import prod

from diagrammar import program as ops
from diagrammar.ir.estimate import estimate
from diagrammar.program.nonfinite import is_given, learn
from diagrammar.program.passes.registry import Draft, Replacement, Stage, program_pass
from diagrammar.program.writer import Writer
from diagrammar.rewrite.rule import Miss

SMALL = 4
"""How many times its operand and result together a masked product may be, to be written out."""
LETTERS = 52
TEXT = """
size b := 2, i := 6, j := 6
tensor X[b, j]
pattern M[i, j] = {pattern}
Y[b, i] = X[b, j] * M[i, j]
"""


@program_pass(
    law="Σ_j X[j]·[j in S]  is the sum of X[j] over j in S, where 0·NaN = NaN",
    example=TEXT.format(pattern="[j <= i]"),
    near_miss=TEXT.format(pattern="[j <= i] + [j >= i]"),
    reason="the pattern has no zeros",
    stage=Stage.MASKS,
)
def mask_patterns(step: ops.Step, program: Draft) -> Replacement | Miss:
    """A product with a pattern that has zeros as a masked sum."""
    op = step.operation
    if not isinstance(op, ops.Einsum) or len(op.values) != 2:
        return Miss("no product of two values")
    given = [program.known(v, is_given) for v in op.values]
    if all(given) or not any(given):
        return Miss("no pattern meets an operand")
    side = given.index(False)
    if not program.known(op.values[side], learn).zeros:
        return Miss("the pattern has no zeros")
    return Replacement(partial(_mask, step, op, side), "a pattern with zeros")


def _mask(step: ops.Step, op: ops.Einsum, side: int, writer: Writer) -> int:
    """A contraction with a pattern on a side, by masking; sums come afterwards or with it."""
    pattern, x = op.values[side], op.values[1 - side]
    terms = op.terms[side], op.terms[1 - side]
    sizes = {
        n: s
        for v, t in zip((pattern, x), terms, strict=True)
        for n, s in zip(t, writer.steps[v].shape, strict=True)
    }
    names = {
        n: axis
        for v, t in zip((pattern, x), terms, strict=True)
        for n, axis in zip(t, writer.steps[v].axes, strict=True)
    }
    made = writer.steps[pattern].operation
    counts = not isinstance(made, ops.Indicator) or len(made.pieces) > 1
    masked = ops.Masked((pattern, x), terms, op.out, counts)
    swept = prod(estimate(s) for s in sizes.values())
    held = prod(map(estimate, writer.steps[x].shape)) + prod(map(estimate, step.shape))
    if len(masked.every) > len(op.out) and swept > SMALL * held and len(sizes) <= LETTERS:
        masked = replace(masked, whole=False)
        return writer.step(masked, step.shape, step.axes, step.remark)
    ordered, moved = [], []
    for value, term in zip((pattern, x), terms, strict=True):
        order = [term.index(n) for n in masked.every if n in term]
        if order != list(range(len(term))):
            shape, axes = [sizes[term[n]] for n in order], [names[term[n]] for n in order]
            value = writer.step(ops.Permute(value, tuple(order)), shape, axes)
        moved.append(value)
        ordered.append(tuple(term[n] for n in order))
    masked = ops.Masked((moved[0], moved[1]), (ordered[0], ordered[1]), op.out, counts)
    return writer.step(masked, step.shape, step.axes, step.remark)
