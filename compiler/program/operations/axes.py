"""Other shapes of the same entries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from diagrammar.program.operations.base import Role, Shape, operation
from diagrammar.program.operations.nan import Known
from diagrammar.program.operations.placed import Numbers, Placed, reshaped
from diagrammar.program.operations.sharing import Overlap, alike, part
from diagrammar.program.operations.unary import Unary
from diagrammar.program.operations.work import VIEW, Library, Work, copied


@operation([(4, 3)], (2, 2, 3), x=0)
@dataclass(frozen=True, slots=True)
class Reshape(Unary):
    """Same elements in row-major order, new shape (the step's)."""

    role: ClassVar[Role] = Role.MOVE

    def work(self, inputs: Sequence[Placed], result: Placed, library: Library) -> Work:
        """A view, or a copy in another order."""
        return copied(result.entries, library) if result.copied else VIEW

    def strides(self, inputs: Sequence[Placed], result: Numbers) -> Numbers | None:
        """Those of the axes regrouped, where that is possible."""
        return reshaped(inputs[0].shape, inputs[0].strides, result)

    def shares(self, overlap: Overlap, inputs: Sequence[Shape], result: Shape) -> Overlap | None:
        """A view, except of what overlaps for certain."""
        return None if overlap is Overlap.CERTAIN else overlap


@operation([(2, 3)], (2, 3), x=0)
@dataclass(frozen=True, slots=True)
class Contiguous(Unary):
    """The same entries, laid out in row-major order."""

    role: ClassVar[Role] = Role.MOVE

    def shares(self, overlap: Overlap, inputs: Sequence[Shape], result: Shape) -> Overlap | None:
        """Perhaps what it reads, if that lies so."""
        return part(overlap)


@operation([(2, 3)], (2, 3), x=0)
@dataclass(frozen=True, slots=True)
class Copy(Unary):
    """The same entries in memory of their own; `ordered`: in row-major order, else as x has them
    where it has each once."""

    role: ClassVar[Role] = Role.MOVE

    ordered: bool = False


@operation([(2, 3, 4)], (4, 2, 3), x=0, order=(2, 0, 1))
@dataclass(frozen=True, slots=True)
class Permute(Unary):
    """Axis n of the result is axis `order[n]` of x."""

    role: ClassVar[Role] = Role.MOVE

    order: tuple[int, ...]

    def strides(self, inputs: Sequence[Placed], result: Numbers) -> Numbers | None:
        """Those of x, permuted."""
        return tuple(inputs[0].strides[n] for n in self.order)

    def shares(self, overlap: Overlap, inputs: Sequence[Shape], result: Shape) -> Overlap | None:
        """A view of all of it."""
        return overlap

    def covers(
        self, inputs: Sequence[Known], result: Shape
    ) -> Callable[[Sequence[int]], bool] | None:
        """As its pattern does."""
        covers = inputs[0].covers
        if covers is None:
            return None
        return lambda summed: covers([self.order[n] for n in summed])


@operation([(3, 2, 3)], (2, 3), x=0, first=0, second=2)
@dataclass(frozen=True, slots=True)
class Diagonal(Unary):
    """Axes `first` and `second` (same size) become one new last axis."""

    role: ClassVar[Role] = Role.MOVE

    first: int
    second: int

    def strides(self, inputs: Sequence[Placed], result: Numbers) -> Numbers | None:
        """Both axes are walked at once."""
        strides, both = inputs[0].strides, (self.first, self.second)
        rest = (s for n, s in enumerate(strides) if n not in both)
        return (*rest, sum(strides[n] for n in both))

    def shares(self, overlap: Overlap, inputs: Sequence[Shape], result: Shape) -> Overlap | None:
        """A view of a part."""
        return part(overlap)


@operation([(2, 3)], (2, 3), x=0, axis=1)
@dataclass(frozen=True, slots=True)
class Flip(Unary):
    """Reversed order along `axis`."""

    role: ClassVar[Role] = Role.MOVE

    axis: int


@operation([(3, 1)], (2, 3, 4), x=0)
@dataclass(frozen=True, slots=True)
class Expand(Unary):
    """Axes of size one (and missing leading axes) repeated to the step's shape, as a view."""

    role: ClassVar[Role] = Role.MOVE

    def strides(self, inputs: Sequence[Placed], result: Numbers) -> Numbers | None:
        """Zero where entries are repeated."""
        missing = len(result) - len(inputs[0].shape)
        sizes = (*[1] * missing, *inputs[0].shape)
        strides = (*[0] * missing, *inputs[0].strides)
        return tuple(
            0 if have == 1 != n else s for s, have, n in zip(strides, sizes, result, strict=True)
        )

    def shares(self, overlap: Overlap, inputs: Sequence[Shape], result: Shape) -> Overlap | None:
        """A view in which entries stand repeatedly, unless nothing grows."""
        return part(overlap) if alike(inputs[0], result) else Overlap.PERHAPS
