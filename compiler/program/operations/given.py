"""What a program starts from: operands, and patterns that are known before the call."""

from __future__ import annotations

from dataclasses import dataclass

from diagrammar.ir.scalar import Dim
from diagrammar.program.operations.base import Base


@dataclass(frozen=True, slots=True)
class Operand(Base):
    """The operand `name`, as given."""

    name: str

    @property
    def inputs(self) -> tuple[int, ...]:
        """No earlier values."""
        return ()


@dataclass(frozen=True, slots=True)
class LinearCondition:
    """Σ coefficients[a]·index[a] + constant is zero (mod `modulus`, if given), or non-negative."""

    coefficients: tuple[Dim, ...]
    constant: Dim
    modulus: Dim | None = None
    nonnegative: bool = False


@dataclass(frozen=True, slots=True)
class Indicator(Base):
    """A dense tensor of counts over index ranges: the sum over `pieces` of where all their
    conditions hold. Known at compile time when its sizes are integers. dtype and device are
    those of value `like`, the backend's defaults if that is None (a program without operands)."""

    pieces: tuple[tuple[LinearCondition, ...], ...]
    like: int | None

    def numbers(self) -> list[Dim]:
        """The numbers of all conditions."""
        conditions = [c for piece in self.pieces for c in piece]
        given = [n for c in conditions for n in (*c.coefficients, c.constant, c.modulus)]
        return [n for n in given if n is not None]

    @property
    def inputs(self) -> tuple[int, ...]:
        """The value whose dtype and device it takes."""
        return () if self.like is None else (self.like,)
