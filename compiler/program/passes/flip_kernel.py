"""Convolutions as input gradients and back: at stride 1 the two differ in the kernel's direction.

Law: o = i + P − D·k is i = o + (D(K−1) − P) − D·k′ with k′ = K − 1 − k. Libraries have other code
for the two; with one channel a group, or few channels in one group, one can take many times as long
as the other (`benchmarks.depthwise`).
"""

from __future__ import annotations

from collections.abc import Sequence

from diagrammar import program as ops
from diagrammar.ir.diagram import product
from diagrammar.ir.scalar import expand, nonnegative
from diagrammar.plan.planner import Planned
from diagrammar.program.writer import Writer
from diagrammar.search.search import estimate

FEW = 16
"""Channels of a group below which library calls are not at their best, and the two differ."""


def as_flipped(planned: Planned) -> Planned:
    """The plan with calls of stride 1 and few channels the other way round."""
    program, writer = planned.program, Writer()
    if not any(_flips(step, program.steps) for step in program.steps):
        return planned
    value: dict[int, int] = {}
    for at, step in enumerate(program.steps):
        writer.about = planned.origins[at]
        operation = ops.reread(step.operation, value)
        if _flips(step, program.steps):
            operation = _other(writer, operation)
        value[at] = writer.step(operation, step.shape, step.axes, step.remark)
    return planned.rewritten(writer, tuple(value[at] for at in program.results))


def _flips(step: ops.Step, steps: Sequence[ops.Step]) -> bool:
    op = step.operation
    if not isinstance(op, ops.Convolution | ops.TransposedConvolution):
        return False
    if isinstance(op, ops.Convolution) and op.bias is not None:
        return False
    if isinstance(op, ops.TransposedConvolution) and any(op.output_padding):
        return False
    weight = steps[op.weight].shape
    known = (*weight, *op.stride, *op.padding, *op.dilation, op.groups)
    if not all(isinstance(n, int) for n in known) or any(s != 1 for s in op.stride):
        return False
    groups = estimate(op.groups)
    channels = max(estimate(weight[0]) // groups, estimate(weight[1]))
    return (
        channels < (FEW if groups == 1 else 2)
        and any(k != 1 for k in weight[2:])
        and all(nonnegative(p) for p in _padding(op, weight))
    )


def _padding(
    op: ops.Convolution | ops.TransposedConvolution, weight: Sequence[ops.Dim]
) -> tuple[ops.Dim, ...]:
    """The padding the other way."""
    geometry = zip(op.dilation, weight[2:], op.padding, strict=True)
    return tuple(expand(d * (k - 1) - p) for d, k, p in geometry)


def _other(writer: Writer, op: ops.Operation) -> ops.Operation:
    """The call with its kernel flipped and its channels exchanged."""
    assert isinstance(op, ops.Convolution | ops.TransposedConvolution)
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
