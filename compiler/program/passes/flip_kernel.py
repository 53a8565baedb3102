"""Convolutions as input gradients and back: at stride 1 the two differ in the kernel's direction.

Libraries have other code for the two; with one channel a group, or few channels in one group, one
can take many times as long as the other (`benchmarks.depthwise`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from diagrammar import program as ops
from diagrammar.ir.diagram import product
from diagrammar.ir.estimate import estimate
from diagrammar.ir.scalar import expand, nonnegative
from diagrammar.program.passes.registry import Draft, Replacement, Stage, program_pass
from diagrammar.program.writer import Writer
from diagrammar.rewrite.rule import Miss

FEW = 16
"""Channels of a group below which library calls are not at their best, and the two differ."""
TEXT = """
size b := 2, ci := {channels}, co := 3, i := 8, k := 3
tensor X[b, ci, i]
tensor W[co, ci, k]
pattern P[i, o, k] = conv(padding=1)
Y[b, co, o] = X[b, ci, i] * P[i, o, k] * W[co, ci, k]
"""

Call = ops.Convolution | ops.TransposedConvolution


@program_pass(
    law="o = i + P − D·k  is  i = o + (D(K−1) − P) − D·k′  with k′ = K − 1 − k",
    example=TEXT.format(channels=2),
    near_miss=TEXT.format(channels=16),
    reason="16 channels are not few",
    stage=Stage.CALLS,
    choice="kernels flipped",
    native=True,
)
def flip_kernel(step: ops.Step, program: Draft) -> Replacement | Miss:
    """A call of stride 1 with few channels the other way round: a convolution as an input gradient
    of the flipped kernel, an input gradient as a convolution."""
    op = step.operation
    if not isinstance(op, Call):
        return Miss("no convolution, and no transposed one")
    if isinstance(op, ops.Convolution) and op.bias is not None:
        return Miss("the convolution has a bias")
    if isinstance(op, ops.TransposedConvolution) and any(op.output_padding):
        return Miss("the output is padded")
    weight = program.steps[op.weight].shape
    known = (*weight, *op.stride, *op.padding, *op.dilation, op.groups)
    if not all(isinstance(n, int) for n in known):
        return Miss("sizes are open")
    if any(s != 1 for s in op.stride):
        return Miss("a stride")
    groups = estimate(op.groups)
    channels = max(estimate(weight[0]) // groups, estimate(weight[1]))
    if channels >= (FEW if groups == 1 else 2):
        return Miss(f"{channels} channels are not few")
    if all(k == 1 for k in weight[2:]):
        return Miss("the kernel has one entry")
    if not all(nonnegative(p) for p in _padding(op, weight)):
        return Miss("more padding than the kernel reaches")
    return Replacement(partial(_written, step, op), f"{channels} channels a group, stride 1")


def _written(step: ops.Step, op: Call, writer: Writer) -> int:
    return writer.step(_other(writer, op), step.shape, step.axes, step.remark)


def _padding(op: Call, weight: Sequence[ops.Dim]) -> tuple[ops.Dim, ...]:
    """The padding the other way."""
    geometry = zip(op.dilation, weight[2:], op.padding, strict=True)
    return tuple(expand(d * (k - 1) - p) for d, k, p in geometry)


def _other(writer: Writer, op: Call) -> Call:
    """The call with its kernel flipped and its channels exchanged."""
    made = writer.steps[op.weight]
    rows, columns, *kernel = made.shape
    groups = op.groups
    parts = estimate(rows) // estimate(groups)
    weight = op.weight
    if (parts, columns) != (1, 1):
        axes = made.axes[2:]
        weight = writer.reshape(weight, (groups, parts, columns, *kernel), ("g", "c", "d", *axes))
        order = (0, 2, 1, *range(3, 3 + len(kernel)))
        shape = (groups, columns, parts, *kernel)
        weight = writer.step(ops.Permute(weight, order), shape, ("g", "d", "c", *axes))
        joined = product((groups, columns)), parts, *kernel
        weight = writer.reshape(weight, joined, ("(g d)", "c", *axes))
    for axis, k in enumerate(kernel, start=2):
        if k != 1:
            before = writer.steps[weight]
            weight = writer.step(ops.Flip(weight, axis), before.shape, before.axes)
    padding = _padding(op, made.shape)
    if isinstance(op, ops.TransposedConvolution):
        return ops.Convolution(op.x, weight, op.stride, padding, op.dilation, groups)
    none = (0,) * len(kernel)
    return ops.TransposedConvolution(
        op.x, weight, op.stride, padding, none, op.dilation, groups, backward=True
    )
