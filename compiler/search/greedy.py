"""Greedy contraction orders: one cheapest move after the other.

Order 0 takes the move that costs the least. The others score a move by the entries that it makes
less those that it frees, as opt_einsum and cotengra do, with some chance in it.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Iterable, Sequence

from diagrammar.ir.tree import applies
from diagrammar.search.entry import Entry
from diagrammar.search.meeting import GAPS
from diagrammar.search.moves import Moves


class Greedy:
    """One greedy order of some results; `start` numbers it and seeds its chance. `outer`: results
    of operands that share no wire are multiplied, too."""

    def __init__(
        self, moves: Moves, units: Sequence[Entry], start: int, *, outer: bool = False
    ) -> None:
        self.moves = moves
        self.outer = outer
        self.start = start
        self.random = random.Random(start)
        self.freed = self.random.uniform(0.2, 1.2) if start > 1 else 1.0
        self.heat = 10 ** self.random.uniform(-2.0, 0.0) if start > 1 else 0.0
        self.units = units
        self.alive: dict[int, Entry] = {}
        self.relations = [e for e in units if applies(e.tree, "dense pattern")]
        # score, number, results that are used up, and what they become (a join: None)
        self.queue: list[tuple[float, int, tuple[int, ...], Entry | None]] = []
        self.numbers = itertools.count()  # equal scores are taken in order

    def order(self) -> Entry:
        """The whole tree."""
        for unit in self.units:
            self._arrive(unit)
        while len(self.alive) > 1:
            made = self._next() or self._smallest()
            for tensors in [t for t in self.alive if t & made.tensors]:
                del self.alive[tensors]
            self._arrive(made)
        return next(iter(self.alive.values()))

    def _next(self) -> Entry | None:
        """The best move whose results are all still there."""
        while self.queue:
            _, _, used, made = heapq.heappop(self.queue)
            if all(tensors in self.alive for tensors in used):
                return made or self.moves.join(*(self.alive[tensors] for tensors in used))
        return None

    def _smallest(self) -> Entry:
        """Results that share nothing: the two smallest are multiplied."""
        size = self.moves.elements
        first, second = sorted(self.alive.values(), key=lambda e: (size(e.wires), e.tensors))[:2]
        return self.moves.join(first, second)

    def _arrive(self, new: Entry) -> None:
        """A result, and the moves that it takes part in."""
        for other in self.alive.values():
            if other.wires & new.wires or self._meets(other, new):
                self._offer_join(other, new)
        if self.relations:
            self._arrive_among(new)
        self.alive[new.tensors] = new

    def _arrive_among(self, new: Entry) -> None:
        """The moves that read relations."""
        moves = self.moves
        free = [e for e in self.relations if e.tensors in self.alive]
        for relation in free:
            self._offer(moves.absorb(new, relation.tensors.bit_length() - 1), (new,))
        if new in self.relations:
            at = new.tensors.bit_length() - 1
            for other in self.alive.values():
                self._offer(moves.absorb(other, at), (other,))
            for number, first in enumerate(alive := list(self.alive.values())):
                for second in alive[number + 1 :]:
                    self._offer_calls(first, second, new.tensors)
        for other in self.alive.values():
            self._offer_calls(other, new, 0)

    def _offer_calls(self, a: Entry, b: Entry, arriving: int) -> None:
        """Library calls whose relations are all there; a relation that arrives must take part."""
        there = arriving | sum(e.tensors for e in self.relations if e.tensors in self.alive)
        calls = [
            call
            for call in self.moves.native(a, b)
            for swallowed in [call.tensors & ~a.tensors & ~b.tensors]
            if not swallowed & ~there and (not arriving or swallowed & arriving)
        ]
        self._offer(calls, (a, b))

    def _offer(self, found: Iterable[Entry], parts: tuple[Entry, ...]) -> None:
        """Moves that start from some results and swallow relations."""
        for entry in found:
            swallowed = entry.tensors & ~sum(part.tensors for part in parts)
            used = [part.tensors for part in parts]
            used += [e.tensors for e in self.relations if e.tensors & swallowed]
            if self.start == 0:
                score = entry.cost - sum(part.cost for part in parts)
            else:
                size = self.moves.elements
                score = self._score(size(entry.wires), sum(size(p.wires) for p in parts))
            score += self._gaps(entry)
            heapq.heappush(self.queue, (score, next(self.numbers), tuple(used), entry))

    def _offer_join(self, a: Entry, b: Entry) -> None:
        used = (a.tensors, b.tensors)
        if self.start == 0 or any(applies(e.tree, "dense pattern") for e in (a, b)):
            made = self.moves.join(a, b)
            score = made.cost - a.cost - b.cost + self._gaps(made)
            heapq.heappush(self.queue, (score, next(self.numbers), used, made))
            return
        _, read, _, written = self.moves.contracted(a, b)
        heapq.heappush(self.queue, (self._score(written, read), next(self.numbers), used, None))

    def _meets(self, a: Entry, b: Entry) -> bool:
        given = self.moves.given
        return bool(self.outer and a.tensors & given and b.tensors & given)

    def _gaps(self, made: Entry) -> float:
        """Results with gaps come last, when no other operand is left to meet them."""
        avoided = self.moves.strict and made.gaps and self.moves.given & ~made.tensors
        return GAPS if avoided else 0.0

    def _score(self, written: int, read: int) -> float:
        gained = written - self.freed * read
        score = math.copysign(math.log1p(abs(gained)), gained)
        if self.heat:  # chance as of a Boltzmann distribution
            score += self.heat * math.log(-math.log(max(self.random.random(), 1e-12)))
        return score
