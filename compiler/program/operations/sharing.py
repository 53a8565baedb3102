"""Whether a result may share memory with what it is made from, for any strides and sizes.

`placed` says where entries lie for operands that come row-major; this says what may be, so that
neither strides nor sizes decide whether a result owns its memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from diagrammar.ir.scalar import Dim, equal


class Overlap(IntEnum):
    """Whether entries of a value lie in one place."""

    NONE = 0
    PERHAPS = 1
    CERTAIN = 2


def part(overlap: Overlap) -> Overlap:
    """The overlap of a part of a value: entries that share a place may be in it or not."""
    return min(overlap, Overlap.PERHAPS)


def alike(before: Sequence[Dim], after: Sequence[Dim]) -> bool:
    """Whether two shapes agree, axes of size one aside."""
    first, second = ([n for n in shape if not equal(n, 1)] for shape in (before, after))
    return len(first) == len(second) and all(map(equal, first, second))
