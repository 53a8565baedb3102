"""A library's convolution and its two gradients."""

from __future__ import annotations

from dataclasses import dataclass

from diagrammar.ir.scalar import Dim


@dataclass(frozen=True, slots=True)
class Convolution:
    """Native convolution: x [b, g·ci, *i], weight [g·co, ci, *k] → [b, g·co, *o]; symmetric zero
    padding; plus `bias` [g·co], if given."""

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


@dataclass(frozen=True, slots=True)
class TransposedConvolution:
    """Native input gradient: v [b, g·co, *o], weight [g·co, ci, *k] → [b, g·ci, *i].

    `backward`: by the library's backward pass of the convolution, which may be other code than its
    transposed convolution, and faster or slower.
    """

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


@dataclass(frozen=True, slots=True)
class WeightGradient:
    """Native weight gradient: x [b, g·ci, *i], v [b, g·co, *o] → [g·co, ci, *k], the step's
    shape; `narrow` if a few columns of the kernel are computed at a time."""

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
