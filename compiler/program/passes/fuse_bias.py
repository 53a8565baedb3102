"""Sums that a library call takes over: the bias of a convolution."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from diagrammar import program as ops
from diagrammar.ir.diagram import product
from diagrammar.ir.scalar import equal
from diagrammar.program.passes.registry import Draft, Replacement, Stage, program_pass
from diagrammar.program.writer import Writer
from diagrammar.rewrite.rule import Miss

TEXT = """
size b := 2, ci := 3, co := 4, i := 8, k := 3
tensor X[b, ci, i]
tensor W[co, ci, k]
tensor B[{bias}]
pattern P[i, o, k] = conv()
Y[b, co, o] = X[b, ci, i] * P[i, o, k] * W[co, ci, k] + B[{bias}]
"""


@program_pass(
    law="(Σ X·Π·W)[b,co,o] + B[co]  is one call of a convolution with bias",
    example=TEXT.format(bias="co"),
    near_miss=TEXT.format(bias="b"),
    reason="the other summand has not one entry for each channel",
    stage=Stage.BIASES,
)
def fuse_bias(step: ops.Step, program: Draft) -> Replacement | Miss:
    """A convolution and the bias that is added to it, where nothing else reads the convolution;
    reshapes of the call are one."""
    if isinstance(step.operation, ops.Reshape):
        return _reshaped(step, step.operation.x, program)
    if not isinstance(step.operation, ops.Add) or len(step.operation.values) != 2:
        return Miss("no sum of two values")
    said = "no convolution is added"
    for first, bias in (step.operation.values, step.operation.values[::-1]):
        call = first
        while isinstance(program.steps[call].operation, ops.Reshape) and program.reads(call) == 1:
            call = program.steps[call].operation.inputs[0]
        made = program.steps[call]
        if not isinstance(made.operation, ops.Convolution) or made.operation.bias is not None:
            continue
        if program.reads(call) != 1:
            said = f"the convolution is read {program.reads(call)} times"
        elif not all(map(equal, program.steps[first].shape, step.shape)):
            said = "the sum is larger than the convolution"
        elif not _along_channels(program.steps[bias], program.steps[first], made):
            said = "the other summand has not one entry for each channel"
        else:
            return Replacement(partial(_written, step, call, bias), "one entry for each channel")
    return Miss(said)


def _reshaped(step: ops.Step, x: int, program: Draft) -> Replacement | Miss:
    """A reshape of what has been a sum, whose call may have been reshaped already."""
    call = program.steps[x]
    while isinstance(call.operation, ops.Reshape):
        call = program.steps[call.operation.x]
    if not isinstance(call.operation, ops.Convolution) or call.operation.bias is None:
        return Miss("no reshape of a call with bias")
    return Replacement(lambda writer: writer.reshape(x, step.shape, step.axes), "one reshape")


def _written(step: ops.Step, convolution: int, bias: int, writer: Writer) -> int:
    made = writer.steps[convolution]
    assert isinstance(made.operation, ops.Convolution)
    flat = writer.reshape(bias, [made.shape[1]], [made.axes[1]])
    writer.take_over(convolution)
    whole = writer.step(replace(made.operation, bias=flat), made.shape, made.axes, made.remark)
    return writer.reshape(whole, step.shape, step.axes)


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
