"""Weight gradients with one channel a group, a few columns of the kernel at a time.

On the CPU oneDNN has fast code for kernels of up to `COLUMNS` columns in up to two dimensions
without dilation; for others it takes some ten times as long an entry (`benchmarks.depthwise`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from diagrammar import program as ops
from diagrammar.ir.scalar import equal
from diagrammar.program.passes.registry import Draft, Replacement, Stage, program_pass
from diagrammar.program.writer import Writer
from diagrammar.rewrite.rule import Miss

COLUMNS = 3
TEXT = """
size b := 2, g := 3, i := 10, k := {k}
tensor X[b, g, i]
tensor V[b, g, o]
pattern P[i, o, k] = conv()
G[g, k] = X[b, g, i] * P[i, o, k] * V[b, g, o]
"""


@program_pass(
    law="Σ_{b,o} X·Π·V for all k  is the same for some of the k, side by side",
    example=TEXT.format(k=5),
    near_miss=TEXT.format(k=3),
    reason="a kernel of size 3 has fast code",
    stage=Stage.CALLS,
    choice="three columns at a time",
    native=True,
)
def split_kernel(step: ops.Step, program: Draft) -> Replacement | Miss:
    """A wide weight gradient by some columns of the kernel at a time: its entries are independent
    of each other, and each is a sum over all windows."""
    op, kernel = step.operation, step.shape[2:]
    if not isinstance(op, ops.WeightGradient):
        return Miss("no weight gradient")
    if not all(equal(d, 1) for d in op.dilation):
        return Miss("the kernel is dilated")
    if not equal(step.shape[1], 1) or not equal(op.groups, step.shape[0]):
        return Miss("more than one channel a group")
    if equal(op.groups, 1):
        return Miss("one group")
    known = [k for k in kernel if isinstance(k, int)]
    if len(known) < len(kernel):
        return Miss("the size of the kernel is open")
    size = "×".join(map(str, known))
    if not is_wide(known):
        return Miss(f"a kernel of size {size} has fast code")
    return Replacement(partial(_written, step, op), f"a kernel of size {size}")


def _written(step: ops.Step, op: ops.WeightGradient, writer: Writer) -> int:
    return writer.step(replace(op, narrow=True), step.shape, step.axes, step.remark)


def is_wide(kernel: Sequence[int]) -> bool:
    """Whether a kernel has too many columns, or dimensions, for the fast code."""
    return kernel[-1] > COLUMNS or (len(kernel) > 2 and kernel[0] > 1)


def columns(kernel: Sequence[int]) -> int:
    """The number of calls for a wide kernel. One of one dimension stands upright and takes one
    call; one of three dimensions takes the calls of a plane for each of its planes."""
    if len(kernel) == 1:
        return 1
    planes = kernel[0] if len(kernel) > 2 else 1
    return planes * -(-kernel[-1] // COLUMNS)
