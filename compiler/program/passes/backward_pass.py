"""Strided transposed convolutions in groups by the library's backward pass.

The library's code for those is other code than its transposed convolution, on some layers twice as
fast.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from diagrammar import program as ops
from diagrammar.ir.scalar import equal, nonnegative
from diagrammar.program.passes.registry import Draft, Replacement, Stage, program_pass
from diagrammar.program.writer import Writer
from diagrammar.rewrite.rule import Miss

TEXT = """
size b := 2, g := 2, ci := 3, co := 4, i := 9, k := 3
tensor W[(g co), ci, k]
tensor V[b, (g co), o]
pattern P[i, o, k] = conv(stride={stride})
Y[b, (g ci), i] = V[b, (g co), o] * P[i, o, k] * W[(g co), ci, k]
"""


@program_pass(
    law="a transposed convolution  is  the gradient of a convolution by its input",
    example=TEXT.format(stride=2),
    near_miss=TEXT.format(stride=1),
    reason="stride 1",
    stage=Stage.CALLS,
    choice="backward pass",
    native=True,
)
def backward_pass(step: ops.Step, program: Draft) -> Replacement | Miss:
    """A strided transposed convolution in groups by the backward pass of a convolution."""
    op = step.operation
    if not isinstance(op, ops.TransposedConvolution):
        return Miss("no transposed convolution")
    if equal(op.groups, 1):
        return Miss("one group")
    if all(equal(s, 1) for s in op.stride):
        return Miss("stride 1")
    if not all(
        nonnegative(s - 1 - more) for s, more in zip(op.stride, op.output_padding, strict=True)
    ):
        return Miss("there is room for a window more, which the library says is missing")
    return Replacement(partial(_written, step, op), "a stride, and more than one group")


def _written(step: ops.Step, op: ops.TransposedConvolution, writer: Writer) -> int:
    return writer.step(replace(op, backward=True), step.shape, step.axes, step.remark)
