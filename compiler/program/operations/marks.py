"""Where entries are NaN or infinite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from diagrammar.program.operations.base import Base, Shape, operation
from diagrammar.program.operations.nan import Known, Reach
from diagrammar.program.operations.unary import Unary


@operation([(2, 3)], (2, 3), x=0)
@dataclass(frozen=True, slots=True)
class Finite(Unary):
    """The same entries, and zero where one is NaN or infinite."""

    words: ClassVar[str] = "finite entries"

    def is_given(self, inputs: Sequence[bool]) -> bool:
        """Nothing in it spoils a product."""
        return False


@operation([(2, 3)], (2, 3), x=0)
@operation([(2, 3)], (2, 3), x=0, present=True)
@dataclass(frozen=True, slots=True)
class Marked(Unary):
    """One where an entry is NaN or infinite, or with `present` where it is more than one half, and
    zero elsewhere."""

    words: ClassVar[str] = "marks"

    present: bool = False

    def is_given(self, inputs: Sequence[bool]) -> bool:
        """Nothing in it spoils a product."""
        return False

    @property
    def calls(self) -> float:
        """Comparisons and a cast."""
        return 6


@operation([(2, 3), (2, 3)], (2, 3), values=(0, 1))
@dataclass(frozen=True, slots=True)
class Spoiled(Base):
    """The first of two values of one shape, and NaN where the second is more than one half."""

    law: ClassVar[str] = (
        "NaN where a sum has one: finite entries are multiplied, and marks of the others"
    )

    words: ClassVar[str] = "NaN where it belongs"

    values: tuple[int, int]

    @property
    def inputs(self) -> tuple[int, ...]:
        """The value, and the counts that say where it is NaN."""
        return self.values

    def is_given(self, inputs: Sequence[bool]) -> bool:
        """It has the NaN of operands."""
        return True

    def zeros(self, inputs: Sequence[Known], shapes: Sequence[Shape], result: Shape) -> Reach:
        """Those of the value."""
        return inputs[0].zeros

    @property
    def calls(self) -> float:
        """A comparison and a choice."""
        return 5
