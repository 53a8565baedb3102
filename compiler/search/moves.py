"""What a step of a contraction order may be, and what it costs.

A set of tensors grows by a contraction of two sets, by reading a relation along a result (which
costs what the view or copy costs, not what a dense I×O×K array would), or by a native call that
swallows two results and the relations between them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from diagrammar.cost.device import Device
from diagrammar.ir.autocorrelation import GramForm, gram_form
from diagrammar.ir.diagram import Network, Operand
from diagrammar.ir.estimate import estimate
from diagrammar.ir.gaps import (
    folds_everywhere,
    is_total,
    returns_everywhere,
    spreads_everywhere,
)
from diagrammar.ir.index_map import IndexMap, index_map
from diagrammar.ir.relation import ConvForm, Relation, conv_form
from diagrammar.ir.scalar import equal
from diagrammar.ir.tree import Apply, Leaf, applies
from diagrammar.lowerings.reading import reads_gaps
from diagrammar.program.operations.work import VIEW, Work
from diagrammar.search import native
from diagrammar.search.entry import Entry
from diagrammar.search.meeting import masking, meeting
from diagrammar.search.prices import Prices


@dataclass(frozen=True, slots=True)
class Options:
    """What the search may use, and the device that it plans for.

    native: library convolutions. paired: which of a term's paired relations (`ir.autocorrelation`)
    is computed distance by distance; the others, or all, are windows again. batched: how (see
    `lowerings.by_row`). contained: no value with gaps is multiplied by an operand, where that can
    be. preference: how many times their seconds library calls count in the search; below one it
    finds trees full of them, which then compete with the others at their own price.
    """

    device: Device
    native: bool = True
    paired: int | None = None
    batched: bool = False
    contained: bool = False
    preference: float = 1.0


LAST_RESORT = 1e6
"""Seconds that the search counts for a dense pattern, so that it is never a choice."""


class Moves:
    """The moves over one network."""

    def __init__(self, network: Network, open_wires: tuple[str, ...], options: Options) -> None:
        self.network = network
        self.options = options
        self.library = options.device.library
        self.prices = Prices(options.device)
        self.bit = {w: 1 << n for n, w in enumerate(network.sizes)}
        # an empty batch is planned like one example: everything would cost nothing
        self.sizes = {self.bit[w]: max(estimate(s), 1) for w, s in network.sizes.items()}
        self.empty = any(equal(s, 0) for s in network.sizes.values())
        self.open = sum(self.bit[w] for w in open_wires if w in self.bit)
        self.ends = [tuple(t.wires) for t in network.tensors]  # of each tensor, in its order
        self.wires = [sum(self.bit[w] for w in dict.fromkeys(ends)) for ends in self.ends]
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
        self._likes: dict[object, int] = {}
        self._likeness: dict[tuple[int, int], int] = {}
        self._met: dict[tuple[int, int], tuple[tuple[int, int], ...]] = {}
        self._totals: dict[tuple[int, int], bool] = {}
        self.tried = 0  # contractions that were looked at
        operands = [at for at, t in enumerate(network.tensors) if isinstance(t, Operand)]
        self.given = sum(1 << at for at in operands)
        self.strict = False  # whether products in which gaps meet an operand are avoided
        # without an operand that stands twice no two results are alike
        self.repeats = len({network.tensors[at].name for at in operands}) < len(operands)

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
            cost = self.prices.copy(self.elements(wires)) if summed else 0.0
            return Entry(1 << at, wires, cost, Leaf(at), self.likeness(at, wires))
        cost = self.prices.seconds(VIEW)
        if at in self.grams or (at in self.forms and self.forms[at].k is not None):
            cost = LAST_RESORT
        if at in self.maps and len(self.network.tensors[at].wires) > 2:
            cost = LAST_RESORT
        gaps = self.options.contained and not self.is_total(at, wires)
        return Entry(
            1 << at,
            wires,
            cost,
            Apply("dense pattern", (), (at,)),
            self.likeness(at, wires),
            gaps=gaps,
        )

    def is_total(self, at: int, wires: int) -> bool:
        """Whether relation `at` leads from all values of some wires to the others."""
        if (at, wires) not in self._totals:
            relation = self.network.tensors[at]
            assert isinstance(relation, Relation)
            kept = [w for w in self.ends[at] if self.bit[w] & wires]
            self._totals[at, wires] = is_total(relation, kept, self.network.sizes)
        return self._totals[at, wires]

    def likeness(self, at: int, wires: int) -> int:
        """A tensor and what it is read as: equal for two uses that give the same numbers."""
        if not self.repeats:
            return 0
        if (at, wires) not in self._likeness:
            self._likeness[at, wires] = self._like(self._alike(at, wires))
        return self._likeness[at, wires]

    def _like(self, *what: object) -> int:
        """A number for what is computed, the same for the same."""
        return self._likes.setdefault(what, len(self._likes) + 1)

    def _alike(self, at: int, wires: int) -> object:
        tensor = self.network.tensors[at]
        kept = tuple(bool(self.bit[w] & wires) for w in self.ends[at])
        if isinstance(tensor, Operand):
            return tensor.name, tuple(len(axis) for axis in tensor.axes), kept
        places = {w: f"w{n}" for n, w in enumerate(tensor.wires)}
        return tensor.rename(places).pieces, tensor.view is None, kept

    def _along(self, a: Entry, at: int, how: str) -> int:
        """How a relation is read along a result, by the place of its wires in the tensors of the
        result."""
        if not a.like:
            return 0
        ends = tuple(self._places(a, self.bit[name]) for name in self.ends[at])
        return self._like(how, a.like, self.likeness(at, self.wires[at]), ends)

    def join(self, a: Entry, b: Entry) -> Entry:
        """The contraction of two results."""
        return next(self.joined(a, b, math.inf))

    def joined(self, a: Entry, b: Entry, below: float) -> Iterator[Entry]:
        """The contraction of two results if it costs less than `below`."""
        tensors = a.tensors | b.tensors
        wires, read, swept, written = self.contracted(a, b)
        once = a.cost if a.same(b) else a.cost + b.cost
        more, gaps = masking(self, a, b, swept, wires)
        dear, met = meeting(self, a, b)
        cost = once + self.prices.contraction(swept, read, written) + more + dear
        if cost < below:
            like = self._joined(a, b) if self.repeats else 0
            yield Entry(
                tensors,
                wires,
                cost,
                Apply("contraction", (a.tree, b.tree)),
                like,
                (a, b),
                gaps,
                met,
            )

    def contracted(self, a: Entry, b: Entry) -> tuple[int, int, int, int]:
        """Of a contraction: the wires of its result; how many entries it reads, multiplies and
        writes. (Sets of shared wires recur, so their sizes are known; those of unions do not.)"""
        self.tried += 1
        first, second = self.elements(a.wires), self.elements(b.wires)
        swept = first * second // self.elements(a.wires & b.wires)
        both = a.wires | b.wires
        gone = both & ~self.needed(a.tensors | b.tensors)
        return both & ~gone, first + second, swept, swept // self.elements(gone)

    def _joined(self, a: Entry, b: Entry) -> int:
        if not (a.like and b.like):
            return 0
        return self._like("join", a.like, b.like, self._shared(a, b))

    def _shared(self, a: Entry, b: Entry) -> tuple[object, ...]:
        """The places on both sides of the wires that two results share."""
        shared, pairs = a.wires & b.wires, []
        while shared:
            bit = shared & -shared
            pairs.append((self._places(a, bit), self._places(b, bit)))
            shared ^= bit
        return tuple(sorted(pairs))

    def _names(self, wires: int) -> list[str]:
        return [w for w, bit in self.bit.items() if bit & wires]

    def _places(self, a: Entry, bit: int) -> tuple[tuple[int, int], ...]:
        """The places of a wire in the tensors of a result."""
        key = (a.tensors, bit)
        if key not in self._met:
            inside = [n for n in range(len(self.wires)) if a.tensors >> n & 1]
            self._met[key] = tuple(
                (place, end)
                for place, n in enumerate(inside)
                if self.wires[n] & bit
                for end, name in enumerate(self.ends[n])
                if self.bit[name] == bit
            )
        return self._met[key]

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
            yield self._grown(
                a, tensors, wires, needed, Apply("windows", (a.tree,), (at,)), form, read=True
            )
        elif not a.wires & i and a.wires & rest == rest and not needed & rest:
            wires = (a.wires & ~rest) | i
            yield self._grown(a, tensors, wires, needed, Apply("folding", (a.tree,), (at,)), form)
        elif not a.wires & i:
            for name, own in zip((form.o, form.k), others, strict=False):
                if name is not None and a.wires & own and not needed & own:
                    wires = (a.wires & ~own) | i | (rest & ~own)
                    spread = Apply("transposed windows", (a.tree,), (at,), (name,))
                    yield self._grown(a, tensors, wires, needed, spread, form)

    def _picked(self, a: Entry, at: int, found: IndexMap) -> Iterator[Entry]:
        """An index map read along a result, from its source or to it."""
        tensors = a.tensors | 1 << at
        needed = self.needed(tensors)
        source, along = self.bit[found.source], sum(self.bit[w] for w in found.along)
        if a.wires & source and not a.wires & along and not needed & source:
            wires, tree = (a.wires & ~source) | along, Apply("gathering", (a.tree,), (at,))
        elif a.wires & along == along and not a.wires & source and not needed & along:
            wires, tree = (a.wires & ~along) | source, Apply("scattering", (a.tree,), (at,))
        else:
            return
        cost = a.cost + self.prices.copy(max(self.elements(wires), self.elements(a.wires)))
        if wires & ~needed:
            cost += self.prices.summed(self.elements(wires))
        like = self._along(a, at, tree.lowering)
        gaps = a.gaps
        if self.options.contained and tree.lowering == "scattering":
            gaps |= not returns_everywhere(self.network.sizes[found.source], found.runs)
        yield Entry(tensors, wires & needed, cost, tree, like, (a,), gaps, a.met)

    def _grown(
        self,
        a: Entry,
        tensors: int,
        wires: int,
        needed: int,
        tree: Apply,
        form: ConvForm,
        read: bool = False,
    ) -> Entry:
        """The entry after a relation is read: a view costs a call, all else a copy of the larger
        side."""
        free = read and (form.relation.view is not None or form.k is None)
        larger = max(self.elements(wires), self.elements(a.wires))
        cost = a.cost + (self.prices.seconds(VIEW) if free else self.prices.copy(larger))
        if wires & ~needed:
            cost += self.prices.summed(self.elements(wires))
        like = self._along(a, tree.at, tree.lowering)
        gaps = a.gaps
        if self.options.contained and tree.lowering == "folding":
            gaps |= not folds_everywhere(form)
        elif self.options.contained and tree.lowering == "windows":
            gaps |= reads_gaps(form, a.tree, self.forms.__getitem__)
        elif self.options.contained and tree.lowering == "transposed windows":
            gaps |= not spreads_everywhere(form, tree.details[0])
        return Entry(tensors, wires & needed, cost, tree, like, (a,), gaps, a.met)

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
            alike = left.same(right)
            count = distances if alike else 2 * distances
            swept = count * self.elements(both & ~i2) // min(estimate(form.S), estimate(form.K))
            copies = self.elements(left.wires) + (0 if alike else self.elements(right.wires))
            cost = left.cost + (0.0 if alike else right.cost) + self.prices.copy(2 * copies)
            cost += self.prices.contraction(swept, count * copies, 0)
            cost += self.prices.seconds(Work(views=6 * count))
            cost += 2 * self.prices.copy(self.elements(wires))
            how = ("batched",) if self.options.batched else ()
            tree = Apply("row by row", (left.tree, right.tree), (at,), how)
            like = self._like("paired", left.like, right.like, at) if left.like else 0
            like = like if right.like else 0
            (more, met), gaps = meeting(self, left, right), left.gaps or right.gaps
            yield Entry(tensors, wires, cost + more, tree, like, (left, right), gaps, met)

    def native(
        self, a: Entry, b: Entry, swallowed: int | None = None, limit: float = math.inf
    ) -> Iterator[Entry]:
        """Library calls for two results and all relations between them; only those with so many,
        if a number is given, and that cost less than `limit`."""
        if self.grams and swallowed in (None, 1):
            yield from self.paired(a, b)
        if not self.options.native:
            return
        taken = a.tensors | b.tensors
        between = [
            at
            for at in self.forms
            if not taken >> at & 1
            and self._lies_between(at, self.wires[at] & a.wires, self.wires[at] & b.wires)
        ]
        if swallowed is not None and len(between) != swallowed:
            return
        found = native.recognise(self, a, b, between)
        if found is None:
            return
        (more, met), gaps = meeting(self, a, b), a.gaps or b.gaps
        if applies(found.tree, "transposed convolution"):
            folds = all(folds_everywhere(self.forms[at]) for at in between)
            gaps |= self.options.contained and not folds
        if found.cost + more < limit:
            like, cost = self._called(a, b, found, between), found.cost + more
            yield replace(found, cost=cost, gaps=gaps, met=met, like=like)

    def _called(self, a: Entry, b: Entry, call: Entry, between: Sequence[int]) -> int:
        """A library call by its sides, its relations and what they hold together."""
        if not (a.like and b.like) or not isinstance(call.tree, Apply):
            return 0
        ends = tuple(
            (self.likeness(at, self.wires[at]), self._places(a, bit), self._places(b, bit))
            for at in between
            for bit in (self.bit[name] for name in self.ends[at])
        )
        return self._like(call.tree.lowering, a.like, b.like, self._shared(a, b), ends)

    def _lies_between(self, at: int, first: int, second: int) -> bool:
        """Whether a relation has wires on both sides; a kernel of size one has none to have."""
        return bool(first and second) or (self.forms[at].k is None and bool(first or second))
