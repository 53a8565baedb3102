"""A library's convolution and its two gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from diagrammar.ir.scalar import Dim
from diagrammar.program.operations.base import Base, Sizes


@dataclass(frozen=True, slots=True)
class Convolution(Base):
    """Native convolution: x [b, g·ci, *i], weight [g·co, ci, *k] → [b, g·co, *o]; symmetric zero
    padding; plus `bias` [g·co], if given."""

    law: ClassVar[str] = (
        "convolution: one library call for data, kernel and all patterns between them"
    )

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


@dataclass(frozen=True, slots=True)
class TransposedConvolution(Base):
    """Native input gradient: v [b, g·co, *o], weight [g·co, ci, *k] → [b, g·ci, *i].

    `backward`: by the library's backward pass of the convolution, which may be other code than its
    transposed convolution, and faster or slower.
    """

    law: ClassVar[str] = "transposed convolution: the same patterns read towards the input"

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


@dataclass(frozen=True, slots=True)
class WeightGradient(Base):
    """Native weight gradient: x [b, g·ci, *i], v [b, g·co, *o] → [g·co, ci, *k], the step's
    shape; `narrow` if a few columns of the kernel are computed at a time."""

    law: ClassVar[str] = "weight gradient: input and cotangent, both ends of the patterns summed"

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
