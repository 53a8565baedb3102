"""What a lowering is: one way to compute a node of a contraction tree, and the table of all ways.

A lowering writes program steps. Which one is taken where is the search's (`search.moves`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from diagrammar.ir.tree import Apply
from diagrammar.program.writer import Value

if TYPE_CHECKING:
    from diagrammar.lowerings.lower import Lowering

Emit = Callable[["Lowering", Apply, Any], Value]
"""Writes a node times a scalar, with wires as axes."""


@dataclass(frozen=True, eq=False)
class Way:
    """One way to compute: its law, and a `.tn` text of which some candidate is computed so.

    `scales`: it multiplies by the term's scalar itself, where that is cheap; for others the whole
    term is scaled in the end."""

    name: str
    law: str
    example: str
    emit: Emit = field(repr=False)
    scales: bool = False

    @property
    def doc(self) -> str:
        """The function's docstring."""
        return self.emit.__doc__ or ""


LOWERINGS: dict[str, Way] = {}
"""All lowerings by name."""


def lowering(*, law: str, example: str, scales: bool = False) -> Callable[[Emit], Way]:
    """Register a function that writes a node as a lowering; a registered lowering is tested by its
    example. Raises ValueError for a name that is taken."""

    def register(emit: Emit) -> Way:
        name = emit.__name__.replace("_", " ")
        if name in LOWERINGS:
            raise ValueError(f"there is a lowering '{name}' already")
        LOWERINGS[name] = Way(name, law, example, emit, scales)
        return LOWERINGS[name]

    return register
