"""Where the entries of a value lie: strides, and which reshapes have to copy."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

Numbers = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """A value's shape and strides in entries; `copied` if its step writes it."""

    shape: Numbers
    strides: Numbers
    copied: bool

    @property
    def entries(self) -> int:
        """How many it has."""
        return prod(self.shape)

    @property
    def contiguous(self) -> bool:
        """Whether it lies row-major without gaps."""
        return self.strides == row_major(self.shape)


def row_major(shape: Numbers) -> Numbers:
    """The strides of a freshly written value."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def reshaped(old: Numbers, strides: Numbers, new: Numbers) -> Numbers | None:
    """The strides after a reshape without a copy; None if there are none."""
    if 0 in new:  # without entries any strides will do
        return (1,) * len(new)
    runs: list[tuple[int, int]] = []  # entries and step of each stretch of axes that lie together
    for n, s in zip(old, strides, strict=True):
        if n == 1:
            continue
        if runs and runs[-1][1] == n * s:
            runs[-1] = (runs[-1][0] * n, s)
        else:
            runs.append((n, s))
    found: list[int] = []
    at = len(runs) - 1
    left, step = runs[at] if runs else (1, 1)
    for n in reversed(new):
        if n == 1:
            found.append(step)
            continue
        while left == 1 and at > 0:
            at -= 1
            left, step = runs[at]
        if left % n:
            return None
        found.append(step)
        left, step = left // n, step * n
    return tuple(reversed(found))
