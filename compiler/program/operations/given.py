"""What a program starts from: operands, and patterns that are known before the call."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import ClassVar

from diagrammar.ir.covering import LARGEST
from diagrammar.ir.estimate import estimate
from diagrammar.ir.scalar import Dim
from diagrammar.program.operations.base import Base, Role, Shape, Sizes, operation
from diagrammar.program.operations.nan import Known, Reach, are_numbers, unless
from diagrammar.program.operations.placed import Numbers, Placed, row_major
from diagrammar.program.operations.work import VIEW, Library, Work

SLAB = 2**16
"""Entries of an indicator that are made at once."""
INDEX = 24
"""Bytes for each of them: indices, and what is compared."""


@operation([], (2, 3), name="X")
@dataclass(frozen=True, slots=True)
class Operand(Base):
    """The operand `name`, as given."""

    role: ClassVar[Role] = Role.OPERAND

    name: str

    @property
    def inputs(self) -> tuple[int, ...]:
        """No earlier values."""
        return ()

    @property
    def title(self) -> str:
        """Its name."""
        return self.name

    def strides(self, inputs: Sequence[Placed], result: Numbers) -> Numbers | None:
        """It is there, and comes row-major."""
        return row_major(result)

    def is_given(self, inputs: Sequence[bool]) -> bool:
        """One is."""
        return True

    def work(self, inputs: Sequence[Placed], result: Placed, library: Library) -> Work:
        """None: it is there."""
        return Work()


@dataclass(frozen=True, slots=True)
class LinearCondition:
    """Σ coefficients[a]·index[a] + constant is zero (mod `modulus`, if given), or non-negative."""

    coefficients: tuple[Dim, ...]
    constant: Dim
    modulus: Dim | None = None
    nonnegative: bool = False

    def holds(self, index: Sequence[int]) -> bool:
        """Whether it holds at an index, with numbers throughout."""
        pairs = zip(self.coefficients, index, strict=True)
        form = sum(int(a) * n for a, n in pairs) + int(self.constant)
        if self.nonnegative:
            return form >= 0
        return form % int(self.modulus) == 0 if self.modulus is not None else form == 0


@operation(
    [(2,)], (3, 3), pieces=((LinearCondition((1, -1), 0), LinearCondition((1, 1), 0, 2)),), like=0
)
@dataclass(frozen=True, slots=True)
class Indicator(Base):
    """A dense tensor of counts over index ranges: the sum over `pieces` of where all their
    conditions hold. Known at compile time when its sizes are integers. dtype and device are
    those of value `like`, the backend's defaults if that is None (a program without operands)."""

    words: ClassVar[str] = "0/1 tensor"
    role: ClassVar[Role] = Role.PATTERN

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

    @property
    def reads(self) -> tuple[int, ...]:
        """No entries."""
        return ()

    def scratch(self, inputs: Sequence[Placed], result: Sizes, itemsize: int) -> int:
        """Indices of some entries, and what is compared."""
        return -(-INDEX * min(prod(result), SLAB) // itemsize)

    def zeros(self, inputs: Sequence[Known], shapes: Sequence[Shape], result: Shape) -> Reach:
        """Where no condition holds."""
        return unless(self.is_full(result, ()))

    def covers(
        self, inputs: Sequence[Known], result: Shape
    ) -> Callable[[Sequence[int]], bool] | None:
        """Whether each sum has an index where some condition holds."""
        return partial(self.is_full, tuple(result))

    def is_full(self, shape: Shape, summed: Sequence[int]) -> bool:
        """Whether it has no zero once some axes are summed."""
        if any(not piece for piece in self.pieces):
            return True
        if not are_numbers((*shape, *self.numbers())) or prod(map(estimate, shape)) > LARGEST:
            return False
        kept = [n for n in range(len(shape)) if n not in summed]
        found = {
            tuple(index[n] for n in kept)
            for index in itertools.product(*(range(estimate(n)) for n in shape))
            if any(all(c.holds(index) for c in piece) for piece in self.pieces)
        }
        return len(found) == prod(estimate(shape[n]) for n in kept)

    def work(self, inputs: Sequence[Placed], result: Placed, library: Library) -> Work:
        """That of a view: most are made before the call."""
        return VIEW
