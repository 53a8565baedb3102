"""What a rule is, what it does at a place, and how that is carried out on a diagram.

A rule is pure: it looks at one network and says, for a place in it, what becomes of it (`Match`) or
why nothing does (`Miss`). Carrying the edit out, in every term where an open wire is touched,
happens here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import sympy

from diagrammar.ir.diagram import Diagram, Network, Operand, Tensor, product, split_axes
from diagrammar.ir.names import fresh_wire
from diagrammar.ir.relation import Relation
from diagrammar.ir.scalar import Dim
from diagrammar.ir.sizes import told_apart

Site = tuple[int, ...]
"""Positions of the tensors that a rule looks at."""


@dataclass(frozen=True)
class Edit:
    """A change of one network.

    The tensors `remove` go and `add` comes in their place. `merge` makes a wire another, `split`
    makes it a group (which is a bijection), `gone` are wires that a law has summed. `sizes` are
    those of new wires. A summed wire that merely loses its last end leaves its size as a factor.
    `bundles` are wires that a contraction takes for one; that changes no tensor.
    """

    remove: Site = ()
    add: tuple[Tensor, ...] = ()
    merge: Mapping[str, str] = field(default_factory=dict)
    split: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    sizes: Mapping[str, Dim] = field(default_factory=dict)
    factor: Any = 1
    bundles: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Match:
    """A rule applies: what it does, and the condition that held, in words with this diagram's
    names.

    `guard` is the part of the condition that other sizes of the operands would break; empty where
    the hyper-parameters alone decide. `at` says where, if that is not the place's tensors.
    """

    edit: Edit
    because: str
    guard: str = ""
    at: tuple[str, ...] = ()


@dataclass(frozen=True)
class Miss:
    """A rule does not apply, and why: "stride 2 ≠ kernel 3"."""

    reason: str


@dataclass(frozen=True)
class Place:
    """What a rule sees: a network, the open wires, and the positions it is to look at."""

    network: Network
    open: frozenset[str]
    site: Site

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors at the site."""
        return tuple(self.network.tensors[at] for at in self.site)

    @property
    def relation(self) -> Relation:
        """The one relation at the site."""
        tensor = self.tensors[0]
        assert isinstance(tensor, Relation)
        return tensor

    def fresh(self, name: str, extent: Dim) -> str:
        """A free name for a new wire of that size."""
        return fresh_wire(name, extent, self.network.sizes)


Matcher = Callable[[Place], Match | Miss]
Boundary = Literal["zeros", "any"]
Subject = Literal["relations", "constants", "wires"]


@dataclass(frozen=True)
class Rule:
    """One equation between diagrams, with the condition under which it holds.

    `example` and `near_miss` are `.tn` texts: the rule fires somewhere in the first, nowhere in the
    second, for `reason`. `boundary` says for which padding modes the law holds. A `cosmetic` rule
    only cleans up: in a derivation it is told with the step that made it necessary. `on` is what it
    looks at: relations, constants of which something is declared, or all wires of a term.
    """

    name: str
    law: str
    example: str
    near_miss: str
    reason: str
    source: str
    match: Matcher
    arity: int = 1
    boundary: Boundary = "zeros"
    cosmetic: bool = False
    on: Subject = "relations"

    @property
    def doc(self) -> str:
        """The matcher's docstring."""
        return self.match.__doc__ or ""

    def places(self, network: Network, open_wires: Iterable[str]) -> Iterator[Place]:
        """The places where the rule looks: each relation (or declared constant), or each pair that
        shares a wire."""
        opened = frozenset(open_wires)
        if self.on == "wires":
            if sum(isinstance(t, Operand) for t in network.tensors) > 1:
                yield Place(network, opened, ())
            return
        subjects = [at for at, t in enumerate(network.tensors) if self._concerns(t)]
        for at in subjects:
            if self.arity == 1:
                yield Place(network, opened, (at,))
                continue
            wires = network.tensors[at].wires
            near = {n for w in wires for n in network.ends(w) if n > at}
            for other in sorted(near.intersection(subjects)):
                yield Place(network, opened, (at, other))

    def _concerns(self, tensor: Tensor) -> bool:
        if self.on == "relations":
            return isinstance(tensor, Relation)
        return isinstance(tensor, Operand) and bool(tensor.kind)

    def matches(self, diagram: Diagram) -> Iterator[tuple[int, Place, Match]]:
        """Everywhere that the rule applies: term, place, match."""
        for number, term in enumerate(diagram.terms):
            for place in self.places(term, diagram.open):
                found = self.match(place)
                if isinstance(found, Match):
                    yield number, place, found

    def why_not(self, diagram: Diagram) -> tuple[str, ...]:
        """For each place where the rule does not apply, the reason, with the relation's name."""
        reasons = []
        for term in diagram.terms:
            for place in self.places(term, diagram.open):
                found = self.match(place)
                if isinstance(found, Miss):
                    names = ", ".join(labels(term, place.site)) or "its wires"
                    reasons.append(f"{names}: {found.reason}")
        return tuple(reasons)


def labels(network: Network, positions: Iterable[int]) -> tuple[str, ...]:
    """What to call tensors: by name, with their wires where others of that name are not meant,
    too."""
    chosen = list(dict.fromkeys(positions))
    found = []
    for at in chosen:
        tensor = network.tensors[at]
        others = {n for n, t in enumerate(network.tensors) if t.name == tensor.name}
        every = others <= set(chosen)
        found.append(tensor.name if every else f"{tensor.name}[{', '.join(tensor.wires)}]")
    return tuple(dict.fromkeys(found))


RULES: dict[str, Rule] = {}
"""All rules by name, in the order of their registration."""


def rule(
    *,
    law: str,
    example: str,
    near_miss: str,
    reason: str,
    source: str,
    arity: int = 1,
    boundary: Boundary = "zeros",
    cosmetic: bool = False,
    on: Subject = "relations",
) -> Callable[[Matcher], Rule]:
    """Register a matcher as a rule; a registered rule is tested by its example and near miss."""

    def register(match: Matcher) -> Rule:
        name = match.__name__.replace("_", " ")
        about = (law, example, near_miss, reason, source, match)
        made = Rule(name, *about, arity, boundary, cosmetic, on)
        if name in RULES:
            raise ValueError(f"there is a rule '{name}' already")
        RULES[name] = made
        return made

    return register


# -- carrying an edit out --------------------------------------------------------------------------


def apply(diagram: Diagram, number: int, edit: Edit) -> Diagram:
    """The diagram with an edit made in term `number` (and in all terms, where it renames open
    wires). An operand that the edit removes for good is no operand of the result."""
    removed = {t.name for t in map(diagram.terms[number].tensors.__getitem__, edit.remove)}
    made = _told_apart(_applied(diagram, number, edit))
    left = {t.name for term in made.terms for t in term.tensors if isinstance(t, Operand)}
    lost = {o.name for o in made.operands if o.name in removed - left}
    if not lost:
        return made
    return replace(made, operands=tuple(o for o in made.operands if o.name not in lost))


def _told_apart(diagram: Diagram) -> Diagram:
    """The diagram whose operands' factors have names of their own after an edit (`told_apart`)."""
    operands = {o.name: o for o in diagram.operands}
    visible = {*diagram.sizes, *(w for term in diagram.terms for w in term.sizes)}
    for use in (t for term in diagram.terms for t in term.tensors if isinstance(t, Operand)):
        operands[use.name] = told_apart(operands[use.name], use.axes, visible)
    return replace(diagram, operands=tuple(operands.values()))


def _applied(diagram: Diagram, number: int, edit: Edit) -> Diagram:
    opened = frozenset(diagram.open)
    touched = tuple(dict.fromkeys(w for w in (*edit.merge, *edit.split) if w in opened))
    if not touched:
        term = _edited(diagram.terms[number], edit, opened)
        return _with_terms(diagram, _replaced(diagram.terms, number, term), diagram.axes)
    axes = diagram.axes
    for wire, into in edit.split.items():
        axes = split_axes(axes, wire, into)
    for wire, into_one in edit.merge.items():
        axes = split_axes(axes, wire, (into_one,))
    now_open = frozenset(w for axis in axes for w in axis)
    extents = {**diagram.terms[number].sizes, **edit.sizes}
    terms = []
    for at, term in enumerate(diagram.terms):
        if at == number:
            terms.append(_edited(term, edit, now_open))
        else:
            terms.append(_follow(term, edit, touched, now_open, extents))
    return _with_terms(diagram, tuple(terms), axes)


def _follow(
    term: Network,
    edit: Edit,
    touched: Sequence[str],
    opened: frozenset[str],
    extents: Mapping[str, Dim],
) -> Network:
    """Another term whose open wires are renamed or split along; its inner wires keep clear of
    the new names."""
    ends = (edit.split.get(wire, (edit.merge.get(wire, wire),)) for wire in touched)
    new = tuple(dict.fromkeys(w for into in ends for w in into))
    clash = [w for w in term.sizes if w in new and w not in touched]
    renaming: dict[str, str] = {}
    taken = {**term.sizes, **{w: extents[w] for w in new}}
    for wire in clash:
        renaming[wire] = fresh_wire(wire, term.sizes[wire], taken)
        taken[renaming[wire]] = term.sizes[wire]
    moved = term.rename(renaming)
    only = Edit(
        merge={w: n for w, n in edit.merge.items() if w in touched},
        split={w: n for w, n in edit.split.items() if w in touched},
        sizes={w: extents[w] for w in new},
    )
    return _edited(moved, only, opened)


def _edited(term: Network, edit: Edit, opened: frozenset[str]) -> Network:
    sizes = {**term.sizes, **edit.sizes}
    kept: list[Tensor] = []
    for at, tensor in enumerate(term.tensors):
        if edit.remove and at == edit.remove[0]:
            kept.extend(edit.add)
        if at not in edit.remove:
            kept.append(tensor)
    if not edit.remove:
        kept.extend(edit.add)
    for wire, into in edit.split.items():
        kept = [_split(t, wire, into, sizes) for t in kept]
    network = Network(term.scalar * edit.factor, tuple(kept), sizes).rename(edit.merge)
    replaced = {*edit.gone, *edit.split, *edit.merge}
    made = _without_ends(network, opened, replaced)
    return replace(made, bundles=(*term.bundles, *edit.bundles)) if edit.bundles else made


def _split(tensor: Tensor, wire: str, into: tuple[str, ...], sizes: Mapping[str, Dim]) -> Tensor:
    if isinstance(tensor, Operand):
        return replace(tensor, axes=split_axes(tensor.axes, wire, into))
    return tensor.split(wire, into, sizes) if wire in tensor.wires else tensor


def _without_ends(network: Network, opened: frozenset[str], replaced: set[str]) -> Network:
    """Summed wires without an end: replaced ones simply go, others are a factor."""
    used = {w for t in network.tensors for w in t.wires} | opened
    loose = [w for w in network.sizes if w not in used]
    factor = product(network.sizes[w] for w in loose if w not in replaced)
    sizes = {w: s for w, s in network.sizes.items() if w in used}
    return Network(network.scalar * sympy.sympify(factor), network.tensors, sizes)


def _replaced(terms: tuple[Network, ...], number: int, term: Network) -> tuple[Network, ...]:
    return (*terms[:number], term, *terms[number + 1 :])


def _with_terms(
    diagram: Diagram, terms: tuple[Network, ...], axes: tuple[tuple[str, ...], ...]
) -> Diagram:
    sizes = {w: s for term in terms for w, s in term.sizes.items()}
    return replace(diagram, terms=terms, axes=axes, sizes=sizes)
