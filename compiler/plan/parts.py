"""Candidates that run in parts along the batch or another leading wire, for speed and for less
memory.

What a step copies or a library call reorders of the whole batch comes as new pages from the system
and is gone from the caches when it is read. Of a part it is small enough to be used again. Parts
along a summed wire cost one addition of the result for each, those along an open one a copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from diagrammar.cost.cost import Machine
from diagrammar.cost.pricing import price
from diagrammar.ir.diagram import Declared, Diagram, product
from diagrammar.ir.estimate import estimate
from diagrammar.plan.candidates import Candidate
from diagrammar.plan.cutting import cut, in_parts, size_of, wires
from diagrammar.program.liveness import peak_bytes

AIMS = (2**20, 2**22)
"""Entries that the steps of one part should hold: what fits into the inner caches, and into all."""
TRIED = 3
"""How many candidates are cut."""
WORSE = 2.0
"""How many times dearer than the cheapest a candidate may be, before it is cut and after."""


def parted(
    found: Sequence[Candidate], operands: Sequence[Declared], machine: Machine
) -> list[Candidate]:
    """Candidates in parts, of the cheapest of those that were found."""
    made = []
    for candidate in found[:TRIED]:
        if candidate.cost > WORSE * found[0].cost:
            break
        diagrams = tuple(s.diagram for s in candidate.start)
        wire = _leading(diagrams)
        if wire is None:
            continue
        for entries in _entries(candidate, size_of(diagrams, wire)):
            made.append(_cut(candidate, diagrams, operands, wire, entries, machine))
    return [c for c in made if c.cost <= WORSE * found[0].cost]


def _leading(diagrams: Sequence[Diagram]) -> str | None:
    """Of the wires that may be cut and that lead all operands and results that have them, so that
    parts lie together, the one along which the operands have most entries."""
    uses = [(t, n.sizes) for d in diagrams for n in d.terms for t in n.tensors]
    shapes = [*(t.wires for t, _ in uses), *(d.open for d in diagrams)]

    def worth(wire: str) -> int:
        found = [(t, sizes) for t, sizes in uses if wire in t.wires]
        return sum(int(product(estimate(sizes[w]) for w in t.wires)) for t, sizes in found)

    leading = [w for w in wires(diagrams) if all(w not in s[1:] for s in shapes) and worth(w)]
    return max(leading, key=worth, default=None)


def _entries(candidate: Candidate, size: int) -> Iterator[int]:
    """The entries of parts worth a trial: the largest that keep an aim, or else one."""
    held = candidate.held
    parts = [n for n in range(1, size) if size % n == 0]
    tried = set()
    for aim in AIMS:
        if held > aim and size > 1:
            tried.add(max((n for n in parts if held * n <= aim * size), default=1))
    yield from sorted(tried)


def _cut(
    candidate: Candidate,
    diagrams: Sequence[Diagram],
    operands: Sequence[Declared],
    wire: str,
    entries: int,
    machine: Machine,
) -> Candidate:
    """A candidate in parts with so many entries of a wire. Its trees are those of the whole, unless
    the wire is none in a part: then they are searched."""
    part, smaller = cut(diagrams, wire, entries)
    sizes = {o.name: o for d in smaller for o in d.operands}
    trees = [tree for _, tree in candidate.planned.trees] if entries > 1 else None
    planned = candidate.of(smaller, [sizes.get(o.name, o) for o in operands], trees)
    planned = in_parts(planned, diagrams, (part,))
    return replace(
        candidate,
        recipe=replace(candidate.recipe, cuts=(part,)),
        planned=planned,
        cost=price(planned.program, machine),
        peak=peak_bytes(planned.program) // 4,
    )
