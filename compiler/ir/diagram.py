"""Diagrams as values: formal sums of networks of tensors joined by wires.

A `Network` is a scalar times a contraction; its structure is a bipartite networkx graph of tensor
nodes (numbers) and wire nodes (names). A `Diagram` is a sum of networks with the same open wires,
together with what its sizes are known to obey. Both are immutable: a rewrite returns new ones. How
a diagram is built from text is in `build`, how it is written in `canonical`, how it is rewritten in
`rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import networkx
import sympy

from diagrammar.grammar.errors import Place, Problem
from diagrammar.ir.relation import Relation, Sizes
from diagrammar.ir.scalar import Dim, equal, is_finite, is_number, substitute
from diagrammar.services import verb

if TYPE_CHECKING:
    from diagrammar.rewrite.engine import Simplified
    from diagrammar.runtime.function import Function

Axes = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Operand:
    """A tensor given at call time; each axis is a group of wires, the first slowest.

    `kind` is what is declared of a constant matrix: "identity", "orthogonal", or nothing.
    """

    name: str
    axes: Axes
    constant: bool = False
    kind: str = ""

    @property
    def wires(self) -> tuple[str, ...]:
        """The wires of all axes, in order."""
        return tuple(wire for axis in self.axes for wire in axis)

    def rename(self, names: Mapping[str, str]) -> Operand:
        """Wires renamed."""
        return replace(self, axes=rename_axes(self.axes, names))


Tensor = Operand | Relation


def rename_axes(axes: Axes, names: Mapping[str, str]) -> Axes:
    """Axes with their wires renamed."""
    return tuple(tuple(names.get(w, w) for w in axis) for axis in axes)


def split_axes(axes: Axes, wire: str, into: tuple[str, ...]) -> Axes:
    """Axes with one wire replaced by several."""
    return tuple(tuple(new for w in axis for new in (into if w == wire else (w,))) for axis in axes)


@dataclass(frozen=True)
class Network:
    """`scalar` times the contraction of `tensors` over every wire that the diagram does not keep
    open.

    `sizes` has every wire of the network, the open ones included (an open wire without a tensor is
    a broadcast, an inner wire without one does not exist). `bundles` are wires that are known to
    run side by side, for a reader; a change of the network forgets them.
    """

    scalar: Any
    tensors: tuple[Tensor, ...]
    sizes: Sizes
    bundles: tuple[tuple[str, ...], ...] = field(default=(), compare=False)

    @cached_property
    def graph(self) -> networkx.MultiGraph:
        """The bipartite graph: tensor nodes 0, 1, … and wire nodes by name; an edge an end, with
        its axis."""
        graph = networkx.MultiGraph()
        for name, extent in self.sizes.items():
            graph.add_node(name, kind="wire", size=extent)
        for at, tensor in enumerate(self.tensors):
            kind = "relation" if isinstance(tensor, Relation) else "operand"
            graph.add_node(at, kind=kind, tensor=tensor)
            for number, axis in enumerate(tensor.axes):
                for wire in axis:
                    graph.add_edge(at, wire, axis=number)
        return networkx.freeze(graph)

    def ends(self, wire: str) -> tuple[int, ...]:
        """The tensors at a wire, once an end, in order."""
        return tuple(
            sorted(at for _, at, _ in self.graph.edges(wire, keys=True))
            if wire in self.sizes
            else ()
        )

    def relations(self) -> Iterator[tuple[int, Relation]]:
        """The relations with their positions."""
        for at, tensor in enumerate(self.tensors):
            if isinstance(tensor, Relation):
                yield at, tensor

    def inner(self, open_wires: Iterable[str]) -> tuple[str, ...]:
        """The wires that are summed, in order of appearance."""
        kept = set(open_wires)
        found = (w for t in self.tensors for w in t.wires if w not in kept)
        return tuple(dict.fromkeys(found))

    def rename(self, names: Mapping[str, str]) -> Network:
        """Wires renamed; wires that become one keep the size of the one that had the name."""
        sizes = {names.get(w, w): s for w, s in self.sizes.items() if w in names}
        sizes.update({w: s for w, s in self.sizes.items() if w not in names})
        tensors = tuple(t.rename(names) for t in self.tensors)
        return Network(self.scalar, tensors, sizes)

    def substitute(self, values: Mapping[Any, Dim]) -> Network:
        """Symbols replaced in scalar, sizes and relations."""
        tensors = tuple(
            t.substitute(values) if isinstance(t, Relation) else t for t in self.tensors
        )
        sizes = {w: substitute(s, values) for w, s in self.sizes.items()}
        scalar = sympy.sympify(substitute(self.scalar, values))
        if scalar.is_number and not scalar.is_finite:
            scalar = sympy.Integer(0)  # an average over nothing, 1/|b| where b is empty, is zero
        return Network(scalar, tensors, sizes)


@dataclass(frozen=True)
class Declared:
    """An operand as it was declared: axes by wire names, and the size of each wire.

    One with `keep` is a mask: drawn at each call that does not give it, each entry 1/keep with
    probability keep, else 0, so of mean one. `keep` is a number, or the name of an operand with the
    mask's axes that has a probability for each entry.
    """

    name: str
    axes: Axes
    sizes: Sizes
    constant: bool = False
    kind: str = ""
    keep: Any = None

    def shape(self) -> tuple[Dim, ...]:
        """Axis sizes."""
        return tuple(product(self.sizes[w] for w in axis) for axis in self.axes)


def product(values: Iterable[Dim]) -> Dim:
    """The product of sizes."""
    total: Dim = 1
    for value in values:
        total = total * value
    return total


@dataclass(frozen=True)
class Equality:
    """Two sizes that must agree, with how messages call them."""

    left: Dim
    right: Dim
    what: str = field(default="", compare=False)


Rule = Literal["above", "whole", "nonzero"]


@dataclass(frozen=True)
class Requirement:
    """What must hold of sizes and parameters once they are known; else `message`, with the values
    put in, at `place`.

    `rule`: "above" is `value` > `least`, or `value` ≥ `least` where `slack` is −1; "whole" says
    that `value` is an integer, "nonzero" that it is not zero. What is `implied` by another part of
    the file is not written in texts.
    """

    value: Dim
    least: Dim
    message: str
    help: str = ""
    slack: int = 0
    rule: Rule = "above"
    place: Place | None = field(default=None, compare=False)
    implied: bool = field(default=False, compare=False)

    def substitute(self, values: Mapping[Any, Dim]) -> Requirement:
        """Symbols replaced."""
        value, least = substitute(self.value, values), substitute(self.least, values)
        return replace(self, value=value, least=least)

    @property
    def problem(self) -> Problem | None:
        """What is wrong, if that is certain."""
        if not is_number(self.value) or not is_number(self.least) or self._holds():
            return None
        known = {"value": self.value, "least": self.least}
        problem = Problem(self.message.format(**known), help=self.help.format(**known))
        if self.place is None:
            return problem
        place = self.place
        return replace(problem, span=place.span, source=place.source, label=place.label)

    def _holds(self) -> bool:
        """Whether it holds of numbers; of a quotient by zero, another requirement says so."""
        if self.rule == "whole":
            return isinstance(self.value, int) or not self.value.is_finite
        if self.rule == "nonzero":
            return bool(self.value != 0)
        if not is_finite(self.value) or not is_finite(self.least):
            return True
        if self.slack == -1:
            return bool(self.value >= self.least)
        return bool(self.value > self.least + self.slack)


@dataclass(frozen=True)
class Reword:
    """How a definition is built again where a parameter gets a value that is no number, such as
    `'same'` or a pair: parameters by name, those that have such values now, and the making."""

    names: frozenset[str]
    worded: frozenset[str]
    make: Callable[[Mapping[str, Any]], Diagram]


@dataclass(frozen=True)
class Diagram:
    """A formal sum of networks with the same open wires.

    `operands` is the signature, in the order in which the file first names them; it survives
    rewriting. `defaults` are values for sizes and parameters that `simplify` and `compile` use
    unless told otherwise; `equalities` and `requirements` must hold among sizes and are checked
    once those are known. `family`, for a definition whose file leaves the rank of its packs open,
    gives it at any rank; `reword` builds it again with values of parameters that are no numbers.
    `places` says where the file has a default, by name, and an operand's axis, as in `X[0]`.
    """

    name: str
    axes: Axes
    terms: tuple[Network, ...]
    operands: tuple[Declared, ...]
    sizes: Sizes
    parameters: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    equalities: tuple[Equality, ...] = ()
    doc: str = field(default="", compare=False)
    requirements: tuple[Requirement, ...] = field(default=(), compare=False)
    family: Callable[[int], Diagram] | None = field(default=None, compare=False, repr=False)
    reword: Reword | None = field(default=None, compare=False, repr=False)
    places: Mapping[str, Place] = field(default_factory=dict, compare=False, repr=False)

    @property
    def open(self) -> tuple[str, ...]:
        """The open wires, in order."""
        return tuple(wire for axis in self.axes for wire in axis)

    @property
    def graph(self) -> networkx.MultiGraph:
        """The graph of the only term; of several terms, their disjoint union (nodes numbered by
        term)."""
        if len(self.terms) == 1:
            return self.terms[0].graph
        parts = {n: term.graph for n, term in enumerate(self.terms)}
        union = networkx.MultiGraph()
        for n, part in parts.items():
            union.update(networkx.relabel_nodes(part, {node: (n, node) for node in part}))
        return networkx.freeze(union)

    def shape(self) -> tuple[Dim, ...]:
        """Sizes of the open axes."""
        return tuple(product(self.sizes[w] for w in axis) for axis in self.axes)

    def substitute(self, values: Mapping[Any, Dim]) -> Diagram:
        """Symbols of sizes and parameters replaced everywhere."""

        def put(sizes: Sizes) -> Sizes:
            return {w: substitute(s, values) for w, s in sizes.items()}

        names = {getattr(symbol, "name", "") for symbol in values}
        return replace(
            self,
            terms=tuple(term.substitute(values) for term in self.terms),
            operands=tuple(
                replace(
                    o,
                    sizes=put(o.sizes),
                    keep=o.keep
                    if o.keep is None or isinstance(o.keep, str)
                    else substitute(o.keep, values),
                )
                for o in self.operands
            ),
            sizes=put(self.sizes),
            parameters=tuple(p for p in self.parameters if p not in names),
            defaults={k: v for k, v in self.defaults.items() if k not in names},
            equalities=tuple(
                replace(e, left=substitute(e.left, values), right=substitute(e.right, values))
                for e in self.equalities
            ),
            requirements=tuple(r.substitute(values) for r in self.requirements),
            family=None,
            reword=None,
        )

    def verify(self) -> None:
        """Check the invariants that every pass must keep; AssertionError names the first broken
        one."""
        known = {o.name: o for o in self.operands}
        assert len(set(self.open)) == len(self.open), f"{self.name}: an open wire stands twice"
        for number, term in enumerate(self.terms):
            where = f"{self.name}, term {number}"
            used = {w for t in term.tensors for w in t.wires}
            missing = (used | set(self.open)) - term.sizes.keys()
            assert not missing, f"{where}: no size for {sorted(missing)}"
            stray = term.sizes.keys() - used - set(self.open)
            assert not stray, f"{where}: wires without an end {sorted(stray)}"
            for wire in self.open:
                assert equal(term.sizes[wire], self.sizes[wire]), f"{where}: size of {wire} differs"
            for tensor in term.tensors:
                if isinstance(tensor, Operand):
                    declared = known.get(tensor.name)
                    assert declared is not None, f"{where}: undeclared operand {tensor.name}"
                    assert len(declared.axes) == len(tensor.axes), f"{where}: axes of {tensor.name}"
                else:
                    for piece in tensor.pieces:
                        forms = [e.form for e in piece.equations] + list(piece.bounds)
                        loose = {w for form in forms for w in form.wires} - set(tensor.wires)
                        assert not loose, f"{where}: {tensor.name} speaks of {sorted(loose)}"

    def __str__(self) -> str:
        return verb(Diagram.__str__)(self)

    def __repr__(self) -> str:
        axes = ", ".join(a[0] if len(a) == 1 else f"({' '.join(a)})" for a in self.axes)
        return f"<Diagram {self.name}[{axes}]>"

    def to_networkx(self) -> networkx.MultiGraph:
        """A graph of tensors and wires for other programs: names, kinds and sizes as plain
        attributes, and the places of the picture. `graph` is the structure itself."""
        return verb(Diagram.to_networkx)(self)

    def _repr_svg_(self) -> str:
        return verb(Diagram._repr_svg_)(self)

    def simplify(self, /, **values: Any) -> Simplified:
        """Rewrite by the standard pipeline, at the given sizes and parameters (defaults for the
        rest).

        Returns the simplified diagram and the trace of every step. Raises DiagramError for an
        unknown name or a value that does not fit.
        """
        return verb(Diagram.simplify)(self, **values)

    def why_not(self, rule: str, /, **values: Any) -> tuple[str, ...]:
        """Why a rule does not apply to this diagram at the given sizes and parameters.

        A line for each place where it was tried in vain: "P1: stride 2 ≠ kernel 3"; none where it
        applies everywhere. `simplify(…).trace.why_not(rule)` says it of what is left after
        simplification. Raises DiagramError for an unknown rule or name.
        """
        return verb(Diagram.why_not)(self, rule, **values)

    def compile(self, /, **values: Any) -> Function:
        """A Python function of the operands; sizes, parameters and options by name (see
        `Function`)."""
        return verb(Diagram.compile)(self, **values)
