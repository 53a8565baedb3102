"""Parts of a value, and values put together of parts and zeros."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from diagrammar.ir.covering import returns_everywhere
from diagrammar.ir.estimate import estimate
from diagrammar.ir.scalar import Dim, nonnegative
from diagrammar.program.operations.base import Base, Role, Shape, Sizes, operation
from diagrammar.program.operations.nan import Known, Reach, unless, worst_zeros
from diagrammar.program.operations.placed import Numbers, Placed
from diagrammar.program.operations.sharing import Overlap, alike, part
from diagrammar.program.operations.unary import Unary
from diagrammar.program.operations.work import Library, Work, moved


@operation([(2, 7)], (2, 3), x=0, axis=1, start=1, length=3, step=2)
@dataclass(frozen=True, slots=True)
class Slice(Unary):
    """Along `axis`: `length` entries from `start` in steps of `step`."""

    role: ClassVar[Role] = Role.MOVE

    axis: int
    start: Dim
    length: Dim
    step: Dim = 1

    def strides(self, inputs: Sequence[Placed], result: Numbers) -> Numbers | None:
        """Those of x, in steps."""
        strides = list(inputs[0].strides)
        strides[self.axis] *= estimate(self.step)
        return tuple(strides)

    def shares(self, overlap: Overlap, inputs: Sequence[Shape], result: Shape) -> Overlap | None:
        """A view of a part."""
        return part(overlap)


@operation([(2, 3)], (2, 5), x=0, padding=((0, 0), (1, 1)))
@dataclass(frozen=True, slots=True)
class Pad(Unary):
    """Zeros before and after, a pair an axis; a negative number cuts off. They are rows of a padded
    operand, or with `gaps` places to which a relation leads nothing."""

    role: ClassVar[Role] = Role.MOVE

    padding: tuple[tuple[Dim, Dim], ...]
    gaps: bool = False

    def shares(self, overlap: Overlap, inputs: Sequence[Shape], result: Shape) -> Overlap | None:
        """A view of a part, where it only cuts off."""
        cut = all(isinstance(n, int) and n <= 0 for pair in self.padding for n in pair)
        return part(overlap) if cut else None

    @property
    def calls(self) -> float:
        """Those of `pad`."""
        return 3

    def zeros(self, inputs: Sequence[Known], shapes: Sequence[Shape], result: Shape) -> Reach:
        """Those of x, and of rows that are put on."""
        own = Reach.MORE if self.gaps else Reach.BORDERS
        if all(nonnegative(-n) for pair in self.padding for n in pair):
            own = Reach.SUMS
        return max(worst_zeros(inputs), own)


@operation([(2, 3)], (2, 5), x=0, axis=1, step=2)
@dataclass(frozen=True, slots=True)
class Dilate(Unary):
    """`step` − 1 zeros between neighbours along `axis`: result[step·n] = x[n], size step·(n−1) +
    1."""

    role: ClassVar[Role] = Role.MOVE

    axis: int
    step: Dim

    def shares(self, overlap: Overlap, inputs: Sequence[Shape], result: Shape) -> Overlap | None:
        """Perhaps what it reads, if nothing comes between."""
        return part(overlap) if alike(inputs[0], result) else None

    @property
    def calls(self) -> float:
        """Those of zeros and of a copy into a slice."""
        return 5

    def zeros(self, inputs: Sequence[Known], shapes: Sequence[Shape], result: Shape) -> Reach:
        """Those between."""
        return Reach.MORE


@operation([(2, 3)], (2, 7), x=0, start=(0, 1), step=(1, 2))
@dataclass(frozen=True, slots=True)
class Place(Unary):
    """Zeros of the step's shape with x at every `step`-th index from `start`, a number an axis
    each.

    The transpose of slicing; all of x must fit.
    """

    law: ClassVar[str] = "placing: results stand among zeros, where windows leave gaps"

    role: ClassVar[Role] = Role.MOVE

    start: tuple[Dim, ...]
    step: tuple[Dim, ...]

    def shares(self, overlap: Overlap, inputs: Sequence[Shape], result: Shape) -> Overlap | None:
        """Perhaps what it reads, if that fills it."""
        return part(overlap) if alike(inputs[0], result) else None

    @property
    def calls(self) -> float:
        """Those of zeros and of a copy into a slice."""
        return 4

    def zeros(self, inputs: Sequence[Known], shapes: Sequence[Shape], result: Shape) -> Reach:
        """Those around."""
        return Reach.MORE


@operation([(2, 4)], (2, 5), x=0, axis=1, runs=((0, 3, 1), (2, 2, 1)))
@dataclass(frozen=True, slots=True)
class Gather(Unary):
    """Entries of `axis`, picked by runs one after the other: `length` of them from `start` in steps
    of `step`, which may be negative or zero."""

    role: ClassVar[Role] = Role.MOVE

    axis: int
    runs: tuple[tuple[Dim, Dim, Dim], ...]

    def shares(self, overlap: Overlap, inputs: Sequence[Shape], result: Shape) -> Overlap | None:
        """Perhaps a part, if that is one run."""
        return part(overlap) if len(self.runs) == 1 else None

    @property
    def calls(self) -> float:
        """Those of a slice for each run, and of joining them."""
        return 3 * len(self.runs)


@operation([(2, 5)], (2, 6), x=0, axis=1, size=6, runs=((0, 3, 1), (3, 2, -1)))
@dataclass(frozen=True, slots=True)
class Scatter(Unary):
    """The transpose of `Gather`: entries of `axis` are added to those, of `size` in all, that each
    was picked from."""

    role: ClassVar[Role] = Role.SUM

    axis: int
    size: Dim
    runs: tuple[tuple[Dim, Dim, Dim], ...]

    def scratch(self, inputs: Sequence[Placed], result: Sizes, itemsize: int) -> int:
        """The sums of one run."""
        return prod(result)

    @property
    def calls(self) -> float:
        """Those of zeros, and of a sum into a slice for each run."""
        return 5 + 5 * len(self.runs)

    def zeros(self, inputs: Sequence[Known], shapes: Sequence[Shape], result: Shape) -> Reach:
        """Those of x, and entries that none is added to."""
        return max(worst_zeros(inputs), unless(returns_everywhere(self.size, self.runs)))


@operation([(2, 3), (2, 1)], (2, 4), values=(0, 1), axis=1)
@dataclass(frozen=True, slots=True)
class Concat(Base):
    """Values one after the other along `axis`."""

    role: ClassVar[Role] = Role.MOVE

    values: tuple[int, ...]
    axis: int

    @property
    def inputs(self) -> tuple[int, ...]:
        """The values that are joined."""
        return self.values

    def shares(self, overlap: Overlap, inputs: Sequence[Shape], result: Shape) -> Overlap | None:
        """The one value."""
        return part(overlap) if len(self.values) == 1 else None


@operation([(2, 3), (2, 3)], (2, 2, 3), values=(0, 1), axis=1)
@dataclass(frozen=True, slots=True)
class Stack(Base):
    """Values of one shape side by side along a new axis, which becomes axis `axis`."""

    role: ClassVar[Role] = Role.MOVE

    values: tuple[int, ...]
    axis: int

    @property
    def inputs(self) -> tuple[int, ...]:
        """The values that are stacked."""
        return self.values

    def work(self, inputs: Sequence[Placed], result: Placed, library: Library) -> Work:
        """A copy of all values."""
        scattered = any(not x.contiguous for x in inputs)
        moving = moved(result.entries, result.entries, library, scattered=scattered)
        return moving._replace(calls=self.calls)


@operation([(3,)] * 4, (2, 3, 2), values=(0, 1, 2, 3), columns=2, axes=(0, 2))
@dataclass(frozen=True, slots=True)
class Blocks(Base):
    """Values of one shape as a grid, row after row with `columns` values each: two new axes, which
    become axes `axes` (of rows, of columns) of the result."""

    role: ClassVar[Role] = Role.MOVE

    values: tuple[int, ...]
    columns: int
    axes: tuple[int, int]

    @property
    def inputs(self) -> tuple[int, ...]:
        """The values of the grid."""
        return self.values

    def work(self, inputs: Sequence[Placed], result: Placed, library: Library) -> Work:
        """A copy of all values."""
        scattered = any(not x.contiguous for x in inputs)
        moving = moved(result.entries, result.entries, library, scattered=scattered)
        return moving._replace(calls=self.calls)

    @property
    def calls(self) -> float:
        """Those of a stack of stacks."""
        return 3 * len(self.values)
