"""Where entries are NaN or infinite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from diagrammar.program.operations.base import Base
from diagrammar.program.operations.unary import Unary


@dataclass(frozen=True, slots=True)
class Finite(Unary):
    """The same entries, and zero where one is NaN or infinite."""


@dataclass(frozen=True, slots=True)
class Marked(Unary):
    """One where an entry is NaN or infinite, or with `present` where it is more than one half, and
    zero elsewhere."""

    present: bool = False


@dataclass(frozen=True, slots=True)
class Spoiled(Base):
    """The first of two values of one shape, and NaN where the second is more than one half."""

    law: ClassVar[str] = (
        "NaN where a sum has one: finite entries are multiplied, and marks of the others"
    )

    values: tuple[int, int]

    @property
    def inputs(self) -> tuple[int, ...]:
        """The value, and the counts that say where it is NaN."""
        return self.values
