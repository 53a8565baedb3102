"""Sums that a library call takes over: the bias of a convolution."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from diagrammar import program as ops
from diagrammar.ir.diagram import product
from diagrammar.ir.scalar import equal
from diagrammar.plan.planner import Planned
from diagrammar.program.writer import Writer


def with_bias(planned: Planned) -> Planned:
    """The plan with `convolution + bias` as one call wherever nothing else reads the sum's first
    part."""
    program = planned.program
    uses = Counter(v for step in program.steps for v in step.operation.inputs)
    uses.update(program.results)
    writer = Writer()
    value: dict[int, int] = {}
    fused = {n: f for n in range(len(program.steps)) if (f := _biased(program, n, uses))}
    if not fused:
        return planned
    for at, step in enumerate(program.steps):
        writer.about = planned.origins[at]
        if at not in fused:
            if isinstance(step.operation, ops.Reshape):
                value[at] = writer.reshape(value[step.operation.x], step.shape, step.axes)
                continue
            operation = ops.reread(step.operation, value)
            value[at] = writer.step(operation, step.shape, step.axes, step.remark)
            continue
        convolution, bias = fused[at]
        made = program.steps[convolution]
        flat = writer.reshape(value[bias], [made.shape[1]], [made.axes[1]])
        writer.about |= planned.origins[convolution]
        call = replace(ops.reread(made.operation, value), bias=flat)
        whole = writer.step(call, made.shape, made.axes, step.remark)
        value[at] = writer.reshape(whole, step.shape, step.axes)
    return planned.rewritten(writer, tuple(value[at] for at in program.results))


def _biased(program: ops.Program, at: int, uses: Counter[int]) -> tuple[int, int] | None:
    """The convolution and the bias that a step adds; None if it does not."""
    step = program.steps[at]
    if not isinstance(step.operation, ops.Add) or len(step.operation.values) != 2:
        return None
    for first, bias in (step.operation.values, step.operation.values[::-1]):
        convolution = first
        made = program.steps[convolution]
        while isinstance(made.operation, ops.Reshape) and uses[convolution] == 1:
            convolution = made.operation.x
            made = program.steps[convolution]
        if (
            isinstance(made.operation, ops.Convolution)
            and made.operation.bias is None
            and uses[convolution] == 1
            and all(map(equal, program.steps[first].shape, step.shape))
            and _along_channels(program.steps[bias], program.steps[first], made)
        ):
            return convolution, bias
    return None


def _along_channels(bias: ops.Step, shaped: ops.Step, convolution: ops.Step) -> bool:
    """Whether a value has one entry for each channel of a convolution, and no other axis."""
    kept = [n for n, size in enumerate(bias.shape) if not equal(size, 1)]
    if not kept or len(bias.shape) != len(shaped.shape):
        return False
    start, end = kept[0], kept[-1] + 1
    return (
        equal(product(shaped.shape[:start]), convolution.shape[0])
        and equal(product(bias.shape), convolution.shape[1])
        and equal(product(shaped.shape[start:end]), convolution.shape[1])
    )
