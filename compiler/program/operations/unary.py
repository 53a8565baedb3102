"""What operations on one value have in common."""

from __future__ import annotations

from dataclasses import dataclass

from diagrammar.program.operations.base import Base


@dataclass(frozen=True, slots=True)
class Unary(Base):
    """An operation on one value."""

    x: int

    @property
    def inputs(self) -> tuple[int, ...]:
        """The one value it works on."""
        return (self.x,)
