"""Programs that run in parts along a wire, to keep a memory budget.

Of all wires and part sizes that fit (`plan.cutting`), the cheapest is taken; where one wire is not
enough, it is cut into single entries and another one as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod

from diagrammar import program as ops
from diagrammar.cost.cost import Machine
from diagrammar.cost.pricing import price
from diagrammar.ir.diagram import Diagram
from diagrammar.plan.candidates import Candidate
from diagrammar.plan.cutting import cut, in_parts, size_of, wires
from diagrammar.program.liveness import peak_bytes

Making = Callable[[Sequence[Diagram]], Sequence[Candidate]]

MOST = 3
"""How many wires are cut at once, at most."""
TRIED = 6
"""How many wires are tried for each cut."""


@dataclass(frozen=True)
class Sliced:
    """The cheapest program in parts that fits (None if there is none), and the fewest bytes that
    any program in parts needs."""

    candidate: Candidate | None
    least: int


def sliced(
    diagrams: Sequence[Diagram],
    making: Making,
    machine: Machine,
    budget: int,
    itemsize: int,
    *,
    most: int = MOST,
    tried: int = TRIED,
) -> Sliced:
    """The cheapest program in parts that allocates at most `budget` bytes; all sizes are known.

    At most `most` wires are cut; for each cut the `tried` most promising are tried."""
    whole = tuple(diagrams)
    cuts: tuple[ops.Cut, ...] = ()
    current, least = whole, _least(making(whole), whole, (), itemsize)
    while len(cuts) < most:
        fitting: list[Candidate] = []
        smallest: tuple[int, tuple[ops.Cut, ...], tuple[Diagram, ...]] | None = None
        for wire in _promising(current)[:tried]:
            entries = size_of(current, wire)
            parts = [n for n in range(1, entries) if entries % n == 0]
            single = cut(current, wire, 1)
            found = _as_parts(making(single[1]), whole, (*cuts, single[0]), machine)
            peak = min((peak_bytes(c.planned.program, itemsize) for c in found), default=0)
            if found and (smallest is None or peak < smallest[0]):
                smallest = peak, (*cuts, single[0]), single[1]
            if not found or peak > budget:
                continue
            best = _fits(found, budget, itemsize)
            low, high = 0, len(parts) - 1  # the largest parts that fit, by halving
            while low < high:
                middle = (low + high + 1) // 2
                part, made = cut(current, wire, parts[middle])
                larger = _fits(
                    _as_parts(making(made), whole, (*cuts, part), machine), budget, itemsize
                )
                low, high, best = (middle, high, larger) if larger else (low, middle - 1, best)
            fitting += best[:1]
        if smallest is None:
            break
        least = min(least, smallest[0])
        if fitting:
            return Sliced(min(fitting, key=lambda c: c.cost), least)
        _, cuts, current = smallest
    return Sliced(None, least)


def _fits(found: Sequence[Candidate], budget: int, itemsize: int) -> list[Candidate]:
    """Those that fit, the cheapest first."""
    fitting = [c for c in found if peak_bytes(c.planned.program, itemsize) <= budget]
    return sorted(fitting, key=lambda c: c.cost)


def _least(
    found: Sequence[Candidate],
    whole: Sequence[Diagram],
    cuts: tuple[ops.Cut, ...],
    itemsize: int,
) -> int:
    return min(peak_bytes(c.planned.program, itemsize) for c in found)


def _promising(diagrams: Sequence[Diagram]) -> list[str]:
    """The wires that may be cut, those that most entries of operands and results have first."""

    def entries(wire: str) -> int:
        shapes = [t.wires for d in diagrams for n in d.terms for t in n.tensors if wire in t.wires]
        shapes += [d.open for d in diagrams if wire in d.open]
        sizes = {w: s for d in diagrams for n in d.terms for w, s in n.sizes.items()}
        return sum(prod(int(sizes[w]) for w in shape) for shape in shapes)

    return sorted(wires(diagrams), key=entries, reverse=True)


def _as_parts(
    found: Sequence[Candidate],
    whole: Sequence[Diagram],
    cuts: tuple[ops.Cut, ...],
    machine: Machine,
) -> list[Candidate]:
    """Candidates for one part as programs that run part after part."""
    made = []
    for candidate in found:
        planned = in_parts(candidate.planned, whole, cuts)
        made.append(
            replace(
                candidate,
                recipe=replace(candidate.recipe, cuts=cuts),
                planned=planned,
                cost=price(planned.program, machine),
                peak=peak_bytes(planned.program) // 4,
            )
        )
    return made
