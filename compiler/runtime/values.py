"""The stage of values: what `compile` is told of sizes, parameters and the rank, put into diagrams.

A `Computation` is what comes out: everything later starts from it. Values are resolved once, here;
shapes of operands are added to what they say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diagrammar.grammar.errors import DiagramError, Problem
from diagrammar.ir.diagram import Declared, Diagram
from diagrammar.ir.symbols import operands_of, readings
from diagrammar.transform.at_shapes import at_shapes, rank_of
from diagrammar.transform.values import (
    Resolved,
    Shape,
    at_rank,
    missing,
    resolved,
    unknown_name,
    unknown_names,
)
from diagrammar.transform.wording import reworded


@dataclass(frozen=True)
class Computation:
    """Diagrams that are computed together, with values for some of their sizes and parameters.

    `operands` are all, in order of first appearance, and `masks` those that are drawn where a call
    does not give them. `is_open`: the rank of packs is. `resolved` has, for each diagram, what the
    values say of it; it is empty while the rank is open.
    """

    name: str
    diagrams: tuple[Diagram, ...]
    values: Mapping[str, Any]
    operands: tuple[Declared, ...]
    masks: Mapping[str, Declared]
    is_open: bool
    resolved: tuple[Resolved, ...]

    def at_shapes(self, shapes: Mapping[str, Shape]) -> tuple[Diagram, ...]:
        """The diagrams with the sizes that operands of these shapes give them; a size that is None
        stays open. Raises DiagramError."""
        pairs = zip(self.diagrams, self.resolved, strict=True)
        return tuple(at_shapes(diagram, known.facts, shapes) for diagram, known in pairs)

    def for_all_shapes(self) -> tuple[Diagram, ...]:
        """The diagrams with all sizes that the values fix. Raises DiagramError where another one is
        not read off any operand."""
        if self.is_open:
            message = f"the rank of '{self.name}' is open"
            raise DiagramError([Problem(message, help="give it: compile(rank=2)")])
        return tuple(map(_at_values, self.diagrams, self.resolved))

    def rank_of(self, shapes: Mapping[str, Shape]) -> int:
        """The rank that operands of these shapes have."""
        return rank_of(self.diagrams, shapes)

    def at_rank(self, rank: int) -> Computation:
        """The computation at a rank of packs."""
        return at_values(self.diagrams, {**self.values, "rank": rank})


def at_values(diagrams: Sequence[Diagram], values: Mapping[str, Any]) -> Computation:
    """Diagrams at the `rank` among the values and at those that are no numbers, with those that are
    left. Raises DiagramError for a name that none of the diagrams knows and for bad values."""
    numbers = {n: value for n, value in values.items() if n != "rank"}
    if "rank" in values:
        diagrams = [at_rank(d, {"rank": values["rank"]})[0] for d in diagrams]
    worded = [reworded(d, numbers) for d in diagrams]
    diagrams = tuple(diagram for diagram, _ in worded)
    numbers = {n: v for n, v in numbers.items() if all(n in left for _, left in worded)}
    is_open = any(d.family for d in diagrams)
    operands = operands_of(diagrams)
    return Computation(
        name="_".join(d.name for d in diagrams),
        diagrams=diagrams,
        values=numbers,
        operands=operands,
        masks={o.name: o for o in operands if o.keep is not None},
        is_open=is_open,
        resolved=_resolved(diagrams, numbers, is_open=is_open),
    )


def _resolved(
    diagrams: Sequence[Diagram], values: Mapping[str, Any], *, is_open: bool
) -> tuple[Resolved, ...]:
    """What values say of each diagram that knows their names; the first one says what none knows.
    Of diagrams whose rank is open only the names are looked at."""
    unknown = [unknown_names(d, values) for d in diagrams]
    nowhere = [name for name in values if unknown and all(name in names for names in unknown)]
    if is_open:
        if nowhere:
            raise DiagramError([unknown_name(diagrams[0], name) for name in nowhere])
        return ()
    others = [set(names) - set(nowhere) for names in unknown[:1]] + [*map(set, unknown[1:])]
    known = tuple(
        resolved(diagram, {n: value for n, value in values.items() if n not in names})
        for diagram, names in zip(diagrams, others, strict=True)
    )
    if problems := list(dict.fromkeys(p for one in known for p in one.problems)):
        raise DiagramError(problems)
    return known


def _at_values(diagram: Diagram, known: Resolved) -> Diagram:
    """A diagram with the sizes that values fix, the others being read off operands."""
    fixed = diagram.substitute(known.symbols)
    read = frozenset(reading.name for reading in readings((fixed,), fixed.operands))
    if problems := missing(fixed, read):
        raise DiagramError(problems)
    return fixed
