"""What one definition gathers while it is built, and the diagram that it becomes.

The networks themselves are made in `definition`; here are the sizes, operands, parameters and
defaults that they speak of, and how those are put in order at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import sympy

from diagrammar.grammar import syntax
from diagrammar.grammar.errors import near
from diagrammar.grammar.formatter import format_value
from diagrammar.ir.diagram import (
    Axes,
    Declared,
    Diagram,
    Equality,
    Network,
    Operand,
    Requirement,
    product,
)
from diagrammar.ir.scalar import Dim, FloorDiv, equal, parameter, plain, substitute
from diagrammar.ir.sizes import SizeTable, base, independent, own_symbols
from diagrammar.ir.symbols import names_of, scalar_sizes
from diagrammar.language.evaluate import Broken, mistake, scalar, shown, whole
from diagrammar.language.imports import Used
from diagrammar.language.scope import Scope, groups
from diagrammar.transform.values import integral

Lookup = Callable[[syntax.Name | syntax.SizeOf], Dim]


@dataclass
class Gathered:
    """What the products of a definition speak of. `visible` has the wires that it writes itself;
    `inherited` values are defaults of other files."""

    scope: Scope
    visible: frozenset[str]
    table: SizeTable = field(default_factory=SizeTable)
    parameters: dict[str, None] = field(default_factory=dict)
    operands: dict[str, Declared] = field(default_factory=dict)
    requirements: dict[Requirement, None] = field(default_factory=dict)
    inherited: dict[str, Any] = field(default_factory=dict)
    inherited_sizes: list[tuple[Dim, Any]] = field(default_factory=list)
    named: dict[tuple[str, str], Dim] = field(default_factory=dict)

    # -- scalars -----------------------------------------------------------------------------------

    def lookup(self, node: syntax.Name | syntax.SizeOf) -> Dim:
        """A parameter's symbol, or a wire's size."""
        if isinstance(node, syntax.SizeOf):
            return self.table.of(node.wire)
        if node.name in self.scope.vague:
            raise Broken(node.name)
        if node.name in self.scope.params:
            self._number(self.scope, node)
            self.parameters[node.name] = None
            return parameter(node.name)
        self._no_tensor(node)
        help = near(node.name, self.scope.params) or "declare it with 'param'"
        if {node.name} & {*self.scope.sizes, *self.scope.definite, *self.scope.wires}:
            help = f"write |{node.name}| for the size of a wire"
        message = f"unknown parameter '{node.name}'"
        raise mistake(self.scope.source, node.span, message, "not declared", help)

    def demand(self, requirement: Requirement) -> None:
        """Note what must hold once sizes and parameters are known."""
        self.requirements[requirement] = None

    def value(self, value: syntax.Value) -> Dim:
        """A scalar of this file, with what its divisors must obey."""
        return scalar(value, self.lookup, self.scope.source, self.demand)

    def lookup_in(self, home: Used) -> Lookup:
        """Parameters of another file, by their names here; its defaults come with them."""

        def lookup(node: syntax.Name | syntax.SizeOf) -> Dim:
            if isinstance(node, syntax.SizeOf):
                return self.table.of(node.wire)
            if node.name in home.scope.vague:
                raise Broken(node.name)
            if node.name not in home.scope.params:
                raise mistake(
                    home.scope.source, node.span, f"unknown parameter '{node.name}'",
                    "not declared", near(node.name, home.scope.params),
                )  # fmt: skip
            self._number(home.scope, node)
            name = home.name(node.name)
            self.parameters[name] = None
            default = home.scope.params[node.name].value
            if default is not None:
                self.inherited[name] = scalar(default, lookup, home.scope.source, self.demand)
            return parameter(name)

        return lookup

    def _no_tensor(self, node: syntax.Name) -> None:
        """A Mistake where a tensor, pattern or diagram stands without its wires."""
        scope = self.scope
        declared = (
            scope.tensors.get(node.name)
            or scope.patterns.get(node.name)
            or scope.definitions.get(node.name)
        )
        if declared is None:
            return
        axes = "…"
        if isinstance(declared, syntax.Tensor | syntax.Pattern | syntax.Definition):
            shown = (f"({' '.join(a)})" if len(a) != 1 else a[0] for a in groups(declared.axes))
            axes = ", ".join(shown)
        raise mistake(
            scope.source, node.span, f"the wires of '{node.name}' are missing",
            "neither a number nor a tensor with its wires", f"write it as {node.name}[{axes}]",
        )  # fmt: skip

    def _number(self, scope: Scope, node: syntax.Name) -> None:
        """A Mistake where a parameter that is no number stands for one."""
        value = scope.params[node.name].value
        if isinstance(value, syntax.Text | syntax.Pair):
            message = f"'{node.name}' is {format_value(value)}, and a number is needed here"
            help = "such a value can be the whole of a padding or boundary, as in padding=p"
            raise mistake(scope.source, node.span, message, "not a number", help)

    # -- operands and other diagrams ---------------------------------------------------------------

    def state(self, operand: Declared) -> None:
        """Note an operand with the sizes that one use of it shows; two uses must agree."""
        known = self.operands.setdefault(operand.name, operand)
        own = [w for axis in known.axes for w in axis]
        for wire, other in zip(own, (w for axis in operand.axes for w in axis), strict=True):
            what = f"wire '{wire}' of '{operand.name}'"
            extent, size = operand.sizes[other], known.sizes[wire]
            self.table.equate(self.table.resolve(extent), self.table.resolve(size), what)

    def adopt(
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
                renaming[symbol] = self._own(symbol.name, used, name if inherit else "")
        diagram = used.substitute(renaming)
        for wire, position in zip(wires, used.open, strict=True):
            what = f"wire '{position}' of '{name}'"
            extent = self.table.resolve(diagram.sizes[position])
            self.table.equate(self.table.of(wire), extent, what)
        for operand in diagram.operands:
            self.state(operand)
        for equality in diagram.equalities:
            left, right = self.table.resolve(equality.left), self.table.resolve(equality.right)
            self.table.equate(left, right, equality.what)
        here = {} if inherit else {**self.scope.params, **self.scope.sizes}
        self._inherit(used, renaming, here)
        self.parameters.update(dict.fromkeys(used.parameters))
        self.requirements.update(dict.fromkeys(diagram.requirements))
        merged = {s: self.table.resolve(s) for s in _symbols(diagram.sizes.values())}
        diagram = diagram.substitute({s: v for s, v in merged.items() if s != v})
        return diagram, {w: self.table.of(w) for w in wires}

    def _own(self, size: str, used: Diagram, name: str) -> Dim:
        """The size of an inner wire of a used diagram. One that a file names is the same in all
        uses, so that its default, or what `compile` gives by that name, is that of all of them."""
        home = name.partition(".")[0]
        if not home and size in self.scope.sizes:
            return self.table.of(size)
        if not home and size in used.defaults:
            home = f"= {used.defaults[size]}"  # of a file that it uses in its turn
        if not home or size not in used.defaults:
            return self.table.new(size, avoid=self.visible)
        if (home, size) not in self.named:
            self.named[home, size] = self.table.new(size, avoid=self.visible)
        return self.named[home, size]

    def _inherit(self, used: Diagram, renaming: Mapping[Any, Dim], here: Container[str]) -> None:
        """Take over the defaults of a used diagram that are not from the file `here` itself."""
        known = names_of(used)
        for own, value in used.defaults.items():
            if own in here:
                continue
            if own in used.parameters:
                self.inherited[own] = value
            elif own in known:
                self.inherited_sizes.append((substitute(known[own][0], renaming), value))

    def require(self) -> None:
        """What the file requires of sizes and parameters, where this definition has those wires."""
        for condition in self.scope.required:
            if not _sizes_in(condition) <= self.table.sizes.keys():
                continue
            values = [self.value(o) for o in condition.operands]
            if "=" in condition.comparisons:
                for operand, value in zip(condition.operands, values, strict=True):
                    whole(operand, value, "a size", self.scope.source, self.demand)
            for left, right, sign in zip(values, values[1:], condition.comparisons, strict=False):
                self._must_hold(left, sign, right)

    def _must_hold(self, left: Dim, sign: str, right: Dim) -> None:
        if sign == "=" and (quotient := _exact_quotient(left, right)) is not None:
            message = f"{shown(quotient)} must be an integer, and is {{value}}"
            self.demand(Requirement(quotient, 0, message, rule="whole"))
            return
        if sign == "=":
            self.table.equate(self.table.resolve(left), self.table.resolve(right), "require")
            return
        if sign in ("<", "<="):
            left, right = right, left
        more = "more than" if sign in ("<", ">") else "at least"
        names = [shown(v) for v in (left, right)]
        message = f"{names[0]} is {{value}}"
        help = f"the file requires that it is {more} {names[1]}, which is {{least}}"
        if isinstance(right, int):
            help = f"the file requires that it is {more} {right}"
        if isinstance(left, int):
            less = "less than" if sign in ("<", ">") else "at most"
            message = f"{names[1]} is {{least}}"
            help = f"the file requires that it is {less} {left}"
        slack = 0 if sign in ("<", ">") else -1
        self.requirements[Requirement(left, right, message, help, slack)] = None

    # -- the result --------------------------------------------------------------------------------

    def diagram(self, name: str, axes: Axes, terms: list[Network], doc: str) -> Diagram:
        """Sizes resolved to the symbols that are left; every network with its open wires."""
        self.table.settle()
        equalities = self._equalities()
        same = {e.right: e.left for e in equalities if e.right not in _symbols([e.left])}

        def resolve(value: Dim) -> Dim:
            resolved = self.table.resolve(value)
            return same.get(resolved, resolved)

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
            name=name,
            axes=axes,
            terms=tuple(done),
            operands=operands,
            sizes={**{w: resolve(self.table.of(w)) for w in open_wires}, **sizes},
            parameters=tuple(dict.fromkeys([*self._numbers(), *self.parameters])),
            equalities=equalities,
            doc=doc,
        )
        stated = {
            name: base(entry.value.wire) if isinstance(entry.value, syntax.SizeOf) else ""
            for name, entry in self.scope.definite.items()
        }
        demands = len(self.requirements)
        diagram = replace(diagram, requirements=self._requirements())
        diagram = replace(diagram, defaults=self._defaults(diagram))
        if len(self.requirements) > demands:  # by defaults
            diagram = replace(diagram, requirements=self._requirements())
        return own_symbols(diagram, stated)

    def _numbers(self) -> list[str]:
        """The file's parameters that are numbers."""
        return [
            name
            for name, entry in self.scope.params.items()
            if not isinstance(entry.value, syntax.Text | syntax.Pair)
        ]

    def _equalities(self) -> tuple[Equality, ...]:
        """Equalities that are not plain by now, nor follow from the others. The left side is the
        one that wires get."""
        resolved = (
            Equality(self.table.resolve(e.left), self.table.resolve(e.right), e.what)
            for e in self.table.equalities
        )
        left = [e for e in resolved if not equal(e.left, e.right)]
        turned = (e if str(e.left) <= str(e.right) else replace(e, left=e.right, right=e.left)
                  for e in left)  # fmt: skip
        sides = {(e.left, e.right): e for e in reversed(list(turned))}
        return independent(sorted(sides.values(), key=lambda e: (str(e.left), str(e.right))))

    def _requirements(self) -> tuple[Requirement, ...]:
        """Requirements in terms of the symbols that are left."""
        resolve = self.table.resolve
        return tuple(
            replace(r, value=resolve(r.value), least=resolve(r.least)) for r in self.requirements
        )

    def _order(self, terms: list[Network]) -> list[str]:
        """The operands that are used, in the order in which the file first names them; what may be
        drawn comes last."""
        used = dict.fromkeys(
            t.name for term in terms for t in term.tensors if isinstance(t, Operand)
        )
        declared = [name for name in self.scope.tensors if name in used]
        order = declared + [name for name in used if name not in self.scope.tensors]
        return sorted(order, key=lambda name: self.operands[name].keep is not None)

    def _defaults(self, diagram: Diagram) -> dict[str, Any]:
        """Values that the file gives for sizes and parameters of this definition."""
        found: dict[str, Any] = {}
        wires = {base(w) for w in diagram.sizes} | {
            base(w) for o in diagram.operands for w in o.sizes
        }
        wires |= {s.name for s in scalar_sizes(diagram)}
        entries = [e for n, e in self.scope.sizes.items() if n in wires]
        entries += self.scope.params.values()
        for entry in entries:
            if entry.value is None or isinstance(entry.value, syntax.Text | syntax.Pair):
                continue
            value = self.value(entry.value)
            if not isinstance(value, int) and value.is_number:
                self._no_fraction(diagram, entry, value)
            found[entry.name] = value
        for name, value in self.inherited.items():
            found.setdefault(name, value)
        names = {s: base(w) for w, s in reversed(list(diagram.sizes.items()))}
        for extent, value in self.inherited_sizes:
            name = names.get(self.table.resolve(extent), "")
            if name and name not in self.scope.sizes:
                found.setdefault(name, value)
        return found

    def _no_fraction(self, diagram: Diagram, entry: syntax.Assignment, value: Dim) -> None:
        """Fractions are for scalars and probabilities."""
        if entry.name in diagram.parameters and parameter(entry.name) not in integral(diagram):
            return
        assert entry.value is not None
        message = f"'{entry.name}' must be an integer"
        help = "sizes are made of it" if entry.name in diagram.parameters else "it is a size"
        raise mistake(self.scope.source, entry.value.span, message, f"is {value}", help)


def _resolved(term: Network, resolve: Callable[[Dim], Dim]) -> Network:
    """Symbols of a network replaced by what they were merged into."""
    symbols: set[Any] = set(term.scalar.free_symbols)
    for _, relation in term.relations():
        for piece in relation.pieces:
            for form in [e.form for e in piece.equations] + list(piece.bounds):
                symbols |= _symbols([*form.coefficients.values(), form.constant])
            symbols |= _symbols(e.modulus for e in piece.equations if e.modulus is not None)
    return term.substitute({s: resolve(s) for s in symbols if resolve(s) != s})


def _without_loose(term: Network, sizes: Mapping[str, Dim], open_wires: list[str]) -> Network:
    """A summed wire that no tensor has is a factor: its size."""
    used = {w for t in term.tensors for w in t.wires} | set(open_wires)
    factor = product(s for w, s in sizes.items() if w not in used)
    kept = {w: s for w, s in sizes.items() if w in used}
    return Network(term.scalar * factor, term.tensors, kept)


def _exact_quotient(left: Dim, right: Dim) -> Dim | None:
    """The quotient n/d that must be an integer, where n = d*(n//d) is said."""
    difference = sympy.expand(left - right)
    quotients = difference.atoms(FloorDiv)
    if len(quotients) != 1:
        return None
    above, below = quotients.pop().args
    if sympy.expand(difference - above + below * FloorDiv(above, below)) != 0:
        return None
    return plain(above / below)


def _sizes_in(node: Any) -> set[str]:
    """The wires whose sizes a part of the syntax tree speaks of, by base name."""
    if isinstance(node, syntax.SizeOf):
        return {base(node.wire)}
    if isinstance(node, tuple):
        return {name for item in node for name in _sizes_in(item)}
    if not is_dataclass(node) or isinstance(node, type):
        return set()
    return {name for f in fields(node) for name in _sizes_in(getattr(node, f.name))}


def _symbols(values: Iterable[Dim]) -> set[sympy.Symbol]:
    return {s for v in values if isinstance(v, sympy.Expr) for s in v.free_symbols}
