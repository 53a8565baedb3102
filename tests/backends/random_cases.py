"""What random programs of one operation draw: sizes, known or symbolic, and operands."""

from __future__ import annotations

from collections.abc import Callable

from hand_programs import Builder
from hypothesis import strategies as st

from diagrammar.ir import scalar
from diagrammar.program import Dim


class Draw:
    """Draws sizes; a shape-generic case gets symbols, whose values are remembered."""

    def __init__(self, data: st.DataObject, *, symbolic: bool) -> None:
        self.data, self.symbolic = data, symbolic
        self.values: dict[str, int] = {}

    def number(self, low: int, high: int) -> int:
        return self.data.draw(st.integers(low, high))

    def size(self, name: str, low: int, high: int) -> Dim:
        """The size of a wire."""
        self.values[name] = self.number(low, high)
        return scalar.size(name) if self.symbolic else self.values[name]

    def order(self, rank: int) -> tuple[int, ...]:
        return tuple(self.data.draw(st.permutations(range(rank))))


Case = Callable[[Draw, Builder], int]
"""Writes a program, and gives the number of its result."""


def operand(draw: Draw, b: Builder, low: int = 1, rank: int = 3, name: str = "X") -> int:
    axes = ["n", "c", "i", "j", "l"][:rank]
    sizes = [draw.size(f"{axis}{name}", low, 6) for axis in axes]
    return b.operand(name, " ".join(f"{axis}{name}" for axis in axes), *sizes)
