"""The search for a contraction tree: exact over connected subsets of a small network; beyond, the
best of several greedy orders, improved piece by piece.

The best tree for a set of tensors does not depend on what comes later, so subsets are solved by
size; what costs more than a whole tree that is known (a greedy one, or for a product of two equal
parts the product of their best) is not looked at. Beyond `EXACT` tensors there are too many
subsets; then greedy orders start, with chance in
their choices (seeded: the same network always gets the same order), and every subtree of the best
is searched exactly again, as far as a few results deep. That is how cotengra improves an order
("subtree reconfiguration", Gray and Kourtis, Quantum 5, 410, 2021); here relations and library
calls are moves, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from diagrammar.ir.diagram import Network
from diagrammar.ir.tree import applies
from diagrammar.search.entry import Entry
from diagrammar.search.greedy import Greedy
from diagrammar.search.meeting import DEARER
from diagrammar.search.moves import Moves
from diagrammar.search.moves import Options as Options
from diagrammar.search.prices import Prices

EXACT = 14
"""The largest network that is searched exactly."""
MANY = 12
CACHED = 10_000
"""With more than `MANY` tensors, how many times less an entry costs in a network of products."""
DYNAMIC = 16
"""The largest network of products that opt_einsum orders, too."""
STARTS = 64
"""How many greedy orders a large network gets."""
KEPT = 4
"""How many of them are improved."""
REGION = 9
"""How many results a subtree is cut into when it is searched again."""
SWEEPS = 4
"""How often all subtrees are searched again, at most."""
WORK = 100_000
"""How many contractions are looked at before improving ends."""


class Search(Moves):
    """The search over one network; `best()` is its answer."""

    def __init__(self, network: Network, open_wires: tuple[str, ...], options: Options) -> None:
        super().__init__(network, open_wires, options)
        self.ending = 0
        self.outer = False  # whether results that share no wire are multiplied
        self.relations = len(list(network.relations()))
        if len(self.wires) > MANY and not self.relations:
            # many tensors are small ones, which stay in the cache: multiplications decide
            strided = options.device.rates.strided / CACHED
            self.prices = Prices(options.device.with_rates(strided=strided))

    def best(self) -> Entry:
        """The cheapest tree for the whole network; if contained, one in which gaps meet no operand
        where that takes at most `DEARER` times as long."""
        found = self._whole()
        if not found.met:
            return found
        self.strict = True
        apart = self._whole()
        if apart.met:  # operands that share no wire are multiplied before what lies between is read
            self.outer = True
            apart = self._component(list(range(len(self.wires))))
        return found if apart.met or apart.cost > DEARER * found.cost else apart

    def _whole(self) -> Entry:
        """The cheapest tree, of one for each connected part."""
        parts = [self._component(part) for part in self._components()]
        contained = self.options.contained  # patterns come last there, as masks
        parts.sort(key=lambda e: (contained and not e.tensors & self.given, self.elements(e.wires)))
        whole = parts[0]
        for part in parts[1:]:
            whole = self.join(whole, part)
        return whole

    def _components(self) -> list[list[int]]:
        """Tensors in connected sets, in order."""
        rest = list(range(len(self.wires)))
        parts = []
        while rest:
            part = [rest.pop(0)]
            wires = self.wires[part[0]]
            grown = True
            while grown:
                joined = [at for at in rest if self.wires[at] & wires]
                grown = bool(joined)
                for at in joined:
                    part.append(at)
                    wires |= self.wires[at]
                    rest.remove(at)
            parts.append(sorted(part))
        return parts

    def _component(self, part: list[int]) -> Entry:
        leaves = [self.leaf(at) for at in part]
        if len(leaves) <= 2:
            return self._exact(leaves)
        halves = self._halves(part)
        if halves:
            found = self._exactly(halves) if len(halves) <= REGION else None
            known = found or self._ordered(halves)  # halves may share no wire
        else:
            known = Greedy(self, leaves, 0, outer=self.outer).order()
        if len(leaves) <= EXACT:
            # nothing dearer than what is known needs to be looked at
            self.ending = self.tried + WORK // 4
            found = self._exactly(leaves, known.cost * (1 + 1e-9), ends=True)
            if found is not None or self.tried < self.ending:
                return found or known
        plain = self._ordered(leaves)
        return min(plain, known, key=lambda entry: entry.cost)

    def _halves(self, part: list[int]) -> list[Entry] | None:
        """For a product of equal parts, such as a squared diagram: each part's best tree, and what
        is in neither. Greedy moves mix the parts, and pay for both."""
        alike: dict[int, list[int]] = {}
        for at in part:
            alike.setdefault(self.likeness(at, self.wires[at]) or -1 - at, []).append(at)
        sides: tuple[list[int], list[int]] = ([], [])
        odd: list[int] = []
        for places in alike.values():
            half, left = divmod(len(places), 2)
            odd += places[2 * half :] if left else []
            sides[0].extend(places[:half])
            sides[1].extend(places[half : 2 * half])
        if not 1 < len(sides[0]) <= EXACT:
            return None
        entries = [self._exactly([self.leaf(at) for at in sorted(side)]) for side in sides]
        rest = [self.leaf(at) for at in odd]
        return None if None in entries else [*(e for e in entries if e), *rest]

    # -- exactly -----------------------------------------------------------------------------------

    def _exact(self, units: Sequence[Entry]) -> Entry:
        """The best tree of a connected network."""
        found = self._exactly(units)
        assert found is not None
        return found

    def _exactly(
        self, units: Sequence[Entry], limit: float = math.inf, *, ends: bool = False
    ) -> Entry | None:
        """By subsets of growing size, each subset's best tree only; None for results that are not
        connected, where nothing costs less than `limit`, and when work `ends`."""
        levels: list[dict[int, Entry]] = [{} for _ in range(len(units) + 1)]
        levels[1] = {e.tensors: e for e in units}
        relations = [e for e in units if applies(e.tree, "dense pattern")]
        for count in range(2, len(units) + 1):
            found = levels[count]
            for entry in self._larger(levels, count, relations, limit):
                known = found.get(entry.tensors)
                if entry.cost < (limit if known is None else known.cost):
                    found[entry.tensors] = entry
            if ends and self.tried >= self.ending:
                return None
        return levels[-1].get(sum(e.tensors for e in units))

    def _larger(
        self,
        levels: list[dict[int, Entry]],
        count: int,
        relations: Sequence[Entry],
        limit: float,
    ) -> Iterator[Entry]:
        """Results of `count` units from smaller ones; some that cost `limit` or more are left
        out."""
        free = sum(e.tensors for e in relations)
        for a in levels[count - 1].values() if relations else ():
            for unit in relations:
                if not a.tensors & unit.tensors:
                    yield from self.absorb(a, unit.tensors.bit_length() - 1)
        for small in range(1, count // 2 + 1):
            for a, b in self._pairs(levels, small, count - small):
                if a.wires & b.wires or self._meets(a, b):
                    known = levels[count].get(a.tensors | b.tensors)
                    below = limit if known is None else known.cost
                    if a.cost + b.cost < below or a.same(b):
                        yield from self.joined(a, b, below)
        for swallowed in range(1, min(3, count - 2, len(relations)) + 1):
            total = count - swallowed
            for small in range(1, total // 2 + 1):
                for a, b in self._pairs(levels, small, total - small):
                    if a.cost + b.cost >= limit and not a.same(b):
                        continue
                    for call in self.native(a, b, swallowed, limit):
                        between = call.tensors & ~a.tensors & ~b.tensors
                        if between.bit_count() == swallowed and not between & ~free:
                            yield call

    def _meets(self, a: Entry, b: Entry) -> bool:
        """Whether two results of operands that share no wire are to be multiplied."""
        return bool(self.outer and a.tensors & self.given and b.tensors & self.given)

    @staticmethod
    def _pairs(
        levels: list[dict[int, Entry]], small: int, large: int
    ) -> Iterator[tuple[Entry, Entry]]:
        for a in levels[small].values():
            for b in levels[large].values():
                if not a.tensors & b.tensors and (small != large or a.tensors < b.tensors):
                    yield a, b

    # -- beyond ------------------------------------------------------------------------------------

    def _ordered(self, units: Sequence[Entry]) -> Entry:
        """The best of some greedy orders, improved."""
        if len(units) == 1:
            return units[0]
        orders = [Greedy(self, units, 0, outer=self.outer).order()]
        ending = self.tried + WORK
        for start in range(1, STARTS):
            if self.tried < ending:
                orders.append(Greedy(self, units, start, outer=self.outer).order())
        orders.sort(key=lambda entry: entry.cost)
        self.ending = self.tried + WORK // 2
        kept = list({e.cost: e for e in orders}.values())[:KEPT]
        improved = [self._improved(order, units) for order in kept]
        plain = not self.relations and all(
            sum(bool(own & bit) for own in self.wires) <= 2 for bit in self.bit.values()
        )
        if len(units) <= DYNAMIC and plain:
            improved.append(self._programmed(units))
        return min(improved, key=lambda entry: entry.cost)

    def _programmed(self, units: Sequence[Entry]) -> Entry:
        """opt_einsum's order by dynamic programming: the fewest multiplications without outer
        products. A limit on memory, with which it may hang, is not given."""
        from opt_einsum.paths import dynamic_programming

        inputs = [frozenset(self._names(e.wires)) for e in units]
        opened = frozenset(self._names(self.needed(sum(e.tensors for e in units))))
        sizes = {w: self.elements(bit) for w, bit in self.bit.items()}
        rest = list(units)
        for taken in dynamic_programming(inputs, opened, sizes):
            parts = [rest.pop(at) for at in sorted(taken, reverse=True)]
            rest.append(self.join(*parts) if len(parts) == 2 else parts[0])
        return rest[0]

    def _improved(self, order: Entry, units: Sequence[Entry]) -> Entry:
        """Every subtree searched again, until nothing changes."""
        fixed = frozenset(e.tensors for e in units)
        done: dict[frozenset[tuple[int, float]], Entry] = {}
        for _ in range(SWEEPS):
            before = order.cost
            order = self._swept(order, fixed, done)
            if order.cost >= before:
                break
        return order

    def _swept(
        self, root: Entry, fixed: frozenset[int], done: dict[frozenset[tuple[int, float]], Entry]
    ) -> Entry:
        """One sweep: subtrees first, then the top of what is left."""
        if root.tensors in fixed:
            return root
        parts = tuple(self._swept(part, fixed, done) for part in root.parts)
        region = [*parts, *self._read(root)]
        while len(region) < REGION:
            inner = [e for e in region if e.tensors not in fixed and e.parts]
            if not inner:
                break
            largest = max(inner, key=lambda e: (e.cost, e.tensors))
            region.remove(largest)
            region += [*largest.parts, *self._read(largest)]
        key = frozenset((e.tensors, e.cost) for e in region)
        if key not in done:
            whole = root if parts == root.parts else None
            better = self._exactly(region, root.cost) if self.tried < self.ending else None
            # results that share no wire have no tree of their own; the order that is known stays
            done[key] = better or whole or self._exactly(region) or root
        return done[key]

    def _read(self, entry: Entry) -> list[Entry]:
        """The relations that the last move of an entry read."""
        rest = entry.tensors & ~sum(part.tensors for part in entry.parts)
        return [self.leaf(at) for at in range(len(self.wires)) if rest >> at & 1]
