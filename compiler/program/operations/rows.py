"""Sums and products of windows by stretches of rows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from diagrammar.ir.scalar import Dim
from diagrammar.program.operations.base import Role, Shape, Sizes, operation
from diagrammar.program.operations.convolutions import weight_gradient
from diagrammar.program.operations.library import WORKSPACE, blocked
from diagrammar.program.operations.nan import (
    Known,
    Reach,
    unless,
    worst_reach,
    worst_zeros,
)
from diagrammar.program.operations.placed import Placed
from diagrammar.program.operations.unary import Unary
from diagrammar.program.operations.work import Library, Work, copied, moved, total

Stretches = tuple[tuple[int, int, tuple[int, ...]], ...]
"""Runs of rows: start, stop, and the kernel positions k whose windows have them in their column."""


@operation(
    [(2, 4)],
    (2, 3),
    x=0,
    axes=(1,),
    stretches=(((0, 1, (0, 1)), (1, 3, (0, 1, 2)), (3, 4, (1, 2))),),
    stride=(1,),
)
@dataclass(frozen=True, slots=True)
class WindowSums(Unary):
    """Sums over rows: along each of `axes`, entry k of the result is the sum of x over the
    stretches that have k, in steps of the axis' stride."""

    law: ClassVar[str] = "sums of windows: a pattern summed over o says which rows are added"

    words: ClassVar[str] = "sums of windows"
    role: ClassVar[Role] = Role.SUM

    axes: tuple[int, ...]
    stretches: tuple[Stretches, ...]
    stride: tuple[int, ...]

    def work(self, inputs: Sequence[Placed], result: Placed, library: Library) -> Work:
        """Each axis in turn: all rows are read once, each k is a sum of a few stretches of them."""
        sizes, works = list(inputs[0].shape), []
        for axis, stretches in zip(self.axes, self.stretches, strict=True):
            read, parts = prod(sizes), sum(len(inside) for _, _, inside in stretches)
            sizes[axis] = result.shape[axis]
            sums = prod(sizes) * 3 * parts // sizes[axis]
            works.append(moved(read + sums, 0, library, scattered=False))
            works.append(Work(calls=3 * len(stretches) + parts + 3))
        return total(works)

    def workspace(self, inputs: Sequence[Sizes], result: Sizes) -> int:
        """The sums of stretches, and those of each k, of the axis that has most."""
        shape, held = list(inputs[0]), 0
        for axis, stretches in zip(self.axes, self.stretches, strict=True):
            shape[axis] = result[axis] + len(stretches)
            held = max(held, 2 * prod(shape))
        return held

    def zeros(self, inputs: Sequence[Known], shapes: Sequence[Shape], result: Shape) -> Reach:
        """Those of x, and kernel positions that no row has."""
        full = all(
            len({k for _, _, inside in runs for k in inside}) == result[axis]
            for axis, runs in zip(self.axes, self.stretches, strict=True)
        )
        return max(worst_zeros(inputs), unless(full))


@operation(
    [(2, 4, 4, 3)],
    (2, 2, 3, 1, 2, 3, 1),
    x=0,
    kernel=(3, 1),
    stretches=(((0, 1, (0, 1)), (1, 3, (0, 1, 2)), (3, 4, (1, 2))), ((0, 3, (0,)),)),
    stride=(1, 1),
    dilation=(1, 1),
    groups=2,
)
@dataclass(frozen=True, slots=True)
class WindowGram(Unary):
    """The Gram matrix of the windows of x [b, g·c, *i] for each group, times `scale`:
    [g, c, *k, c, *k].

    `stretches` has the runs of rows of each dimension, in steps of the stride. The entry of k and l
    is the sum of x[i]·x[i + dilation·(l − k)] over the rows of k; outside, x is zero. What lies
    below the diagonal in dimension `mirrored` is not computed again.
    """

    law: ClassVar[str] = (
        "Gram matrix of windows: rows that lie D·(k′ − k) apart meet, whatever o is"
    )

    words: ClassVar[str] = "Gram matrix of windows"
    role: ClassVar[Role] = Role.PRODUCT

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

    def multiplications(self, inputs: Sequence[Sizes], result: Sizes) -> int:
        """Those of the rows of each stretch with all rows at the distances that it needs."""
        batch, channels = inputs[0][:2]
        total = 0
        for region in itertools.product(*self.stretches):
            swept = batch * channels * channels // self.groups
            for at, (start, stop, inside) in enumerate(region):
                low = 0 if at == self.mirrored else -max(inside)
                high = self.kernel[at] - 1 - min(inside)
                swept *= len(range(start, stop, self.stride[at])) * (high - low + 1)
            total += swept
        return total

    def work(self, inputs: Sequence[Placed], result: Placed, library: Library) -> Work:
        """A weight gradient for each combination of stretches, and the sums that are made of
        them."""
        x = inputs[0].shape
        pads = [d * (k - 1) for d, k in zip(self.dilation, self.kernel, strict=True)]
        padded = prod(n + 2 * p for n, p in zip(x[2:], pads, strict=True)) * x[0] * x[1]
        works = [moved(inputs[0].entries, padded, library, scattered=False)]
        for region in itertools.product(*self.stretches):
            works += self._region(region, x, library)
        return total((*works, copied(result.entries, library)))

    def _region(
        self, region: Sequence[tuple[int, int, tuple[int, ...]]], x: Sizes, library: Library
    ) -> list[Work]:
        """The work of one combination of stretches."""
        rows, near, taps = [], [], []
        for n, (start, stop, inside) in enumerate(region):
            low = 0 if n == self.mirrored else -max(inside)
            high = self.kernel[n] - 1 - min(inside)
            rows.append(len(range(start, stop, self.stride[n])))
            near.append(self.stride[n] * (rows[-1] - 1) + 1 + self.dilation[n] * (high - low))
            taps.append(high - low + 1)
        sums = prod(len(inside) for _, _, inside in region)
        cotangent, data = (*x[:2], *rows), (*x[:2], *near)
        weight = (x[1], x[1] // self.groups, *taps)
        call = weight_gradient(
            cotangent,
            weight,
            self.stride,
            self.dilation,
            self.groups,
            narrow=all(d == 1 for d in self.dilation),
        )
        read = [prod(data), prod(cotangent)]
        return [
            library.convolved(call, read, prod(weight)),
            *(copied(n, library) for n in read),
            moved(2 * prod(weight), prod(weight), library, scattered=True),
            Work(calls=2 * sums),
        ]

    def workspace(self, inputs: Sequence[Sizes], result: Sizes) -> int:
        """The padded operand, copies of the largest stretch, its gradient, and the sums."""
        x = inputs[0]
        pads = [d * (k - 1) for d, k in zip(self.dilation, self.kernel, strict=True)]
        padded = x[0] * x[1] * prod(n + 2 * p for n, p in zip(x[2:], pads, strict=True))
        blocks = x[1] * (x[1] // self.groups)
        longest = self.kernel[self.mirrored]
        others = [k for n, k in enumerate(self.kernel) if n != self.mirrored]
        distances = prod(2 * k - 1 for k in others) * longest
        sums = prod(k * k for k in others) * longest * (longest + 1) // 2
        return 2 * padded + prod(x) + blocks * (2 * distances + sums)

    def scratch(self, inputs: Sequence[Placed], result: Sizes, itemsize: int) -> int:
        """That of a weight gradient of the operand by itself."""
        x = inputs[0].shape
        pads = (d * (k - 1) for d, k in zip(self.dilation, self.kernel, strict=True))
        reach = (n + pad for n, pad in zip(x[2:], pads, strict=True))
        return WORKSPACE + blocked(x) + blocked((*x[:2], *reach))

    def reach(self, inputs: Sequence[Known], shapes: Sequence[Shape], result: Shape) -> Reach:
        """As far as its zeros, since it meets itself; or where rows are paired with some
        outside."""
        borders = Reach.BORDERS if self._overhangs(shapes[0]) else Reach.SUMS
        return max(worst_reach(inputs), worst_zeros(inputs), borders)

    def _overhangs(self, x: Shape) -> bool:
        """Whether rows are paired with some outside of the operand."""
        every = zip(x[2:], self.stretches, self.kernel, self.stride, self.dilation, strict=True)
        return any(
            start - dilation * max(inside) < 0
            or stop - stride + dilation * (kernel - 1 - min(inside)) >= int(size)
            for size, runs, kernel, stride, dilation in every
            for start, stop, inside in runs
        )
