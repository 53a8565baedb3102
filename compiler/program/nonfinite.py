"""What a NaN or infinity in an operand may reach.

By the definition it reaches the entries of the result whose sum has a term with it. A program
reaches more where it multiplies it by a zero that stands for no term: 0·NaN = NaN. There are two
kinds. At a *border*, zeros of padding are rows of an operand, as in PyTorch's own convolutions: a
NaN in the kernel reaches all windows that hang over the edge. In a *gap* (`ir.gaps`) a zero
stands where a relation leads nothing: in a window matrix, a Toeplitz matrix, between strides. A
product with those lets one NaN reach everything, so it is kept apart: a pattern masks what it meets
(`passes.mask_patterns`), and no other value with gaps is multiplied by an operand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from diagrammar import program as ops
from diagrammar.program.operations.nan import Known, Reach

__all__ = ["Known", "Reach", "is_given", "learn", "reach"]


def reach(program: ops.Program) -> Reach:
    """What a NaN or infinity in an operand of a program may reach."""
    known: dict[int, Known] = {}
    for at, step in enumerate(program.steps):
        known[at] = learn(step, program.steps, known)
    return max((known[n].reach for n in program.results), default=Reach.SUMS)


def is_given(step: ops.Step, steps: Sequence[ops.Step], known: Mapping[int, bool]) -> bool:
    """Whether an operand is in a step's value, from whether one is in what it reads."""
    return step.operation.is_given([known[v] for v in step.operation.reads])


def learn(step: ops.Step, steps: Sequence[ops.Step], known: Mapping[int, Known]) -> Known:
    """What is known of a step's value, from what is known of those that it reads."""
    op = step.operation
    inputs = [known[v] for v in op.reads]
    shapes = [steps[v].shape for v in op.reads]
    return Known(
        op.is_given([x.given for x in inputs]),
        op.zeros(inputs, shapes, step.shape),
        op.reach(inputs, shapes, step.shape),
        op.covers(inputs, step.shape),
    )
