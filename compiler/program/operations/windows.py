"""Sliding windows, and their transpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from diagrammar.ir.covering import reaches
from diagrammar.ir.estimate import estimate
from diagrammar.ir.scalar import Dim, equal
from diagrammar.program.operations.base import Role, Shape, Sizes, operation
from diagrammar.program.operations.nan import Known, Reach, are_numbers, unless, worst_zeros
from diagrammar.program.operations.placed import Numbers, Placed
from diagrammar.program.operations.sharing import Overlap
from diagrammar.program.operations.unary import Unary
from diagrammar.program.operations.work import Library, Work, moved


@operation([(2, 9, 2)], (2, 3, 2, 3), x=0, axis=1, count=3, size=3, stride=2, dilation=2)
@dataclass(frozen=True, slots=True)
class Window(Unary):
    """Sliding windows along `axis`: result[…, o, …, k] = x[…, stride·o + dilation·k, …].

    `axis` becomes o, with `count` windows; a new last axis k has `size` entries. A view where the
    backend has them. The last entry touched must exist: stride·(count−1) + dilation·(size−1) <
    x.shape[axis].
    """

    law: ClassVar[str] = "windows: a view; nothing of the pattern is stored"

    role: ClassVar[Role] = Role.MOVE

    axis: int
    count: Dim
    size: Dim
    stride: Dim = 1
    dilation: Dim = 1

    def strides(self, inputs: Sequence[Placed], result: Numbers) -> Numbers | None:
        """Those of x, in steps of the stride; then in steps of the dilation."""
        strides = list(inputs[0].strides)
        step = strides[self.axis]
        strides[self.axis] = step * estimate(self.stride)
        return (*strides, step * estimate(self.dilation))

    def shares(self, overlap: Overlap, inputs: Sequence[Shape], result: Shape) -> Overlap | None:
        """A view, whose windows may have entries in common."""
        if self._are_apart():
            return overlap
        numbers = (self.count, self.size, self.stride, self.dilation)
        several = are_numbers(numbers) and int(self.count) > 1 and int(self.size) > 1
        return Overlap.CERTAIN if several else max(overlap, Overlap.PERHAPS)

    def _are_apart(self) -> bool:
        """Whether no two windows share an entry."""
        if equal(self.count, 1) or equal(self.size, 1):
            return True
        stride, size = self.stride, self.size
        numbers = isinstance(stride, int) and isinstance(size, int)
        return equal(self.dilation, 1) and numbers and stride >= size


@operation([(20, 3, 3)], (20, 6), x=0, windows=1, entries=2, size=6, stride=2, padding=1)
@dataclass(frozen=True, slots=True)
class Fold(Unary):
    """The transpose of padding and windows: result[…, i] = Σ x[…, o, k] over i = stride·o +
    dilation·k − padding.

    Axes `windows` (o) and `entries` (k) go, a new last axis i of `size` comes; what falls outside
    is dropped.
    """

    law: ClassVar[str] = "fold: windows are added back to the rows that they came from"

    role: ClassVar[Role] = Role.SUM

    windows: int
    entries: int
    size: Dim
    stride: Dim = 1
    dilation: Dim = 1
    padding: Dim = 0

    def scratch(self, inputs: Sequence[Placed], result: Sizes, itemsize: int) -> int:
        """Padded sums, cut to size."""
        return prod(result) + prod(inputs[0].shape)

    def zeros(self, inputs: Sequence[Known], shapes: Sequence[Shape], result: Shape) -> Reach:
        """Those of x, and rows that no window has."""
        x = shapes[0]
        sizes = (self.size, x[self.windows], x[self.entries])
        numbers = (*sizes, self.stride, self.dilation, self.padding)
        everywhere = are_numbers(numbers) and reaches(*map(int, numbers))
        return max(worst_zeros(inputs), unless(everywhere))

    def work(self, inputs: Sequence[Placed], result: Placed, library: Library) -> Work:
        """Each entry of the kernel is added to what is there: windows are read, and so are sums."""
        adding = moved(2 * inputs[0].entries, result.entries, library, scattered=True)
        return adding._replace(calls=self.calls)

    @property
    def calls(self) -> float:
        """Those of a reshape, `fold` and a cut."""
        return 15
