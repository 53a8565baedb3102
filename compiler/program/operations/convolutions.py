"""A library's convolution and its two gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from diagrammar.ir.covering import reaches
from diagrammar.ir.estimate import estimate
from diagrammar.ir.scalar import Dim, nonnegative
from diagrammar.program.operations.base import Base, Role, Shape, Sizes, operation
from diagrammar.program.operations.library import TALL, aside, blocked, is_small, padded
from diagrammar.program.operations.nan import (
    Known,
    Reach,
    are_numbers,
    of_product,
    unless,
    worst_zeros,
)
from diagrammar.program.operations.placed import Placed
from diagrammar.program.operations.work import Library, LibraryCall, Work, copied, total


@operation(
    [(2, 4, 5, 6), (2, 2, 2, 2), (2,)],
    (2, 2, 3, 3),
    x=0,
    weight=1,
    bias=2,
    stride=(2, 2),
    padding=(1, 1),
    dilation=(1, 2),
    groups=2,
)
@dataclass(frozen=True, slots=True)
class Convolution(Base):
    """Native convolution: x [b, g·ci, *i], weight [g·co, ci, *k] → [b, g·co, *o]; symmetric zero
    padding; plus `bias` [g·co], if given."""

    law: ClassVar[str] = (
        "convolution: one library call for data, kernel and all patterns between them"
    )

    words: ClassVar[str] = "convolution"
    role: ClassVar[Role] = Role.CALL

    x: int
    weight: int
    stride: tuple[Dim, ...]
    padding: tuple[Dim, ...]
    dilation: tuple[Dim, ...]
    groups: Dim = 1
    bias: int | None = None

    @property
    def inputs(self) -> tuple[int, ...]:
        """Input and weight, and the bias."""
        return (self.x, self.weight) if self.bias is None else (self.x, self.weight, self.bias)

    def multiplications(self, inputs: Sequence[Sizes], result: Sizes) -> int:
        """Those of each entry of the result: of a window of its group."""
        return prod(result) * prod(inputs[1][1:])

    def scratch(self, inputs: Sequence[Placed], result: Sizes, itemsize: int) -> int:
        """Operands in blocks, let go before the result is put in order; or the input unfolded."""
        x, weight = (each.shape for each in inputs[:2])
        small = is_small(x, self.groups)
        unfolded = x[0] * x[1] * prod(weight[2:]) * prod(result[2:])
        blocks = max(blocked(x) + blocked(weight) + padded(result), blocked(result))
        return aside(inputs[:2], blocks, unfolded, itemsize, small=small)

    def work(self, inputs: Sequence[Placed], result: Placed, library: Library) -> Work:
        """That of one library call, and of copies of what does not lie in order."""
        weight, groups = inputs[1].shape, estimate(self.groups)
        call = LibraryCall(
            "convolution",
            inputs[0].shape[0],
            groups,
            weight[1],
            weight[0] // groups,
            weight[2:],
            result.shape[2:],
            numbers(self.stride),
            numbers(self.dilation),
        )
        return called(call, inputs[:2], result.entries, library)

    def reach(self, inputs: Sequence[Known], shapes: Sequence[Shape], result: Shape) -> Reach:
        """As far as zeros of one side meet the other, and beyond the edge."""
        return max(of_product(inputs), _borders(self.padding))


@operation(
    [(2, 2, 3, 3), (2, 2, 2, 2)],
    (2, 4, 5, 6),
    x=0,
    weight=1,
    stride=(2, 2),
    padding=(1, 1),
    output_padding=(1, 1),
    dilation=(1, 2),
    groups=2,
)
@operation(
    [(2, 2, 3, 3), (2, 2, 2, 2)],
    (2, 4, 5, 6),
    x=0,
    weight=1,
    stride=(2, 2),
    padding=(1, 1),
    output_padding=(1, 1),
    dilation=(1, 2),
    groups=2,
    backward=True,
)
@dataclass(frozen=True, slots=True)
class TransposedConvolution(Base):
    """Native input gradient: v [b, g·co, *o], weight [g·co, ci, *k] → [b, g·ci, *i].

    `backward`: by the library's backward pass of the convolution, which may be other code than its
    transposed convolution, and faster or slower.
    """

    law: ClassVar[str] = "transposed convolution: the same patterns read towards the input"

    words: ClassVar[str] = "transposed convolution"
    role: ClassVar[Role] = Role.CALL

    x: int
    weight: int
    stride: tuple[Dim, ...]
    padding: tuple[Dim, ...]
    output_padding: tuple[Dim, ...]
    dilation: tuple[Dim, ...]
    groups: Dim = 1
    backward: bool = False

    @property
    def inputs(self) -> tuple[int, ...]:
        """Cotangent and weight."""
        return (self.x, self.weight)

    def multiplications(self, inputs: Sequence[Sizes], result: Sizes) -> int:
        """Those of each entry of the cotangent: with the weights that it meets."""
        return prod(inputs[0]) * prod(inputs[1][1:])

    def scratch(self, inputs: Sequence[Placed], result: Sizes, itemsize: int) -> int:
        """Operands in blocks, and the result, which is put in order with stride or groups up to
        twice, where an operand is there for its shape; or the result unfolded."""
        x, weight = (each.shape for each in inputs)
        small = is_small(x, self.groups)
        unfolded = x[0] * weight[1] * estimate(self.groups) * prod(weight[2:]) * prod(x[2:])
        blocks = blocked(x) + blocked(weight) + padded(result)
        if estimate(self.groups) > 1 or any(estimate(s) > 1 for s in self.stride):
            blocks += prod(result) * (3 if self.backward else 2)
        else:  # those of operands are let go before
            blocks = max(blocks, blocked(result))
        return aside(inputs, blocks, unfolded, itemsize, small=small)

    def work(self, inputs: Sequence[Placed], result: Placed, library: Library) -> Work:
        """That of one library call, and of copies of what does not lie in order."""
        weight, groups = inputs[1].shape, estimate(self.groups)
        call = LibraryCall(
            "input gradient",
            inputs[0].shape[0],
            groups,
            weight[1],
            weight[0] // groups,
            weight[2:],
            inputs[0].shape[2:],
            numbers(self.stride),
            numbers(self.dilation),
            backward=self.backward,
        )
        return called(call, inputs, result.entries, library)

    def zeros(self, inputs: Sequence[Known], shapes: Sequence[Shape], result: Shape) -> Reach:
        """Those of operands, and entries without a window."""
        sizes = shapes[0][2:], shapes[1][2:]
        every = zip(result[2:], *sizes, self.stride, self.dilation, self.padding, strict=True)
        met = all(are_numbers(numbers) and reaches(*map(int, numbers)) for numbers in every)
        return max(worst_zeros(inputs), unless(met))

    def reach(self, inputs: Sequence[Known], shapes: Sequence[Shape], result: Shape) -> Reach:
        """As far as zeros of one side meet the other."""
        return of_product(inputs)


@operation(
    [(2, 4, 5, 6), (2, 2, 3, 3)],
    (2, 2, 2, 2),
    x=0,
    cotangent=1,
    stride=(2, 2),
    padding=(1, 1),
    dilation=(1, 2),
    groups=2,
)
@operation(
    [(2, 3, 4, 9), (2, 3, 4, 9)],
    (3, 1, 3, 3),
    x=0,
    cotangent=1,
    stride=(1, 1),
    padding=(1, 1),
    dilation=(1, 1),
    groups=3,
    narrow=True,
)
@dataclass(frozen=True, slots=True)
class WeightGradient(Base):
    """Native weight gradient: x [b, g·ci, *i], v [b, g·co, *o] → [g·co, ci, *k], the step's
    shape; `narrow` if a few columns of the kernel are computed at a time."""

    law: ClassVar[str] = "weight gradient: input and cotangent, both ends of the patterns summed"

    words: ClassVar[str] = "weight gradient"
    role: ClassVar[Role] = Role.CALL

    x: int
    cotangent: int
    stride: tuple[Dim, ...]
    padding: tuple[Dim, ...]
    dilation: tuple[Dim, ...]
    groups: Dim = 1
    narrow: bool = False

    @property
    def inputs(self) -> tuple[int, ...]:
        """Input and cotangent."""
        return (self.x, self.cotangent)

    def multiplications(self, inputs: Sequence[Sizes], result: Sizes) -> int:
        """Those of each entry of the result: over the batch and all positions."""
        return prod(result) * inputs[1][0] * prod(inputs[1][2:])

    def scratch(self, inputs: Sequence[Placed], result: Sizes, itemsize: int) -> int:
        """Operands and result in blocks, with the input padded for tall kernels; or the input
        unfolded."""
        x, cotangent = (each.shape for each in inputs)
        small = is_small(x, self.groups)
        unfolded = x[0] * x[1] * prod(result[2:]) * prod(cotangent[2:])
        rows = [n + 2 * estimate(p) for n, p in zip(x[2:], self.padding, strict=True)]
        tall = any(k > TALL for k in result[2:-1]) or itemsize < 4  # bfloat16, perhaps
        copies = (tall + 2 * self.narrow) * prod((*x[:2], *rows))
        copies += self.narrow * (prod(cotangent) + 2 * prod(result))  # planes, and all parts
        blocks = blocked(x) + blocked(cotangent) + blocked(result) + prod(result)
        return aside(inputs, blocks, unfolded, itemsize, small=small, copies=copies)

    def work(self, inputs: Sequence[Placed], result: Placed, library: Library) -> Work:
        """That of one library call, which copies what does not lie in order itself."""
        cotangent = inputs[1].shape
        call = weight_gradient(
            cotangent,
            result.shape,
            numbers(self.stride),
            numbers(self.dilation),
            estimate(self.groups),
            narrow=self.narrow,
        )
        return library.convolved(call, [x.entries for x in inputs], result.entries)

    def reach(self, inputs: Sequence[Known], shapes: Sequence[Shape], result: Shape) -> Reach:
        """As far as zeros of one side meet the other, and beyond the edge."""
        return max(of_product(inputs), _borders(self.padding))


def _borders(padding: Sequence[Dim]) -> Reach:
    """Windows hang over the edge where there is padding."""
    return Reach.SUMS if all(nonnegative(-p) for p in padding) else Reach.BORDERS


def numbers(sizes: Sequence[Dim]) -> tuple[int, ...]:
    """Sizes as numbers, typical ones where they are open."""
    return tuple(map(estimate, sizes))


def called(call: LibraryCall, inputs: Sequence[Placed], written: int, library: Library) -> Work:
    """A library call, and a copy of each operand that does not lie in order."""
    copies = (copied(x.entries, library) for x in inputs if not x.contiguous)
    return total((library.convolved(call, [x.entries for x in inputs], written), *copies))


def weight_gradient(
    cotangent: Sequence[int],
    weight: Sequence[int],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    *,
    narrow: bool = False,
) -> LibraryCall:
    """The gradient for a weight [g·co, ci, *k], of a cotangent [b, g·co, *o]."""
    return LibraryCall(
        "weight gradient",
        cotangent[0],
        groups,
        weight[1],
        weight[0] // groups,
        tuple(weight[2:]),
        tuple(cotangent[2:]),
        stride,
        dilation,
        narrow=narrow,
    )
