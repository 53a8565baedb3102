"""Parts of a value, and values put together of parts and zeros."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from diagrammar.ir.scalar import Dim
from diagrammar.program.operations.base import Base
from diagrammar.program.operations.unary import Unary


@dataclass(frozen=True, slots=True)
class Slice(Unary):
    """Along `axis`: `length` entries from `start` in steps of `step`."""

    axis: int
    start: Dim
    length: Dim
    step: Dim = 1


@dataclass(frozen=True, slots=True)
class Pad(Unary):
    """Zeros before and after, a pair an axis; a negative number cuts off. They are rows of a padded
    operand, or with `gaps` places to which a relation leads nothing."""

    padding: tuple[tuple[Dim, Dim], ...]
    gaps: bool = False


@dataclass(frozen=True, slots=True)
class Dilate(Unary):
    """`step` − 1 zeros between neighbours along `axis`: result[step·n] = x[n], size step·(n−1) +
    1."""

    axis: int
    step: Dim


@dataclass(frozen=True, slots=True)
class Place(Unary):
    """Zeros of the step's shape with x at every `step`-th index from `start`, a number an axis
    each.

    The transpose of slicing; all of x must fit.
    """

    law: ClassVar[str] = "placing: results stand among zeros, where windows leave gaps"

    start: tuple[Dim, ...]
    step: tuple[Dim, ...]


@dataclass(frozen=True, slots=True)
class Gather(Unary):
    """Entries of `axis`, picked by runs one after the other: `length` of them from `start` in steps
    of `step`, which may be negative or zero."""

    axis: int
    runs: tuple[tuple[Dim, Dim, Dim], ...]


@dataclass(frozen=True, slots=True)
class Scatter(Unary):
    """The transpose of `Gather`: entries of `axis` are added to those, of `size` in all, that each
    was picked from."""

    axis: int
    size: Dim
    runs: tuple[tuple[Dim, Dim, Dim], ...]


@dataclass(frozen=True, slots=True)
class Concat(Base):
    """Values one after the other along `axis`."""

    values: tuple[int, ...]
    axis: int

    @property
    def inputs(self) -> tuple[int, ...]:
        """The values that are joined."""
        return self.values


@dataclass(frozen=True, slots=True)
class Stack(Base):
    """Values of one shape side by side along a new axis, which becomes axis `axis`."""

    values: tuple[int, ...]
    axis: int

    @property
    def inputs(self) -> tuple[int, ...]:
        """The values that are stacked."""
        return self.values


@dataclass(frozen=True, slots=True)
class Blocks(Base):
    """Values of one shape as a grid, row after row with `columns` values each: two new axes, which
    become axes `axes` (of rows, of columns) of the result."""

    values: tuple[int, ...]
    columns: int
    axes: tuple[int, int]

    @property
    def inputs(self) -> tuple[int, ...]:
        """The values of the grid."""
        return self.values
