"""Sums, scalar factors and dtypes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from diagrammar.ir.scalar import Dim, equal
from diagrammar.program.operations.base import Base, Role, Shape, Sizes, operation
from diagrammar.program.operations.nan import Known, Reach
from diagrammar.program.operations.placed import Placed
from diagrammar.program.operations.sharing import Overlap, part
from diagrammar.program.operations.unary import Unary
from diagrammar.program.operations.work import Library, Work, moved


@operation([(2, 3, 4)], (3,), x=0, axes=(0, 2))
@dataclass(frozen=True, slots=True)
class Sum(Unary):
    """Summed over `axes`, which go."""

    role: ClassVar[Role] = Role.SUM

    axes: tuple[int, ...]

    def shares(self, overlap: Overlap, inputs: Sequence[Shape], result: Shape) -> Overlap | None:
        """Perhaps what it reads, if nothing is added."""
        alone = all(equal(inputs[0][n], 1) for n in self.axes)
        return part(overlap) if alone else None

    def work(self, inputs: Sequence[Placed], result: Placed, library: Library) -> Work:
        """All entries are read; where they do not lie in order, windows for one, at half the speed
        of a copy (5 to 11 GB a second for 20, Xeon of 2023, one thread)."""
        x = inputs[0]
        read = x.entries if x.contiguous else 2 * x.entries
        return moved(read, result.entries, library, scattered=not x.contiguous)


@operation([(2, 3)], (2, 3), x=0, factor=2)
@dataclass(frozen=True, slots=True)
class Scale(Unary):
    """Multiplied by a scalar: a rational number, or an expression over bound sizes."""

    factor: Dim

    def shares(self, overlap: Overlap, inputs: Sequence[Shape], result: Shape) -> Overlap | None:
        """What it reads, for a factor of one."""
        return part(overlap) if equal(self.factor, 1) else None

    @property
    def calls(self) -> float:
        """One, and a Python number that becomes a tensor."""
        return 2


@operation([(2, 3)], (2, 3), x=0, dtype="float64")
@operation([(2, 3), (4,)], (2, 3), x=0, like=1)
@dataclass(frozen=True, slots=True)
class Cast(Unary):
    """To a named dtype (`"float32"`), or to that of value `like`."""

    role: ClassVar[Role] = Role.MOVE

    dtype: str | None = None
    like: int | None = None

    @property
    def inputs(self) -> tuple[int, ...]:
        """x, and the value whose dtype it takes."""
        return (self.x,) if self.like is None else (self.x, self.like)

    @property
    def reads(self) -> tuple[int, ...]:
        """x alone."""
        return (self.x,)

    def shares(self, overlap: Overlap, inputs: Sequence[Shape], result: Shape) -> Overlap | None:
        """Perhaps what it reads, if that has the dtype."""
        return part(overlap)


@operation([(2, 3), (2, 1), (2, 3)], (2, 3), values=(0, 1, 2))
@dataclass(frozen=True, slots=True)
class Add(Base):
    """The sum of values whose shapes broadcast (equal rank, sizes equal or one)."""

    role: ClassVar[Role] = Role.SUM

    values: tuple[int, ...]

    @property
    def inputs(self) -> tuple[int, ...]:
        """The values that are added."""
        return self.values

    def scratch(self, inputs: Sequence[Placed], result: Sizes, itemsize: int) -> int:
        """A sum that another value is added to."""
        return prod(result) if len(self.values) > 2 else 0

    def shares(self, overlap: Overlap, inputs: Sequence[Shape], result: Shape) -> Overlap | None:
        """The one value."""
        return part(overlap) if len(self.values) == 1 else None

    def zeros(self, inputs: Sequence[Known], shapes: Sequence[Shape], result: Shape) -> Reach:
        """Where all values have them."""
        return min(x.zeros for x in inputs)
