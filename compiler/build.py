"""From syntax tree to diagrams: names, sizes, scopes.

One definition at a time, on request, so that a file with a thousand definitions costs what is used.
Every mistake of a definition is collected; a definition that uses a broken one says nothing of its
own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import sympy

from diagrammar import calculus
from diagrammar.compose import distribute, inline
from diagrammar.diagram import (
    Axes,
    Declared,
    Diagram,
    Equality,
    Network,
    Operand,
    Requirement,
    product,
)
from diagrammar.evaluate import Mistake, mistake, scalar
from diagrammar.grammar import syntax
from diagrammar.grammar.errors import Problem, near
from diagrammar.grammar.source import Span
from diagrammar.names import fresh_wire, primed
from diagrammar.packs import member
from diagrammar.patterns import PatternBuilder
from diagrammar.relation import Relation, delta
from diagrammar.scalar import Dim, equal, parameter, substitute
from diagrammar.scope import BUILT_IN, Scope, indices, suggestion
from diagrammar.sizes import SizeTable, base, own_symbols
from diagrammar.specialise import names_of
from diagrammar.using import Used, operand_names


def groups(axes: tuple[syntax.Axis, ...]) -> Axes:
    """Axes of the syntax tree as groups of wire names."""
    return tuple(
        tuple(i.name for i in axis.items) if isinstance(axis, syntax.Group) else (axis.name,)
        for axis in axes
    )


class Broken(Exception):
    """A definition that cannot be built; its problems are already collected."""


class Builder:
    """Builds the diagrams of one file, each once."""

    def __init__(self, scope: Scope, used: Mapping[str, Used] | None = None) -> None:
        self.scope = scope
        self.used = dict(used or {})
        self._built: dict[str, Diagram | None] = {}
        self._building: list[str] = []

    def build(self, name: str) -> Diagram:
        """The diagram of a definition; raises Broken when it has mistakes (then in
        `scope.problems`)."""
        if name not in self._built:
            self._building.append(name)
            try:
                self._built[name] = self._define(self.scope.definitions[name])
            except Mistake as error:
                self.scope.problems.append(error.problem)
                self._built[name] = None
            except Broken:
                self._built[name] = None
            finally:
                self._building.pop()
        found = self._built[name]
        if found is None:
            raise Broken(name)
        return found

    @cached_property
    def operands(self) -> tuple[str, ...]:
        """The names of all operands of the file's definitions."""
        return tuple(operand_names(self.scope, self.used.values()))

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of all parameters."""
        others = (u.name(p) for u in self.used.values() for p in u.builder.parameters)
        return tuple(dict.fromkeys([*self.scope.params, *others]))

    def home(self, name: str, span: Span) -> tuple[Used | None, str]:
        """The file that a name is from, None for this one, and the name there."""
        alias, dot, own = name.partition(".")
        if not dot or own.isdigit():
            return None, name
        if alias in self.used:
            return self.used[alias], own
        if alias in self.scope.uses:
            raise Broken(alias)  # it could not be read, which is said
        raise mistake(
            self.scope.source,
            span,
            f"unknown file '{alias}'",
            "no 'use' has this alias",
            near(alias, self.scope.uses) or f'write use "FILE.tn" as {alias}',
        )

    def use(self, name: str, span: Any) -> Diagram:
        """A diagram that another definition uses."""
        home, own = self.home(name, span)
        if home is not None:
            return home.diagram(own)
        if name in self._building:
            circle = " → ".join([*self._building[self._building.index(name) :], name])
            raise mistake(
                self.scope.source,
                span,
                f"'{name}' is defined by itself",
                circle,
                "break the circle",
            )
        return self.build(name)

    def _define(self, statement: Any) -> Diagram:
        match statement:
            case syntax.Definition():
                return DefinitionBuilder(self, statement).diagram()
            case syntax.Derivative():
                return self._differentiate(statement)
        raise mistake(
            self.scope.source,
            statement.name_span,
            "a 'sample' cannot be compiled yet",
            "it would draw a mask at each call",
            "multiply by a mask that is an operand, with entries 0 and 1/keep: "
            f"tensor mask[{statement.wire}]",
        )

    def _differentiate(self, node: syntax.Derivative) -> Diagram:
        scope = self.scope
        home, own = self.home(node.of, node.of_span)
        definitions = home.scope.definitions if home else scope.definitions
        if own not in definitions:
            known = [f"{home.alias}.{n}" for n in definitions] if home else definitions
            raise mistake(
                scope.source,
                node.of_span,
                f"unknown diagram '{node.of}'",
                "no definition has this name",
                near(node.of, known),
            )
        of = self.use(node.of, node.of_span)
        by_home, by_own = self.home(node.by, node.by_span)
        tensors = by_home.scope.tensors if by_home else scope.tensors
        by_name = by_home.name(by_own) if by_home else node.by
        if by_name not in {o.name for o in of.operands}:
            if by_own not in tensors:
                raise mistake(
                    scope.source,
                    node.by_span,
                    f"unknown operand '{node.by}'",
                    "not declared",
                    near(node.by, [o.name for o in of.operands]),
                )
            self._warn_zero(node)
        by = None
        if by_own in tensors:
            by = by_home.declared(by_own) if by_home else self.declared(by_own)
        by = by or next(o for o in of.operands if o.name == by_name)
        direction = node.direction or (f"t{by_own}" if node.kind == "jvp" else f"d{own}")
        taken = {o.name for o in of.operands} | set(scope.tensors) - {node.direction}
        if node.kind != "jacobian" and direction in scope.definitions:
            role = "tangent" if node.kind == "jvp" else "cotangent"
            raise mistake(
                scope.source,
                node.direction_span if node.direction else node.name_span,
                f"the {role} '{direction}' has the name of a definition",
                "operands and definitions share one space of names",
                f"name another one, as in {role}=V, or rename the definition",
            )
        if node.kind != "jacobian" and direction in taken:
            role = "tangent" if node.kind == "jvp" else "cotangent"
            raise mistake(
                scope.source,
                node.direction_span if node.direction else node.name_span,
                f"the {role} '{direction}' is already an operand",
                "needs a fresh operand",
                f"name another one, as in {role}=V",
            )
        return calculus.derivative(of, by, node.kind, node.name, direction, doc="\n".join(node.doc))

    def _warn_zero(self, node: syntax.Derivative) -> None:
        self.scope.problems.append(
            Problem(
                f"'{node.of}' does not depend on '{node.by}'",
                node.by_span,
                self.scope.source,
                "this derivative is zero",
                severity="warning",
            )
        )

    def declared(self, name: str) -> Declared:
        """A declared tensor with fresh size symbols."""
        node = self.scope.tensors[name]
        axes = groups(node.axes)
        table = SizeTable()
        sizes = {w: table.of(w) for axis in axes for w in axis}
        return Declared(name, axes, sizes, node.constant)


class DefinitionBuilder:
    """Builds one definition `Y[…] = …`."""

    def __init__(self, builder: Builder, node: syntax.Definition) -> None:
        self.builder = builder
        self.scope = builder.scope
        self.node = node
        self.table = SizeTable()
        self.parameters: dict[str, None] = {}
        self.operands: dict[str, Declared] = {}
        self.requirements: dict[Requirement, None] = {}
        self.inherited: dict[str, Any] = {}
        self.inherited_sizes: list[tuple[Dim, Any]] = []
        self.inner: dict[str, Dim] = {}
        self.problems: list[Problem] = []
        self.visible = _visible(node)

    def diagram(self) -> Diagram:
        """The diagram, or Broken."""
        self._definite_sizes()
        axes, embedding = self._left()
        terms = [t for product in self.node.terms for t in self._term(product)]
        self._left_sizes(terms)
        if self.problems:
            self.scope.problems.extend(self.problems)
            raise Broken(self.node.name)
        terms = [distribute([t], [embedding])[0] for t in terms]
        return self._finish(axes, terms)

    def _try(self, step: Callable[..., Any], *arguments: Any) -> Any:
        """A step whose Mistake is noted, so that the next one still reports its own."""
        try:
            return step(*arguments)
        except Mistake as error:
            self.problems.append(error.problem)
        except Broken:
            self.problems.extend(())
            raise
        return None

    # -- scalars -----------------------------------------------------------------------------------

    def lookup(self, node: syntax.Name | syntax.SizeOf) -> Dim:
        """A parameter's symbol, or a wire's size."""
        source = self.scope.source
        if isinstance(node, syntax.SizeOf):
            return self.table.of(node.wire)
        if node.name in self.scope.params:
            self.parameters[node.name] = None
            return parameter(node.name)
        help = near(node.name, self.scope.params) or "declare it with 'param'"
        if node.name in self.scope.sizes:
            help = f"write |{node.name}| for the size of a wire"
        raise mistake(source, node.span, f"unknown parameter '{node.name}'", "not declared", help)

    def _lookup_in(self, home: Used) -> Callable[[syntax.Name | syntax.SizeOf], Dim]:
        """Parameters of another file, by their names here; its defaults come with them."""

        def lookup(node: syntax.Name | syntax.SizeOf) -> Dim:
            if isinstance(node, syntax.SizeOf):
                return self.table.of(node.wire)
            if node.name not in home.scope.params:
                raise mistake(
                    home.scope.source, node.span, f"unknown parameter '{node.name}'",
                    "not declared", near(node.name, home.scope.params),
                )  # fmt: skip
            name = home.name(node.name)
            self.parameters[name] = None
            default = home.scope.params[node.name].value
            if default is not None and not isinstance(default, syntax.Text | syntax.Pair):
                self.inherited[name] = scalar(default, lookup, home.scope.source)
            return parameter(name)

        return lookup

    def _definite_sizes(self) -> None:
        for name, entry in self.scope.sizes.items():
            if entry.definite and entry.value is not None:
                value = self._try(scalar, entry.value, self.lookup, self.scope.source)
                if value is not None:
                    self.table.equate(self.table.of(name), self.table.resolve(value), name)

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
        known = {base(w) for term in terms for w in term.sizes} | set(self.scope.sizes)
        for index in indices(self.node.axes):
            if base(index.name) not in known and not self.problems:
                self.problems.append(
                    Problem(
                        f"nothing gives wire '{index.name}' a size",
                        index.span,
                        self.scope.source,
                        "stands on the left only",
                        near(index.name, known) or f"declare it: size {base(index.name)} = …",
                    )
                )

    # -- products ----------------------------------------------------------------------------------

    def _term(self, node: syntax.Product) -> list[Network]:
        networks = [Network(sympy.Integer(-1 if node.negative else 1), (), {})]
        broken = False
        for factor in node.factors:
            try:
                found = self._try(self._factor, networks, factor)
            except Broken:
                broken = True
                continue
            networks = found if found is not None else networks
        if broken and not self.problems:
            raise Broken(self.node.name)
        return networks

    def _factor(self, networks: list[Network], factor: syntax.Factor) -> list[Network]:
        value = factor.value
        if isinstance(value, syntax.Reference):
            for _ in range(max(value.power, 0)):
                networks = self._reference(networks, value)
            return networks
        number = scalar(value, self.lookup, self.scope.source)
        if factor.divides and number == 0:
            raise mistake(self.scope.source, factor.span, "division by zero", "this is zero")
        scale = 1 / sympy.sympify(number) if factor.divides else sympy.sympify(number)
        return [Network(n.scalar * scale, n.tensors, n.sizes) for n in networks]

    def _reference(self, networks: list[Network], node: syntax.Reference) -> list[Network]:
        home, name = self.builder.home(node.name, node.name_span)
        scope = home.scope if home else self.scope
        if name in scope.tensors:
            declared = (home or self.builder).declared(name)
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
        shown = ", ".join("(" + " ".join(a) + ")" if len(a) != 1 else a[0] for a in axes)
        raise mistake(
            self.scope.source, node.span,
            f"{what} '{node.name}' has {len(axes)} axes, not {len(node.axes)}",
            f"{len(node.axes)} given", f"write it as {node.name}[{shown}], with wires of your own",
        )  # fmt: skip

    def _operand(self, node: syntax.Reference, declared: Declared) -> Network:
        self._arity(node, declared.axes, "tensor")
        operand = Operand(declared.name, groups(node.axes), declared.constant)
        sizes: dict[str, Dim] = {}
        for number, (used, own) in enumerate(zip(operand.axes, declared.axes, strict=True)):
            if len(used) == len(own):
                sizes.update({o: self.table.of(u) for u, o in zip(used, own, strict=True)})
                continue
            sizes.update({o: self._axis_size(o) for o in own})
            left = product(self.table.of(w) for w in used)
            self.table.equate(
                left, product(sizes[o] for o in own), f"axis {number} of '{node.name}'"
            )
        self._state(replace(declared, sizes=sizes))
        return Network(sympy.Integer(1), (operand,), {w: self.table.of(w) for w in operand.wires})

    def _axis_size(self, name: str) -> Dim:
        """The size of an axis' own wire: that of the wire so called, unless one is written here."""
        return self.table.new(name) if name in self.visible else self.table.of(name)

    def _state(self, operand: Declared) -> None:
        """Note an operand with the sizes that one use of it shows; two uses must agree."""
        known = self.operands.setdefault(operand.name, operand)
        for wire, extent in operand.sizes.items():
            what = f"wire '{wire}' of '{operand.name}'"
            self.table.equate(
                self.table.resolve(extent), self.table.resolve(known.sizes[wire]), what
            )

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
        lookup = self._lookup_in(home) if home else self.lookup
        made = PatternBuilder(pattern, source, self.table, lookup)
        network = made.network(node, self._fresh)
        self.requirements.update(dict.fromkeys(made.requirements))
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
        used = self.builder.use(node.name, node.name_span)
        axes = groups(node.axes)
        self._arity(node, used.axes, "diagram")
        for number, (given, own) in enumerate(zip(axes, used.axes, strict=True)):
            if len(given) != len(own):
                raise mistake(
                    self.scope.source, node.axes[number].span,
                    f"axis {number} of '{node.name}' groups {len(own)} wires, not {len(given)}",
                    "another grouping", f"write ({' '.join(own)}) with wires of your own",
                )  # fmt: skip
        wires = [w for axis in axes for w in axis]
        elsewhere = self.builder.home(node.name, node.name_span)[0] is not None
        diagram, sizes = self._adopt(used, wires, node.name, inherit=elsewhere)
        taken = {w: self.table.of(w) for w in self.visible}
        return inline([self._current(n) for n in networks], diagram, wires, sizes, taken)

    def _current(self, network: Network) -> Network:
        """A network with its sizes as known by now."""
        sizes = {w: self.table.resolve(s) for w, s in network.sizes.items()}
        return Network(network.scalar, network.tensors, sizes)

    def _adopt(
        self, used: Diagram, wires: list[str], name: str, *, inherit: bool
    ) -> tuple[Diagram, dict[str, Dim]]:
        """A used diagram with size symbols of our own: those of its open wires are its user's
        wires, the rest are new; operands that both know make them equal again. The defaults of
        another file come with it."""
        renaming: dict[Any, Dim] = {}
        for wire, position in zip(wires, used.open, strict=True):
            if isinstance(used.sizes[position], sympy.Symbol):
                renaming.setdefault(used.sizes[position], self.table.of(wire))
        for symbol in sorted(_symbols(used.sizes.values()), key=lambda s: s.name):
            if symbol.name not in used.parameters and symbol not in renaming:
                renaming[symbol] = self.table.new(symbol.name, avoid=self.visible)
        diagram = used.substitute(renaming)
        for wire, position in zip(wires, used.open, strict=True):
            what = f"wire '{position}' of '{name}'"
            extent = self.table.resolve(diagram.sizes[position])
            self.table.equate(self.table.of(wire), extent, what)
        for operand in diagram.operands:
            self._state(operand)
        for equality in diagram.equalities:
            left, right = self.table.resolve(equality.left), self.table.resolve(equality.right)
            self.table.equate(left, right, equality.what)
        if inherit:
            known = names_of(used)
            for own, value in used.defaults.items():
                if own in used.parameters:
                    self.inherited[own] = value
                elif own in known:
                    self.inherited_sizes.append((substitute(known[own][0], renaming), value))
        self.parameters.update(dict.fromkeys(used.parameters))
        self.requirements.update(dict.fromkeys(diagram.requirements))
        merged = {s: self.table.resolve(s) for s in _symbols(diagram.sizes.values())}
        diagram = diagram.substitute({s: v for s, v in merged.items() if s != v})
        return diagram, {w: self.table.of(w) for w in wires}

    # -- the result --------------------------------------------------------------------------------

    def _finish(self, axes: Axes, terms: list[Network]) -> Diagram:
        """Sizes resolved to the symbols that are left; every network with its open wires."""
        resolve = self.table.resolve
        open_wires = [w for axis in axes for w in axis]
        done = []
        for term in terms:
            sizes = {w: resolve(s) for w, s in term.sizes.items()}
            sizes.update({w: resolve(self.table.of(w)) for w in open_wires})
            done.append(_without_loose(_resolved(term, resolve), sizes, open_wires))
        operands = tuple(
            replace(o, sizes={w: resolve(s) for w, s in o.sizes.items()})
            for o in map(self.operands.__getitem__, self._order(done))
        )
        sizes = {w: s for term in done for w, s in term.sizes.items()}
        diagram = Diagram(
            name=self.node.name,
            axes=axes,
            terms=tuple(done),
            operands=operands,
            sizes={**{w: resolve(self.table.of(w)) for w in open_wires}, **sizes},
            parameters=tuple(dict.fromkeys([*self.scope.params, *self.parameters])),
            equalities=self._equalities(),
            doc="\n".join(self.node.doc),
            requirements=self._requirements(),
        )
        return own_symbols(replace(diagram, defaults=self._defaults(diagram)))

    def _equalities(self) -> tuple[Equality, ...]:
        """Equalities that are not plain by now."""
        resolved = (
            Equality(self.table.resolve(e.left), self.table.resolve(e.right), e.what)
            for e in self.table.equalities
        )
        return tuple(dict.fromkeys(e for e in resolved if not equal(e.left, e.right)))

    def _requirements(self) -> tuple[Requirement, ...]:
        """Requirements in terms of the symbols that are left."""
        resolve = self.table.resolve
        return tuple(
            replace(r, value=resolve(r.value), least=resolve(r.least)) for r in self.requirements
        )

    def _order(self, terms: list[Network]) -> list[str]:
        """The operands that are used, in the order in which the file first names them."""
        used = dict.fromkeys(
            t.name for term in terms for t in term.tensors if isinstance(t, Operand)
        )
        declared = [name for name in self.scope.tensors if name in used]
        return declared + [name for name in used if name not in self.scope.tensors]

    def _defaults(self, diagram: Diagram) -> dict[str, Any]:
        """Values that the file gives for sizes and parameters of this definition."""
        found: dict[str, Any] = {}
        wires = {base(w) for w in diagram.sizes} | {w for o in diagram.operands for w in o.sizes}
        entries = [e for n, e in self.scope.sizes.items() if n in wires and not e.definite]
        entries += self.scope.params.values()
        for entry in entries:
            if entry.value is None:
                continue
            if isinstance(entry.value, syntax.Text | syntax.Pair):
                raise mistake(
                    self.scope.source, entry.value.span,
                    f"the default of '{entry.name}' must be a number", "not a number",
                    "write the padding itself in conv(…)",
                )  # fmt: skip
            value = scalar(entry.value, self.lookup, self.scope.source)
            found[entry.name] = value
        for name, value in self.inherited.items():
            found.setdefault(name, value)
        names = {s: base(w) for w, s in reversed(list(diagram.sizes.items()))}
        for extent, value in self.inherited_sizes:
            name = names.get(self.table.resolve(extent), "")
            if name and name not in self.scope.sizes:
                found.setdefault(name, value)
        return found


def _resolved(term: Network, resolve: Callable[[Dim], Dim]) -> Network:
    """Symbols of a network replaced by what they were merged into."""
    symbols: set[Any] = set(term.scalar.free_symbols)
    for _, relation in term.relations():
        for piece in relation.pieces:
            for form in [e.form for e in piece.equations] + list(piece.bounds):
                for value in [*form.coefficients.values(), form.constant]:
                    if isinstance(value, sympy.Expr):
                        symbols |= value.free_symbols
    return term.substitute({s: resolve(s) for s in symbols if resolve(s) != s})


def _without_loose(term: Network, sizes: Mapping[str, Dim], open_wires: list[str]) -> Network:
    """A summed wire that no tensor has is a factor: its size."""
    used = {w for t in term.tensors for w in t.wires} | set(open_wires)
    factor = product(s for w, s in sizes.items() if w not in used)
    kept = {w: s for w, s in sizes.items() if w in used}
    return Network(term.scalar * factor, term.tensors, kept)


def _visible(node: syntax.Definition) -> frozenset[str]:
    """The wires that a definition writes itself."""
    references = [f.value for term in node.terms for f in term.factors]
    axes = [node.axes, *(r.axes for r in references if isinstance(r, syntax.Reference))]
    return frozenset(i.name for a in axes for i in indices(a))


def _symbols(values: Iterable[Dim]) -> set[sympy.Symbol]:
    return {s for v in values if isinstance(v, sympy.Expr) for s in v.free_symbols}
