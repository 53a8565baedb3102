"""The search for a contraction tree: exact over connected subsets of a small network, greedy
beyond.

The best tree for a set of tensors does not depend on what comes later, so subsets are solved by
size. A subset grows by a contraction of two subsets, by reading a relation along a result (which
costs what the view or copy costs, not what a dense I×O×K array would), or by a native call that
swallows two results and the relations between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import sympy

from diagrammar.diagram import Network, Operand
from diagrammar.gram import GramForm, gram_form
from diagrammar.indexmap import IndexMap, index_map
from diagrammar.plan import native
from diagrammar.plan.cost import DEFAULT, Machine, hint
from diagrammar.plan.tree import Dense, Fold, Join, Leaf, Paired, Pick, Read, Return, Spread, Tree
from diagrammar.relation import ConvForm, conv_form
from diagrammar.scalar import Dim, equal

EXACT = 12
"""The largest network that is searched exactly."""
WHOLE = 9
"""The same for a product of two equal parts, which are searched apart beyond."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The best tree found for a set of tensors: its cost and the wires of its result, as bits.

    Two entries that are `like` each other compute the same numbers, up to names of wires: together
    they cost what one costs.
    """

    tensors: int
    wires: int
    cost: float
    tree: Tree
    like: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """What the search may use.

    native: library convolutions. paired: which of a term's paired relations (`diagrammar.gram`) is
    computed distance by distance; the others, or all, are windows again. batched: how (see
    `tree.Paired`).
    """

    machine: Machine = DEFAULT
    native: bool = True
    paired: int | None = None
    batched: bool = False


class Search:
    """The search over one network; `best()` is its answer."""

    def __init__(self, network: Network, open_wires: tuple[str, ...], options: Options) -> None:
        self.network = network
        self.options = options
        self.machine = options.machine
        self.bit = {w: 1 << n for n, w in enumerate(network.sizes)}
        # an empty batch is planned like one example: everything would cost nothing
        self.sizes = {self.bit[w]: max(estimate(s), 1) for w, s in network.sizes.items()}
        self.empty = any(equal(s, 0) for s in network.sizes.values())
        self.open = sum(self.bit[w] for w in open_wires if w in self.bit)
        self.wires = [sum(self.bit[w] for w in dict.fromkeys(t.wires)) for t in network.tensors]
        self.forms: dict[int, ConvForm] = {}
        self.maps: dict[int, IndexMap] = {}
        for at, relation in network.relations():
            form = conv_form(relation, network.sizes)
            if form is not None:
                self.forms[at] = form
            elif (found := index_map(relation, network.sizes)) is not None:
                self.maps[at] = found
        self.grams: dict[int, GramForm] = {}
        for at, relation in network.relations():
            paired = gram_form(relation, network.sizes)
            if paired is not None:
                self.grams[at] = paired
        self._elements: dict[int, int] = {0: 1}
        self._needed: dict[int, int] = {}
        self._like: dict[tuple[int, int], str] = {}

    def elements(self, wires: int) -> int:
        """The number of entries of a tensor with these wires."""
        if wires not in self._elements:
            low = wires & -wires
            self._elements[wires] = self.sizes[low] * self.elements(wires ^ low)
        return self._elements[wires]

    def needed(self, tensors: int) -> int:
        """The wires that are open or lead out of a set of tensors."""
        if tensors not in self._needed:
            wires = self.open
            for at, own in enumerate(self.wires):
                if not tensors >> at & 1:
                    wires |= own
            self._needed[tensors] = wires
        return self._needed[tensors]

    # -- moves -------------------------------------------------------------------------------------

    def leaf(self, at: int) -> Entry:
        """A tensor by itself, what ends in it alone summed at once."""
        wires = self.wires[at] & self.needed(1 << at)
        if isinstance(self.network.tensors[at], Operand):
            summed = wires != self.wires[at]
            cost = self.machine.copy(self.elements(wires)) if summed else 0.0
            return Entry(1 << at, wires, cost, Leaf(at), self._likeness(at, wires))
        cost = self.machine.view()
        if at in self.grams or (at in self.forms and self.forms[at].k is not None):
            cost = self.machine.dense_pattern
        if at in self.maps and len(self.network.tensors[at].wires) > 2:
            cost = self.machine.dense_pattern
        return Entry(1 << at, wires, cost, Dense(at), self._likeness(at, wires))

    def _likeness(self, at: int, wires: int) -> str:
        """A tensor and what it is read as: equal for two uses that give the same numbers."""
        if (at, wires) not in self._like:
            self._like[at, wires] = self._alike(at, wires)
        return self._like[at, wires]

    def _alike(self, at: int, wires: int) -> str:
        tensor = self.network.tensors[at]
        kept = [bool(self.bit[w] & wires) for w in tensor.wires]
        if isinstance(tensor, Operand):
            shape = [len(axis) for axis in tensor.axes]
            return f"{tensor.name}{shape}{kept}"
        places = {w: f"w{n}" for n, w in enumerate(tensor.wires)}
        return f"{tensor.rename(places).pieces}{tensor.view is None}{kept}"

    def _along(self, a: Entry, at: int, how: str) -> str:
        """How a relation is read along a result, by the place of its wires in the tensors of the
        result."""
        ends = []
        for name in self.network.tensors[at].wires:
            found = [
                f"{self.network.tensors[n].wires.index(name)}"
                for n in range(len(self.wires))
                if a.tensors >> n & 1 and name in self.network.tensors[n].wires
            ]
            ends.append(",".join(found))
        return f"{how}({a.like};{self._likeness(at, self.wires[at])};{ends})"

    def join(self, a: Entry, b: Entry) -> Entry:
        """The contraction of two results."""
        tensors = a.tensors | b.tensors
        both = a.wires | b.wires
        wires = both & self.needed(tensors)
        moved = self.elements(a.wires) + self.elements(b.wires) + self.elements(wires)
        once = a.cost if a.like == b.like else a.cost + b.cost
        cost = once + self.machine.contraction(self.elements(both), moved)
        shared = [f"{self._ends(a, w)}-{self._ends(b, w)}" for w in self._names(a.wires & b.wires)]
        like = f"join({a.like};{b.like};{sorted(shared)})"
        return Entry(tensors, wires, cost, Join(a.tree, b.tree), like)

    def _names(self, wires: int) -> list[str]:
        return [w for w, bit in self.bit.items() if bit & wires]

    def _ends(self, a: Entry, name: str) -> str:
        """The places of a wire in the tensors of a result."""
        tensors = self.network.tensors
        inside = [n for n in range(len(self.wires)) if a.tensors >> n & 1]
        return ",".join(
            f"{place}.{tensors[n].wires.index(name)}"
            for place, n in enumerate(inside)
            if name in tensors[n].wires
        )

    def absorb(self, a: Entry, at: int) -> Iterator[Entry]:
        """The ways of reading relation `at` along a result."""
        form = self.forms.get(at)
        if at in self.maps:
            yield from self._picked(a, at, self.maps[at])
        if form is None or not self.wires[at] & a.wires:
            return
        tensors = a.tensors | 1 << at
        needed = self.needed(tensors)
        i, others = self.bit[form.i], [self.bit[w] for w in (form.o, form.k) if w is not None]
        rest = sum(others)
        if a.wires & i and not needed & i:
            wires = (a.wires & ~i) | rest
            yield self._grown(a, tensors, wires, needed, Read(a.tree, at), form, read=True)
        elif not a.wires & i and a.wires & rest == rest and not needed & rest:
            wires = (a.wires & ~rest) | i
            yield self._grown(a, tensors, wires, needed, Fold(a.tree, at), form)
        elif not a.wires & i:
            for name, own in zip((form.o, form.k), others, strict=False):
                if name is not None and a.wires & own and not needed & own:
                    wires = (a.wires & ~own) | i | (rest & ~own)
                    spread = Spread(a.tree, at, name)
                    yield self._grown(a, tensors, wires, needed, spread, form)

    def _picked(self, a: Entry, at: int, found: IndexMap) -> Iterator[Entry]:
        """An index map read along a result, from its source or to it."""
        tensors = a.tensors | 1 << at
        needed = self.needed(tensors)
        source, along = self.bit[found.source], sum(self.bit[w] for w in found.along)
        tree: Pick | Return
        if a.wires & source and not a.wires & along and not needed & source:
            wires, tree = (a.wires & ~source) | along, Pick(a.tree, at)
        elif a.wires & along == along and not a.wires & source and not needed & along:
            wires, tree = (a.wires & ~along) | source, Return(a.tree, at)
        else:
            return
        cost = a.cost + self.machine.copy(max(self.elements(wires), self.elements(a.wires)))
        if wires & ~needed:
            cost += self.machine.copy(self.elements(wires))
        like = self._along(a, at, type(tree).__name__)
        yield Entry(tensors, wires & needed, cost, tree, like)

    def _grown(
        self,
        a: Entry,
        tensors: int,
        wires: int,
        needed: int,
        tree: Read | Fold | Spread,
        form: ConvForm,
        read: bool = False,
    ) -> Entry:
        """The entry after a relation is read: a view costs a call, all else a copy of the larger
        side."""
        free = read and (form.relation.view is not None or form.k is None)
        larger = max(self.elements(wires), self.elements(a.wires))
        cost = a.cost + (self.machine.view() if free else self.machine.copy(larger))
        if wires & ~needed:
            cost += self.machine.copy(self.elements(wires))
        like = self._along(a, tree.at, type(tree).__name__)
        return Entry(tensors, wires & needed, cost, tree, like)

    def paired(self, a: Entry, b: Entry) -> Iterator[Entry]:
        """Two results and a paired relation between them: a product for each distance of rows."""
        for at, form in self.grams.items():
            i, i2 = self.bit[form.i], self.bit[form.i2]
            left, right = (a, b) if a.wires & i else (b, a)
            rows = i | i2
            if (a.tensors | b.tensors) >> at & 1 or not left.wires & i or not right.wires & i2:
                continue
            tensors = a.tensors | b.tensors | 1 << at
            needed = self.needed(tensors)
            columns = self.bit[form.k] | self.bit[form.k2]
            both = a.wires | b.wires
            if left.wires & i2 or right.wires & i or both & columns or needed & rows:
                continue
            if columns & ~needed or (a.wires ^ b.wires) & ~rows & ~needed:
                continue
            wires = (both & ~rows & needed) | columns
            distances = estimate(form.K) * min(estimate(form.S), estimate(form.K))
            alike = left.like == right.like
            count = distances if alike else 2 * distances
            swept = count * self.elements(both & ~i2) // min(estimate(form.S), estimate(form.K))
            copies = self.elements(left.wires) + (0 if alike else self.elements(right.wires))
            cost = left.cost + (0.0 if alike else right.cost) + self.machine.copy(2 * copies)
            cost += self.machine.contraction(swept, count * copies)
            cost += 6 * count * self.machine.call + 2 * self.machine.copy(self.elements(wires))
            tree = Paired(left.tree, right.tree, at, self.options.batched)
            yield Entry(tensors, wires, cost, tree, f"paired({left.like};{right.like};{at})")

    def native(self, a: Entry, b: Entry) -> Iterator[Entry]:
        """Library calls for two results and all relations between them."""
        yield from self.paired(a, b)
        if not self.options.native:
            return
        between = [
            at
            for at, own in enumerate(self.wires)
            if at in self.forms
            and not (a.tensors | b.tensors) >> at & 1
            and self._lies_between(at, own & a.wires, own & b.wires)
        ]
        found = native.recognise(self, a, b, between)
        if found is not None:
            yield found

    def _lies_between(self, at: int, first: int, second: int) -> bool:
        """Whether a relation has wires on both sides; a kernel of size one has none to have."""
        return bool(first and second) or (self.forms[at].k is None and bool(first or second))

    # -- strategies --------------------------------------------------------------------------------

    def best(self) -> Entry:
        """The cheapest tree for the whole network."""
        parts = [self._component(part) for part in self._components()]
        parts.sort(key=lambda e: self.elements(e.wires))
        whole = parts[0]
        for part in parts[1:]:
            whole = self.join(whole, part)
        return whole

    def _components(self) -> list[list[int]]:
        """Tensors in connected sets, in order."""
        rest = list(range(len(self.wires)))
        parts = []
        while rest:
            part, wires = [rest.pop(0)], self.wires[0]
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
        halves = self._halves(part) if len(part) > WHOLE else None
        if halves is None and len(part) <= EXACT:
            return self._exact(part)
        plain = self._greedy([self.leaf(at) for at in part])
        if halves is None:
            return plain
        squared = self._greedy(halves)
        return min(plain, squared, key=lambda entry: entry.cost)

    def _halves(self, part: list[int]) -> list[Entry] | None:
        """For a product of equal parts, such as a squared diagram: each part's best tree, and what
        is in neither. Greedy moves mix the parts, and pay for both."""
        alike: dict[str, list[int]] = {}
        for at in part:
            alike.setdefault(self._likeness(at, self.wires[at]), []).append(at)
        sides: tuple[list[int], list[int]] = ([], [])
        odd: list[int] = []
        for places in alike.values():
            half, left = divmod(len(places), 2)
            odd += places[2 * half :] if left else []
            sides[0].extend(places[:half])
            sides[1].extend(places[half : 2 * half])
        if not 1 < len(sides[0]) <= EXACT or (odd and len(part) <= EXACT):
            return None
        entries = [self._exactly(sorted(side)) for side in sides]
        rest = [self.leaf(at) for at in odd]
        return None if None in entries else [*(e for e in entries if e), *rest]

    def _exact(self, part: list[int]) -> Entry:
        """The best tree of a connected network."""
        found = self._exactly(part)
        assert found is not None
        return found

    def _exactly(self, part: list[int]) -> Entry | None:
        """By subsets of growing size, each subset's best tree only; None for tensors that are not
        connected."""
        levels: list[dict[int, Entry]] = [{} for _ in range(len(part) + 1)]
        for at in part:
            levels[1][1 << at] = self.leaf(at)
        for count in range(2, len(part) + 1):
            found = levels[count]
            for entry in self._candidates(levels, count, part):
                known = found.get(entry.tensors)
                if known is None or entry.cost < known.cost:
                    found[entry.tensors] = entry
        return levels[len(part)].get(sum(1 << at for at in part))

    def _candidates(
        self, levels: list[dict[int, Entry]], count: int, part: list[int]
    ) -> Iterator[Entry]:
        for a in levels[count - 1].values():
            for at in part:
                if not a.tensors >> at & 1:
                    yield from self.absorb(a, at)
        for small in range(1, count // 2 + 1):
            for a, b in self._pairs(levels, small, count - small):
                if a.wires & b.wires:
                    yield self.join(a, b)
        for relations in range(1, min(3, count - 2) + 1):
            total = count - relations
            for small in range(1, total // 2 + 1):
                for a, b in self._pairs(levels, small, total - small):
                    yield from (e for e in self.native(a, b) if e.tensors.bit_count() == count)

    @staticmethod
    def _pairs(
        levels: list[dict[int, Entry]], small: int, large: int
    ) -> Iterator[tuple[Entry, Entry]]:
        for a in levels[small].values():
            for b in levels[large].values():
                if not a.tensors & b.tensors and (small != large or a.tensors < b.tensors):
                    yield a, b

    def _greedy(self, entries: list[Entry]) -> Entry:
        """One cheapest move after the other."""
        while len(entries) > 1:
            moves = list(self._moves(entries))
            if not moves:
                entries.sort(key=lambda e: self.elements(e.wires))
                moves = [(self.join(entries[0], entries[1]), 0.0)]
            chosen, _ = min(moves, key=lambda move: (move[1], move[0].tensors))
            entries = [e for e in entries if not e.tensors & chosen.tensors] + [chosen]
        return entries[0]

    def _moves(self, entries: list[Entry]) -> Iterator[tuple[Entry, float]]:
        relations = {e.tensors: e for e in entries if isinstance(e.tree, Dense)}
        for number, a in enumerate(entries):
            for at in (*self.forms, *self.maps):
                if 1 << at in relations and not a.tensors >> at & 1:
                    for grown in self.absorb(a, at):
                        yield grown, grown.cost - a.cost
            for b in entries[number + 1 :]:
                if a.wires & b.wires:
                    joined = self.join(a, b)
                    yield joined, joined.cost - a.cost - b.cost
                for call in self.native(a, b):
                    swallowed = call.tensors & ~a.tensors & ~b.tensors
                    if all(1 << at in relations for at in self.forms if swallowed >> at & 1):
                        yield call, call.cost - a.cost - b.cost


def estimate(extent: Dim, names: Mapping[str, int] | None = None) -> int:
    """A size as a number: itself if known, a typical value if symbolic (for comparing costs
    only)."""
    if isinstance(extent, int):
        return extent
    values = {s: (names or {}).get(str(s), hint(str(s))) for s in extent.free_symbols}
    number = extent.xreplace({s: sympy.Integer(v) for s, v in values.items()}).doit()
    return max(1, int(number))
