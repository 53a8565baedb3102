"""What a call may allocate, and programs that run in parts so that they allocate less.

`Memory` is the policy as a value: a budget, or the usual limit. `chosen` takes the cheapest program
that keeps it. Programs in parts are tried for speed, too: what a step copies or a library call
reorders of the whole batch comes as new pages from the system and is gone from the caches when it
is read; of a part it is small enough to be used again. Parts along a summed wire cost one addition
of the result each, parts along an open wire one copy. How a wire is cut says `plan.cutting`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from diagrammar import program as ops
from diagrammar.cost.device import Device
from diagrammar.cost.pricing import price
from diagrammar.ir.diagram import Declared, Diagram, product
from diagrammar.ir.estimate import estimate
from diagrammar.ir.symbols import operands_of
from diagrammar.plan.candidates import Candidate, choose
from diagrammar.plan.cutting import cut, in_parts, size_of, wires
from diagrammar.plan.planner import Planned
from diagrammar.program.liveness import peak_bytes
from diagrammar.search.search import EXACT

Making = Callable[[Sequence[Diagram]], list[Candidate]]
"""The candidates for diagrams, the cheapest first."""

USUAL = 2**29
"""Bytes that a call without a budget may always take before it runs in parts."""
AIMS = (2**20, 2**22)
"""Entries that the steps of one part should hold: what fits into the inner caches, and into all."""
FASTEST = 3
"""Candidates that are cut for speed."""
WORSE = 2.0
"""How many times dearer than the cheapest a candidate may be, before it is cut and after."""
MOST_CUTS = 3
"""Wires that are cut at once for a budget, at most."""
WIRES = 6
"""Wires that are tried for each of these cuts."""


@dataclass(frozen=True)
class Memory:
    """What a call may allocate beyond its operands, whose entries have `itemsize` bytes. `budget`:
    the most bytes; None where nobody asked for one."""

    budget: int | None = None
    itemsize: int = 4

    def limit(self, diagrams: Sequence[Diagram]) -> int:
        """Bytes up to which a call of some diagrams runs at once: the budget, or else half a GiB,
        or twice the operands and results where that is more."""
        if self.budget is not None:
            return self.budget
        shapes = [o.shape() for o in operands_of(diagrams)] + [d.shape() for d in diagrams]
        return max(USUAL, 2 * self.itemsize * sum(int(product(shape)) for shape in shapes))

    def peak(self, candidate: Candidate) -> int:
        """The bytes at the peak, which candidates know for float32."""
        if self.itemsize == 4:
            return 4 * candidate.peak
        return peak_bytes(candidate.planned.program, self.itemsize)

    def keeping(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates that keep the budget, made to let values go as soon as nothing reads
        them; all as they are without a budget."""
        if self.budget is None:
            return list(candidates)
        return [_freeing(c) for c in candidates if self.peak(c) <= self.budget]


@dataclass(frozen=True)
class Choice:
    """The candidate that is taken, and all that it was taken from. `least` is zero, or the bytes
    that any of them would need where none keeps the budget."""

    candidate: Candidate
    candidates: Sequence[Candidate]
    least: int = 0


def chosen(memory: Memory, diagrams: Sequence[Diagram], making: Making, device: Device) -> Choice:
    """The cheapest program for diagrams of known sizes that keeps the memory, in parts where that
    is faster or needed."""
    whole = making(diagrams)
    faster = _faster(whole, operands_of(diagrams), device)
    candidates = sorted([*whole, *faster], key=lambda c: c.cost)
    limit = memory.limit(diagrams)
    within, least = [c for c in candidates if memory.peak(c) <= limit], 0
    asked = memory.budget is not None
    if not within and (asked or _is_small(diagrams)):
        search = _Smaller(memory, limit, making, device, tuple(diagrams))
        within, least = search.cheapest(whole, most=MOST_CUTS if asked else 1)
        candidates = [*within, *candidates]
    if within:
        return Choice(choose(memory.keeping(within)), candidates)
    if not asked:
        return Choice(choose(candidates), candidates)
    return Choice(min(candidates, key=lambda c: c.peak), candidates, least)


def chosen_for_open_sizes(memory: Memory, candidates: Sequence[Candidate]) -> Choice:
    """The cheapest of the programs for sizes that are read off the operands: none keeps a
    budget."""
    candidate = choose(candidates)
    if memory.budget is not None:
        program = candidate.planned.program
        fact = {"Memory": "the sizes are open, so no budget is kept"}
        candidate = _with(candidate, replace(program, facts={**program.facts, **fact}))
    return Choice(candidate, candidates)


def _is_small(diagrams: Sequence[Diagram]) -> bool:
    """Whether planning anew for several parts takes no time to speak of."""
    return all(len(t.tensors) <= EXACT for d in diagrams for t in d.terms)


def _freeing(candidate: Candidate) -> Candidate:
    """The candidate with values let go as soon as nothing reads them."""
    return _with(candidate, replace(candidate.planned.program, frees=True))


def _with(candidate: Candidate, program: ops.Program) -> Candidate:
    """The candidate with another program of the same cost and peak."""
    return replace(candidate, planned=replace(candidate.planned, program=program))


def _run_in_parts(
    candidate: Candidate,
    part: Planned,
    whole: Sequence[Diagram],
    cuts: tuple[ops.Cut, ...],
    device: Device,
) -> Candidate:
    """The candidate with the program of one part run part after part, and what that costs."""
    planned = in_parts(part, whole, cuts)
    return replace(
        candidate,
        recipe=replace(candidate.recipe, cuts=cuts),
        planned=planned,
        cost=price(planned.program, device),
        peak=peak_bytes(planned.program) // 4,
    )


# -- parts for speed -------------------------------------------------------------------------------


def _faster(
    candidates: Sequence[Candidate], operands: Sequence[Declared], device: Device
) -> list[Candidate]:
    """The cheapest candidates, each in parts along the batch or another leading wire."""
    most = WORSE * candidates[0].cost
    cut_up: list[Candidate] = []
    for candidate in candidates[:FASTEST]:
        if candidate.cost > most:
            break
        cut_up += _along_the_leading_wire(candidate, operands, device)
    return [c for c in cut_up if c.cost <= most]


def _along_the_leading_wire(
    candidate: Candidate, operands: Sequence[Declared], device: Device
) -> Iterator[Candidate]:
    """A candidate in parts of the sizes that are worth a trial. Its trees are those of the whole,
    unless the wire is none in a part: then they are searched."""
    diagrams = tuple(s.diagram for s in candidate.start)
    wire = _leading(diagrams)
    if wire is None:
        return
    for entries in _entries(candidate.held, size_of(diagrams, wire)):
        one, smaller = cut(diagrams, wire, entries)
        declared = {o.name: o for d in smaller for o in d.operands}
        trees = [tree for _, tree in candidate.planned.trees] if entries > 1 else None
        part = candidate.of(smaller, [declared.get(o.name, o) for o in operands], trees)
        yield _run_in_parts(candidate, part, diagrams, (one,), device)


def _leading(diagrams: Sequence[Diagram]) -> str | None:
    """Of the wires that may be cut and that lead all operands and results that have them, so that
    parts lie together, the one along which the operands have most entries."""
    uses = [(t, n.sizes) for d in diagrams for n in d.terms for t in n.tensors]
    shapes = [*(t.wires for t, _ in uses), *(d.open for d in diagrams)]

    def worth(wire: str) -> int:
        having = [(t, sizes) for t, sizes in uses if wire in t.wires]
        return sum(int(product(estimate(sizes[w]) for w in t.wires)) for t, sizes in having)

    leading = [w for w in wires(diagrams) if all(w not in s[1:] for s in shapes) and worth(w)]
    return max(leading, key=worth, default=None)


def _entries(held: int, size: int) -> list[int]:
    """The entries of parts worth a trial, of a wire of some size in a program that holds `held`
    entries: for each aim the largest part that keeps it, or else one entry."""
    aims = [aim for aim in AIMS if held > aim and size > 1]
    sizes_by_aim = [[n for n in _divisors(size) if held * n <= aim * size] for aim in aims]
    return sorted({max(sizes, default=1) for sizes in sizes_by_aim})


def _divisors(size: int) -> list[int]:
    """The entries that the parts of a wire of this size may have, which is less than all."""
    return [n for n in range(1, size) if size % n == 0]


# -- parts for a budget ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Pieces:
    """Diagrams cut along some wires: the diagrams of one part, and the candidates in parts."""

    cuts: tuple[ops.Cut, ...]
    part: tuple[Diagram, ...]
    candidates: Sequence[Candidate] = field(repr=False)


@dataclass(frozen=True)
class _Smaller:
    """The search for programs in parts that allocate at most `limit` bytes.

    Of all wires and part sizes that fit the cheapest is taken; where one wire is not enough, it is
    cut into single entries, and another one as well.
    """

    memory: Memory
    limit: int
    making: Making
    device: Device
    whole: tuple[Diagram, ...]

    def cheapest(
        self, candidates: Sequence[Candidate], *, most: int
    ) -> tuple[list[Candidate], int]:
        """The cheapest program that fits (none: an empty list), with at most `most` wires cut, and
        the fewest bytes that any program needs; `candidates` are those of the whole."""
        pieces = _Pieces((), self.whole, candidates)
        least = self._peak(pieces)
        while len(pieces.cuts) < most:
            singles = [(w, self._cut(pieces, w, 1)) for w in _promising(pieces.part)[:WIRES]]
            if not singles:
                break
            _, smallest = min(singles, key=lambda single: self._peak(single[1]))
            least = min(least, self._peak(smallest))
            fitting = [
                self._largest(pieces, wire, single)
                for wire, single in singles
                if self._peak(single) <= self.limit
            ]
            if fitting:
                return [min(fitting, key=lambda c: c.cost)], least
            pieces = smallest
        return [], least

    def _cut(self, pieces: _Pieces, wire: str, entries: int) -> _Pieces:
        """A further cut, into parts with some entries of a wire."""
        one, part = cut(pieces.part, wire, entries)
        cuts = (*pieces.cuts, one)
        candidates = self.making(part)
        runs = [_run_in_parts(c, c.planned, self.whole, cuts, self.device) for c in candidates]
        return _Pieces(cuts, part, runs)

    def _largest(self, pieces: _Pieces, wire: str, single: _Pieces) -> Candidate:
        """The cheapest program with the largest parts along a wire that fit, by halving; parts of a
        `single` entry do."""
        best = self._fitting(single)
        sizes = _divisors(size_of(pieces.part, wire))
        low, high = 0, len(sizes) - 1
        while low < high:
            middle = (low + high + 1) // 2
            larger = self._fitting(self._cut(pieces, wire, sizes[middle]))
            low, high = (middle, high) if larger else (low, middle - 1)
            best = larger or best
        assert best is not None
        return best

    def _fitting(self, pieces: _Pieces) -> Candidate | None:
        """The cheapest program that fits."""
        fitting = [c for c in pieces.candidates if self.memory.peak(c) <= self.limit]
        return min(fitting, key=lambda c: c.cost, default=None)

    def _peak(self, pieces: _Pieces) -> int:
        """The fewest bytes that any of the programs needs."""
        return min(map(self.memory.peak, pieces.candidates))


def _promising(diagrams: Sequence[Diagram]) -> list[str]:
    """The wires that may be cut, those that most entries of operands and results have first."""

    def entries(wire: str) -> int:
        shapes = [t.wires for d in diagrams for n in d.terms for t in n.tensors if wire in t.wires]
        shapes += [d.open for d in diagrams if wire in d.open]
        sizes = {w: s for d in diagrams for n in d.terms for w, s in n.sizes.items()}
        return sum(prod(int(sizes[w]) for w in shape) for shape in shapes)

    return sorted(wires(diagrams), key=entries, reverse=True)
