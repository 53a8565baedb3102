"""Weight gradients with one channel a group, a few columns of the kernel at a time.

Law: the entries of a kernel are independent of each other, and each is a sum over all windows. On
the CPU oneDNN has fast code for kernels of up to `COLUMNS` columns in up to two dimensions without
dilation; for others it takes some ten times as long an entry (`benchmarks.depthwise`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from diagrammar import program as ops
from diagrammar.ir.scalar import equal
from diagrammar.plan.planner import Planned

COLUMNS = 3


def as_narrow(planned: Planned) -> Planned:
    """The plan with wide weight gradients computed so."""

    def changed(step: ops.Step) -> ops.Step:
        op, kernel = step.operation, step.shape[2:]
        if not isinstance(op, ops.WeightGradient) or not all(equal(d, 1) for d in op.dilation):
            return step
        if not equal(step.shape[1], 1) or not equal(op.groups, step.shape[0]):
            return step
        if equal(op.groups, 1):
            return step
        known = [k for k in kernel if isinstance(k, int)]
        if len(known) < len(kernel) or not is_wide(known):
            return step
        return replace(step, operation=replace(op, narrow=True))

    program = planned.program
    return replace(planned, program=replace(program, steps=tuple(map(changed, program.steps))))


def is_wide(kernel: Sequence[int]) -> bool:
    """Whether a kernel has too many columns, or dimensions, for the fast code."""
    return kernel[-1] > COLUMNS or (len(kernel) > 2 and kernel[0] > 1)


def columns(kernel: Sequence[int]) -> int:
    """The calls for a wide kernel: of one dimension it stands upright, of three dimensions there
    is one of two for each entry of the first."""
    if len(kernel) == 1:
        return 1
    planes = kernel[0] if len(kernel) > 2 else 1
    return planes * -(-kernel[-1] // COLUMNS)
