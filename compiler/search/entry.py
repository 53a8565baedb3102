"""What the search keeps of a set of tensors."""

from __future__ import annotations

from dataclasses import dataclass

from diagrammar.ir.tree import Tree


@dataclass(frozen=True, slots=True)
class Entry:
    """The best tree found for a set of tensors: its cost and the wires of its result, as bits.

    Two entries of one `like` (a number; 0 is like nothing) compute the same numbers, up to names of
    wires: together they cost what one costs. `parts` are the results that it starts from, without
    the relations that the last move reads. `gaps`: some entries have no term (`ir.gaps`);
    `met`: such were multiplied by an operand."""

    tensors: int
    wires: int
    cost: float
    tree: Tree
    like: int = 0
    parts: tuple[Entry, ...] = ()
    gaps: bool = False
    met: bool = False

    def same(self, other: Entry) -> bool:
        """Whether the two are one computation."""
        return self.like != 0 and self.like == other.like
