"""Sums and products of windows by stretches of rows."""

from __future__ import annotations

from dataclasses import dataclass

from diagrammar.ir.scalar import Dim
from diagrammar.program.operations.unary import Unary

Stretches = tuple[tuple[int, int, tuple[int, ...]], ...]
"""Runs of rows: start, stop, and the kernel positions k whose windows have them in their column."""


@dataclass(frozen=True, slots=True)
class WindowSums(Unary):
    """Sums over rows: along each of `axes`, entry k of the result is the sum of x over the
    stretches that have k, in steps of the axis' stride."""

    axes: tuple[int, ...]
    stretches: tuple[Stretches, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WindowGram(Unary):
    """The Gram matrix of the windows of x [b, g·c, *i] for each group, times `scale`:
    [g, c, *k, c, *k].

    `stretches` has the runs of rows of each dimension, in steps of the stride. The entry of k and l
    is the sum of x[i]·x[i + dilation·(l − k)] over the rows of k; outside, x is zero. What lies
    below the diagonal in dimension `mirrored` is not computed again.
    """

    kernel: tuple[int, ...]
    stretches: tuple[Stretches, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    scale: Dim = 1

    @property
    def mirrored(self) -> int:
        """The dimension with the longest kernel, the last of several."""
        return max(range(len(self.kernel)), key=lambda n: (self.kernel[n], n))
