"""One definition `Y[…] = …` of the syntax tree as a diagram.

Its products are built factor by factor; what they speak of is kept in `gathered`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import sympy

from diagrammar.grammar import syntax
from diagrammar.grammar.comments import documentation
from diagrammar.grammar.errors import Problem, near
from diagrammar.ir.diagram import (
    Axes,
    Declared,
    Diagram,
    Network,
    Operand,
    Requirement,
    product,
)
from diagrammar.ir.names import fresh_wire, primed
from diagrammar.ir.relation import Relation, delta
from diagrammar.ir.scalar import Dim
from diagrammar.ir.sizes import base, told_apart
from diagrammar.language.evaluate import Attempts, Broken, divides, mistake, scalar, whole
from diagrammar.language.gathered import Gathered
from diagrammar.language.imports import Used
from diagrammar.language.packs import member
from diagrammar.language.patterns import PatternBuilder
from diagrammar.language.sample import keep_of, once
from diagrammar.language.scope import BUILT_IN, groups, indices, suggestion
from diagrammar.language.unused import sizes_in
from diagrammar.transform.inline import MAX_TENSORS, distribute, inline, product_size, size_of

if TYPE_CHECKING:
    from diagrammar.language.build import Builder


class DefinitionBuilder:
    """Builds one definition `Y[…] = …`."""

    def __init__(self, builder: Builder, node: syntax.Definition) -> None:
        self.builder = builder
        self.scope = builder.scope
        self.node = node
        self.inner: dict[str, Dim] = {}
        self.attempts = Attempts()
        self.unsure: set[str] = set()  # wires of factors that are wrong: their sizes are not known
        self.stated: dict[str, list[Requirement]] = {}  # by sizes that the file states
        self.made = 0  # tensors of the terms so far
        self.visible = _visible(node)
        self.gathered = Gathered(self.scope, self.visible)
        self.table = self.gathered.table

    def diagram(self) -> Diagram:
        """The diagram. Raises Mistake with all its mistakes, or Broken if it only uses what is
        broken."""
        for name, entry in self.scope.definite.items():
            if entry.value is not None:
                self.attempts(self._definite, name, entry.value)
        axes, embedding = self._left()
        terms = [t for product in self.node.terms for t in self._term(product)]
        self._left_sizes(terms)
        self._demand(terms)
        self.attempts(self.gathered.require)
        self.attempts.done(self.node.name)
        once(self.scope, self.node.name_span, self.gathered.operands.values(), terms)
        terms = [distribute([t], [embedding])[0] for t in terms]
        return self.gathered.diagram(self.node.name, axes, terms, documentation(self.node))

    def _definite(self, name: str, value: syntax.Value) -> None:
        """Equate a wire's size with what the file says that it always is."""
        assert not isinstance(value, syntax.Text | syntax.Pair)  # no scalars
        demands = self.stated.setdefault(name, [])
        number = scalar(value, self.gathered.lookup, self.scope.source, demands.append)
        whole(value, number, f"size '{name}'", self.scope.source, demands.append)
        self.table.equate(self.table.of(name), self.table.resolve(number), name)

    def _demand(self, terms: list[Network]) -> None:
        """What sizes that the file states must obey, of those that this definition has."""
        if not self.stated:
            return
        wires = [w for term in terms for w in term.sizes]
        wires += [i.name for i in indices(self.node.axes)]
        wires += [size.wire for size in sizes_in(self.node.terms)]
        used = set(map(base, wires))
        for requirement in (r for n, rs in self.stated.items() if n in used for r in rs):
            self.gathered.demand(requirement)

    # -- the left-hand side ------------------------------------------------------------------------

    def _left(self) -> tuple[Axes, Network]:
        """The open axes, each wire once, and deltas for those written twice (`Y[i, i] = …`)."""
        seen: dict[str, Dim] = {}
        deltas: list[Relation] = []
        axes = []
        for axis in groups(self.node.axes):
            group = []
            for wire in axis:
                self.table.of(wire)
                name = wire
                if wire in seen:
                    name = primed(wire, seen)
                    deltas.append(delta(name, wire))
                seen[name] = 0
                group.append(name)
            axes.append(tuple(group))
        sizes = {w: self.table.of(w) for d in deltas for w in d.wires}
        return tuple(axes), Network(sympy.Integer(1), tuple(deltas), sizes)

    def _left_sizes(self, terms: list[Network]) -> None:
        """Every open wire must have a size from somewhere."""
        known = {base(w) for w in (*self.unsure, *(w for term in terms for w in term.sizes))}
        known |= {*self.scope.sizes, *self.scope.definite, *self.scope.vague}
        for index in indices(self.node.axes):
            stem = base(index.name).partition(".")[0]  # of a pack, perhaps written without dots
            if base(index.name) in known or stem in self.unsure:
                continue
            known.add(base(index.name))
            problem = Problem(
                f"nothing gives wire '{index.name}' a size",
                index.span,
                self.scope.source,
                "stands on the left only",
                near(index.name, known - {index.name})
                or f"declare it: size {base(index.name)} = …",
            )
            self.attempts.problems.append(problem)

    # -- products ----------------------------------------------------------------------------------

    def _term(self, node: syntax.Product) -> list[Network]:
        networks = [Network(sympy.Integer(-1 if node.negative else 1), (), {})]
        for factor in node.factors:
            found = self.attempts(self._factor, networks, factor)
            if found is not None:
                networks = found
            else:
                self.unsure.update(self._meant(factor.value))
        self.made += size_of(networks)
        return networks

    def _meant(self, value: syntax.Value | syntax.Reference) -> set[str]:
        """The wires that a factor which is wrong may have: its own, or, of a tensor without them,
        any of the left."""
        if isinstance(value, syntax.Reference):
            return {i.name for i in indices(value.axes)}
        tensors = self.scope.names()
        without = isinstance(value, syntax.Name) and value.name in tensors
        return {base(i.name) for i in indices(self.node.axes)} if without else set()

    def _factor(self, networks: list[Network], factor: syntax.Factor) -> list[Network]:
        value = factor.value
        if isinstance(value, syntax.Reference):
            for _ in range(max(value.power, 0)):
                networks = self._reference(networks, value)
            return networks
        number = self.gathered.value(value)
        if factor.divides:
            divides(number, factor.span, self.scope.source, self.gathered.demand)
        scale = 1 / sympy.sympify(number) if factor.divides else sympy.sympify(number)
        return [Network(n.scalar * scale, n.tensors, n.sizes) for n in networks]

    def _reference(self, networks: list[Network], node: syntax.Reference) -> list[Network]:
        home, name = self.builder.home(node.name, node.name_span)
        scope = home.scope if home else self.scope
        if name in scope.vague:
            raise Broken(name)
        if name in scope.tensors:
            declared = (home or self.builder).declared(name)
            lookup = self.gathered.lookup_in(home) if home else self.gathered.lookup
            keep = keep_of(scope, name, lookup, self.gathered.demand)
            keep = home.name(keep) if home and isinstance(keep, str) else keep
            declared = replace(declared, keep=keep)
            return distribute(networks, [self._operand(node, declared)])
        if name in scope.patterns:
            return distribute(networks, [self._pattern(node, scope.patterns[name], home)])
        if name in scope.definitions:
            return self._diagram(networks, node)
        if home is not None:
            known = [f"{home.alias}.{n}" for n in scope.names() if n not in BUILT_IN]
            raise mistake(
                self.scope.source, node.name_span, f"'{home.alias}' has no '{name}'",
                f"not declared in {scope.source.name}", near(node.name, known),
            )  # fmt: skip
        if name == "delta":
            return distribute(networks, [self._delta(node)])
        if name == "ones":
            sizes = {i.name: self.table.of(i.name) for i in indices(node.axes)}
            return distribute(networks, [Network(sympy.Integer(1), (), sizes)])
        way = suggestion(name, scope)
        if member(name, 0) in scope.patterns:
            way = f"'{name}' is a pack: put '...' behind the brackets, or name '{member(name, 0)}'"
        raise mistake(
            scope.source, node.name_span, f"unknown tensor '{name}'", "not declared", way,
        )  # fmt: skip

    def _arity(self, node: syntax.Reference, axes: Axes, what: str) -> None:
        if len(node.axes) == len(axes):
            return
        shown = ", ".join("(" + " ".join(a) + ")" if len(a) != 1 else a[0] for a in packed(axes))
        way = f"write it as {node.name}[{shown}], with wires of your own"
        if what == "pattern" and any("." in i.name for i in indices(node.axes)):
            way = f"of a pack there is one each: pattern {node.name}[{shown}]... = …, and "
            way += f"{node.name}[{shown}]... here"
        raise mistake(
            self.scope.source, node.span,
            f"{what} '{node.name}' has {len(axes)} axes, not {len(node.axes)}",
            f"{len(node.axes)} given", way,
        )  # fmt: skip

    def _operand(self, node: syntax.Reference, declared: Declared) -> Network:
        self._arity(node, declared.axes, "tensor")
        operand = Operand(declared.name, groups(node.axes), declared.constant, declared.kind)
        declared = told_apart(declared, operand.axes, self.visible)
        sizes: dict[str, Dim] = {}
        for number, (used, own) in enumerate(zip(operand.axes, declared.axes, strict=True)):
            if len(used) == len(own):
                sizes.update({o: self.table.of(u) for u, o in zip(used, own, strict=True)})
                continue
            sizes.update({o: self._own_size(o, used) for o in own})
            left = product(self.table.of(w) for w in used)
            self.table.equate(
                left, product(sizes[o] for o in own), f"axis {number} of '{node.name}'"
            )
        if declared.kind:
            first, second = (product(sizes[w] for w in axis) for axis in declared.axes)
            self.table.equate(first, second, f"'{node.name}', which is square: {declared.kind}")
        self.gathered.state(replace(declared, sizes=sizes))
        return Network(sympy.Integer(1), (operand,), {w: self.table.of(w) for w in operand.wires})

    def _own_size(self, own: str, used: tuple[str, ...]) -> Dim:
        """The size of a declared wire whose axis is used with other groups: that of the wire of its
        name here, unless the axis itself is written with that name, as X[g] in X[(g c)]."""
        if base(own) in map(base, used):
            return self.table.new(own, avoid=self.visible)
        return self.table.of(own)

    def _delta(self, node: syntax.Reference) -> Network:
        wires = [i.name for i in indices(node.axes)]
        if len(wires) != 2:
            raise mistake(
                self.scope.source, node.span, f"delta takes 2 wires, not {len(wires)}",
                f"{len(wires)} given", "write it as delta[i, j]",
            )  # fmt: skip
        first, second = wires
        self.table.equate(self.table.of(second), self.table.of(first), "delta")
        sizes = {w: self.table.of(w) for w in wires}
        tensors = (delta(first, second),) if first != second else ()
        return Network(sympy.Integer(1), tensors, sizes)

    def _pattern(
        self, node: syntax.Reference, pattern: syntax.Pattern, home: Used | None
    ) -> Network:
        self._arity(node, groups(pattern.axes), "pattern")
        source = home.scope.source if home else self.scope.source
        lookup = self.gathered.lookup_in(home) if home else self.gathered.lookup
        params = home.scope.params if home else self.scope.params
        made = PatternBuilder(pattern, source, self.table, lookup, params)
        network = made.network(node, self._fresh)
        self.gathered.requirements.update(dict.fromkeys(made.requirements))
        return network

    def _fresh(self, name: str, extent: Dim) -> str:
        """A name for an inner wire that this definition does not write; wires of one base name
        have one size."""
        taken = {w: self.table.of(w) for w in self.visible}
        taken |= dict(self.inner)
        made = fresh_wire(name, extent, taken)
        self.inner[made] = extent
        return made

    def _diagram(self, networks: list[Network], node: syntax.Reference) -> list[Network]:
        try:
            used = self.builder.use(node.name, node.name_span)
        except Broken:
            home, own = self.builder.home(node.name, node.name_span)
            outline = (home.builder if home else self.builder).outline(own)
            if outline is not None:
                self._grouping(node, outline)
            raise
        self._grouping(node, used.axes)
        wires = [i.name for i in indices(node.axes)]
        elsewhere = self.builder.home(node.name, node.name_span)[0] is not None
        self._room(node, networks, used)
        diagram, sizes = self.gathered.adopt(used, wires, node.name, inherit=elsewhere)
        taken = {w: self.table.of(w) for w in self.visible}
        return inline([self._current(n) for n in networks], diagram, wires, sizes, taken)

    def _room(self, node: syntax.Reference, networks: list[Network], used: Diagram) -> None:
        """A Mistake, said once, where the definition would have too many tensors."""
        if self.made + product_size(networks, used.terms) <= MAX_TENSORS:
            return
        if self.made > MAX_TENSORS:
            raise Broken(self.node.name)
        self.made = MAX_TENSORS + 1
        raise mistake(
            self.scope.source, node.span,
            f"'{self.node.name}' would have more than {MAX_TENSORS:,} tensors",
            f"with those of '{node.name}' in this place",
            "a diagram in a product stands for all of its tensors: use it fewer times",
        )  # fmt: skip

    def _grouping(self, node: syntax.Reference, axes: Axes) -> None:
        """A Mistake where a diagram does not have the axes with which it is used."""
        self._arity(node, axes, "diagram")
        for number, (given, own) in enumerate(zip(groups(node.axes), axes, strict=True)):
            if len(given) != len(own):
                raise mistake(
                    self.scope.source, node.axes[number].span,
                    f"axis {number} of '{node.name}' groups {len(own)} wires, not {len(given)}",
                    "another grouping", f"write ({' '.join(own)}) with wires of your own",
                )  # fmt: skip

    def _current(self, network: Network) -> Network:
        """A network with its sizes as known by now."""
        sizes = {w: self.table.resolve(s) for w, s in network.sizes.items()}
        return Network(network.scalar, network.tensors, sizes)


def packed(axes: Axes) -> Axes:
    """Axes with the members of whole packs as one, `i...`."""
    found: list[tuple[str, ...]] = []
    for axis in axes:
        wires: list[str] = []
        for name in axis:
            stem, dot, number = name.partition(".")
            if dot and number != "0" and (f"{stem}..." in wires or (f"{stem}...",) in found[-1:]):
                continue
            wires.append(f"{stem}..." if dot and number == "0" else name)
        if wires:
            found.append(tuple(wires))
    return tuple(found)


def _visible(node: syntax.Definition) -> frozenset[str]:
    """The wires that a definition writes itself."""
    references = [f.value for term in node.terms for f in term.factors]
    axes = [node.axes, *(r.axes for r in references if isinstance(r, syntax.Reference))]
    return frozenset(i.name for a in axes for i in indices(a))
