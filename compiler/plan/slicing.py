"""Programs that run in parts along a wire, to keep a memory budget.

Law: Σ_b f(…b…) is the sum of f over parts of b, and an open b gives its parts side by side. A wire
may be cut if no relation ends in it, every use of an operand has it at the same axis or nowhere,
and every term has it (or it is open). Of all wires and part sizes that fit, the cheapest is taken;
where one wire is not enough, it is cut into single entries and another one as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod

from diagrammar import program as ops
from diagrammar.diagram import Diagram, Network, Operand
from diagrammar.plan.candidates import Candidate
from diagrammar.plan.cost import Machine
from diagrammar.plan.memory import peak_bytes
from diagrammar.plan.pricing import price
from diagrammar.relation import Relation, Sizes

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
            single = _cut(current, wire, 1)
            found = _in_parts(making(single[1]), whole, (*cuts, single[0]), machine)
            peak = min((peak_bytes(c.planned.program, itemsize) for c in found), default=0)
            if found and (smallest is None or peak < smallest[0]):
                smallest = peak, (*cuts, single[0]), single[1]
            if not found or peak > budget:
                continue
            best = _fits(found, budget, itemsize)
            low, high = 0, len(parts) - 1  # the largest parts that fit, by halving
            while low < high:
                middle = (low + high + 1) // 2
                cut, made = _cut(current, wire, parts[middle])
                larger = _fits(
                    _in_parts(making(made), whole, (*cuts, cut), machine), budget, itemsize
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


def wires(diagrams: Sequence[Diagram]) -> Iterator[str]:
    """The wires that may be cut, in order."""
    names = dict.fromkeys(w for d in diagrams for t in d.terms for w in t.sizes)
    for wire in names:
        sizes = {t.sizes[wire] for d in diagrams for t in d.terms if wire in t.sizes}
        if len(sizes) == 1 and next(iter(sizes)) != 1 and _may_be_cut(diagrams, wire):
            yield wire


def size_of(diagrams: Sequence[Diagram], wire: str) -> int:
    """The size of a wire."""
    return next(int(t.sizes[wire]) for d in diagrams for t in d.terms if wire in t.sizes)


def _may_be_cut(diagrams: Sequence[Diagram], wire: str) -> bool:
    uses: dict[str, set[tuple[int, int] | None]] = {}
    for diagram in diagrams:
        is_open = wire in diagram.open
        if not diagram.terms or (is_open and _place(diagram.axes, wire, diagram.sizes) is None):
            return False
        for term in diagram.terms:
            ends = [t for t in term.tensors if wire in t.wires]
            if any(isinstance(t, Relation) for t in ends) or not (ends or is_open):
                return False
            for tensor in term.tensors:
                if isinstance(tensor, Operand):
                    if tensor.wires.count(wire) > 1:
                        return False
                    place = _place(tensor.axes, wire, term.sizes)
                    if wire in tensor.wires and place is None:
                        return False
                    uses.setdefault(tensor.name, set()).add(place)
    return all(len(places) == 1 for places in uses.values())


def _place(axes: Sequence[Sequence[str]], wire: str, sizes: Sizes) -> tuple[int, int] | None:
    """The axis that a wire leads, and how many entries of the axis one of the wire is; None if it
    leads none."""
    for number, axis in enumerate(axes):
        if wire in axis:
            at = list(axis).index(wire)
            if any(sizes[w] != 1 for w in axis[:at]):
                return None
            inner = 1
            for w in axis[at + 1 :]:
                inner *= int(sizes[w])
            return number, inner
    return None


def _cut(
    diagrams: Sequence[Diagram], wire: str, entries: int
) -> tuple[ops.Cut, tuple[Diagram, ...]]:
    """The cut of a wire into parts of so many entries, and the diagrams of one part."""
    operands: dict[str, tuple[int, int]] = {}
    results: list[tuple[int, int] | None] = []
    for diagram in diagrams:
        place = _place(diagram.axes, wire, diagram.sizes) if wire in diagram.open else None
        results.append(None if place is None else (place[0], place[1] * entries))
        for term in diagram.terms:
            for tensor in term.tensors:
                if isinstance(tensor, Operand) and wire in tensor.wires:
                    found = _place(tensor.axes, wire, term.sizes)
                    assert found is not None
                    operands[tensor.name] = found[0], found[1] * entries
    turns = size_of(diagrams, wire) // entries
    cut = ops.Cut(wire, turns, operands, tuple(results))
    return cut, tuple(_part(d, wire, entries, cut) for d in diagrams)


def _part(diagram: Diagram, wire: str, entries: int, cut: ops.Cut) -> Diagram:
    """The diagram with fewer entries of a wire."""
    terms = tuple(_fewer(t, wire, entries) for t in diagram.terms)
    operands = []
    for operand in diagram.operands:
        if operand.name in cut.operands:
            axis = cut.operands[operand.name][0]
            name = _leading(diagram, operand.name, wire, axis)
            sizes = {**operand.sizes, operand.axes[axis][name]: entries}
            operand = replace(operand, sizes=sizes)
        operands.append(operand)
    sizes = {**diagram.sizes, wire: entries} if wire in diagram.sizes else dict(diagram.sizes)
    return replace(
        diagram, terms=terms, operands=tuple(operands), sizes=sizes, equalities=(), requirements=()
    )


def _leading(diagram: Diagram, operand: str, wire: str, axis: int) -> int:
    """The place of the wire within the operand's axis, where the declaration has its own name."""
    for term in diagram.terms:
        for tensor in term.tensors:
            if isinstance(tensor, Operand) and tensor.name == operand:
                return tensor.axes[axis].index(wire)
    return 0


def _fewer(term: Network, wire: str, entries: int) -> Network:
    if wire not in term.sizes:
        return term
    return replace(term, sizes={**term.sizes, wire: entries})


def _in_parts(
    found: Sequence[Candidate],
    whole: Sequence[Diagram],
    cuts: tuple[ops.Cut, ...],
    machine: Machine,
) -> list[Candidate]:
    """Candidates for one part as programs that run part after part."""
    shapes = {o.name: o.shape() for d in whole for o in d.operands}
    told = ", ".join(f"{c.turns} parts along {c.wire}" for c in cuts)
    made = []
    for candidate in found:
        program = candidate.planned.program
        parameters = tuple(replace(p, shape=shapes[p.name]) for p in program.parameters)
        program = replace(
            program,
            parameters=parameters,
            checks=(),
            cuts=cuts,
            frees=True,
            facts={**program.facts, "Memory": f"computed in {told}."},
        )
        made.append(
            replace(
                candidate,
                name=f"{candidate.name}, {told}",
                planned=replace(candidate.planned, program=program),
                cost=price(program, machine),
                peak=peak_bytes(program) // 4,
            )
        )
    return made
