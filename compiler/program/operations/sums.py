"""Sums, scalar factors and dtypes."""

from __future__ import annotations

from dataclasses import dataclass

from diagrammar.ir.scalar import Dim
from diagrammar.program.operations.base import Base
from diagrammar.program.operations.unary import Unary


@dataclass(frozen=True, slots=True)
class Sum(Unary):
    """Summed over `axes`, which go."""

    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Scale(Unary):
    """Multiplied by a scalar: a rational number, or an expression over bound sizes."""

    factor: Dim


@dataclass(frozen=True, slots=True)
class Cast(Unary):
    """To a named dtype (`"float32"`), or to that of value `like`."""

    dtype: str | None = None
    like: int | None = None

    @property
    def inputs(self) -> tuple[int, ...]:
        """x, and the value whose dtype it takes."""
        return (self.x,) if self.like is None else (self.x, self.like)


@dataclass(frozen=True, slots=True)
class Add(Base):
    """The sum of values whose shapes broadcast (equal rank, sizes equal or one)."""

    values: tuple[int, ...]

    @property
    def inputs(self) -> tuple[int, ...]:
        """The values that are added."""
        return self.values
