"""Where entries are NaN or infinite."""

from __future__ import annotations

from dataclasses import dataclass

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
class Spoiled:
    """The first of two values of one shape, and NaN where the second is more than one half."""

    values: tuple[int, int]

    @property
    def inputs(self) -> tuple[int, ...]:
        """The value, and the counts that say where it is NaN."""
        return self.values
