"""What a library call of a convolution allocates for itself on the CPU, for operands that come
row-major: upper bounds.

It reorders its operands into blocks of channels, or, in float64 and for a small image, unfolds the
input.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from diagrammar.ir.estimate import estimate
from diagrammar.ir.scalar import Dim
from diagrammar.program.operations.placed import Placed

BLOCK = 16
"""Channels in a block of a library's format; fewer are filled up with zeros."""
WORKSPACE = 2**15
"""Entries of a library call's own workspace, whatever its operands are."""
TALL = 7
"""Rows of a kernel up to which a weight gradient does not pad its input itself."""
SMALL = 20480
"""Entries of a single image up to which PyTorch has no library call for it, but unfolds it."""
FEW = 4
"""The least number of channels that are put into blocks."""


def aside(
    inputs: Sequence[Placed],
    blocks: int,
    unfolded: int,
    itemsize: int,
    *,
    small: bool,
    copies: int = 0,
) -> int:
    """The entries for a call: its blocks, or what it unfolds, with copies of operands that do not
    lie in order; `copies` are further ones of a call that has blocks."""
    scattered = sum(prod(x.shape) for x in inputs if not x.contiguous)
    if itemsize > 4:
        return WORKSPACE + scattered + unfolded
    return WORKSPACE + scattered + copies + max(blocks, unfolded if small else 0)


def is_small(x: Sequence[int], groups: Dim) -> bool:
    """Whether there is no library call for an input: a single small image."""
    return x[0] == 1 and prod(x) <= SMALL and estimate(groups) == 1


def blocked(shape: Sequence[int]) -> int:
    """The entries of an operand in blocks of channels; a few channels stay as they are."""
    channels = shape[1]
    if channels >= FEW:
        channels = -(-channels // BLOCK) * BLOCK
    return shape[0] * channels * prod(shape[2:])


def padded(shape: Sequence[int]) -> int:
    """The zeros in those blocks."""
    return blocked(shape) - prod(shape)
