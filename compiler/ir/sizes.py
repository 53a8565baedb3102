"""Sizes of wires: collecting what must be equal, and solving for what is not known.

While a definition is built, a `SizeTable` gives every wire a symbol and merges those that must be
equal. When values come (by keyword, by default, by operand), `solve` finds the symbols, and says
which size clashes with which, or which cannot be known.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sympy

from diagrammar.grammar.errors import Place, Problem
from diagrammar.ir.diagram import Axes, Declared, Diagram, Equality, rename_axes
from diagrammar.ir.names import suffixed
from diagrammar.ir.scalar import (
    MAX_MONOMIALS,
    Dim,
    FloorDiv,
    equal,
    expand,
    monomials,
    plain,
    size,
    substitute,
    text,
)


def base(wire: str) -> str:
    """The name without primes; wires of one base have one size."""
    return wire.rstrip("'")


def told_apart(declared: Declared, used: Axes, visible: Container[str]) -> Declared:
    """The operand, `used` with some axes, with other names for factors of a group that is used as a
    wire of the same name: X[(a b)] as X[a] is X[(a_ b)], so that the factor can be spoken of."""
    names: dict[str, str] = {}
    for ends, own in zip(used, declared.axes, strict=True):
        if len(ends) != len(own) > 1:
            for wire in (w for w in own if base(w) in map(base, ends)):
                name = wire
                while name in visible or name in declared.sizes:
                    name = suffixed(name, "_")
                names[wire] = name
    if not names:
        return declared
    sizes = {names.get(w, w): s for w, s in declared.sizes.items()}
    return replace(declared, axes=rename_axes(declared.axes, names), sizes=sizes)


class TooLong(Exception):
    """A size whose formula is a sum of too many products."""


class SizeTable:
    """The sizes of one definition while it is being built (the one mutable thing of the build)."""

    def __init__(self) -> None:
        self.sizes: dict[str, Dim] = {}
        self.equalities: list[Equality] = []

    def of(self, wire: str) -> Dim:
        """The size of a wire; a new symbol for a new base name."""
        name = base(wire)
        if name not in self.sizes:
            self.sizes[name] = size(name)
        return self.sizes[name]

    def new(self, name: str, avoid: Container[str] = ()) -> Dim:
        """A symbol of its own, named like `name` where that is free."""
        while name in self.sizes or name in avoid:
            name = suffixed(name, "_")
        return self.of(name)

    def equate(self, left: Dim, right: Dim, what: str) -> None:
        """Record left = right: by putting right for left where left is a free symbol, else as an
        equality. Raises TooLong."""
        _short(left)
        _short(right)
        if equal(left, right):
            return
        for symbol, value in ((left, right), (right, left)):
            if isinstance(symbol, sympy.Symbol) and not (
                isinstance(value, sympy.Expr) and symbol in value.free_symbols
            ):
                self._put({symbol: value})
                return
        same = _same(left, right)
        if same is not None:
            self._put({same[0]: same[1]})
        else:
            self.equalities.append(Equality(left, right, what))

    def settle(self) -> None:
        """Look at the equalities again, with all that is known by now."""
        left = len(self.equalities) + 1
        while len(self.equalities) < left:
            left, old, self.equalities = len(self.equalities), self.equalities, []
            for e in old:
                self.equate(self.resolve(e.left), self.resolve(e.right), e.what)

    def _put(self, values: Mapping[sympy.Symbol, Dim]) -> None:
        before, self.sizes = self.sizes, {w: substitute(s, values) for w, s in self.sizes.items()}
        for wire, extent in self.sizes.items():
            if extent is not before[wire]:
                _short(extent)
        self.equalities = [
            Equality(substitute(e.left, values), substitute(e.right, values), e.what)
            for e in self.equalities
        ]

    def resolve(self, value: Dim) -> Dim:
        """A size expression in terms of the symbols that are left."""
        for _ in range(len(self.sizes) + 1):
            if isinstance(value, int):
                break
            symbols = (value,) if value.is_Symbol else value.free_symbols
            merged = {
                s: known
                for s in symbols
                if (known := self.sizes.get(s.name)) is not None and known is not s and known != s
            }
            if not merged:
                break
            value = substitute(value, merged)
        return value


def _short(value: Dim) -> None:
    """Raises TooLong for a formula that is a sum of too many products."""
    if not isinstance(value, int) and not value.is_Symbol and monomials(value) > MAX_MONOMIALS:
        raise TooLong


def _same(left: Dim, right: Dim) -> tuple[sympy.Symbol, sympy.Symbol] | None:
    """Two symbols that must be equal for two formulas to be: a + 1 = b + 1."""
    difference = expand(left - right)
    if isinstance(difference, int) or not difference.is_Add or len(difference.args) != 2:
        return None
    parts = sorted(difference.args, key=str)
    for one, other in (parts, reversed(parts)):
        if one.is_Symbol and (-other).is_Symbol:
            return one, -other
    return None


def independent(equalities: Sequence[Equality]) -> tuple[Equality, ...]:
    """The equalities without those that follow from one before by putting one quotient for
    another: a//3 = b//3 makes k·(a//3) = k·(b//3) plain."""
    found: list[Equality] = []
    quotients: dict[Any, Any] = {}
    for equality in sorted(equalities, key=lambda e: len(f"{e.left}{e.right}")):
        difference = sympy.expand(equality.left - equality.right).xreplace(quotients)
        difference = sympy.expand(difference)
        if difference == 0:
            continue
        found.append(equality)
        for quotient in sorted(difference.atoms(FloorDiv), key=str, reverse=True):
            factor = difference.coeff(quotient)
            if factor in (1, -1):
                quotients[quotient] = sympy.expand(quotient - difference / factor)
                break
    return tuple(e for e in equalities if e in found)


def _without_hidden(diagram: Diagram, stated: Container[str]) -> Diagram:
    """Sizes whose formula speaks of wires that are gone (the input of a convolution, say) made
    plain, but those that the file itself states."""
    declared = ((w, s) for o in diagram.operands for w, s in o.sizes.items())
    extents = [*diagram.sizes.items(), *declared]
    plain_ones = {s for _, s in extents if isinstance(s, sympy.Symbol)}
    formulas: dict[sympy.Expr, Dim] = {}
    for wire, extent in extents:
        if isinstance(extent, int) or extent.is_Symbol or extent in formulas:
            continue
        if base(wire) in stated:
            plain_ones |= extent.free_symbols
            continue
        symbols = {s for s in extent.free_symbols if str(s) not in diagram.parameters}
        if symbols and not symbols <= plain_ones:
            formulas[extent] = size(f"{base(wire)}?")
    if not formulas:
        return diagram
    return replace(diagram.substitute(formulas), defaults=diagram.defaults)


def own_symbols(diagram: Diagram, stated: Mapping[str, str] | None = None) -> Diagram:
    """The diagram with size symbols called after the first wire that has them, so that equal
    texts are equal diagrams. A formula of sizes that the diagram no longer has becomes a symbol
    itself, unless it is `stated` for its wire, `size o := …`; such a wire gives no name, but that
    of the wire whose size it has: `stated` has that by its name, or "" where it is a formula."""
    stated = stated or {}
    diagram = _without_hidden(diagram, stated)
    renaming: dict[sympy.Symbol, Dim] = {}
    taken: set[str] = set()
    extents = list(_extents(diagram))
    for wire, extent in extents:
        name = stated.get(base(wire), base(wire))
        if not name or name in taken:
            continue
        if isinstance(extent, sympy.Symbol) and extent not in renaming:
            renaming[extent] = size(name)
            taken.add(name)
    for symbol in _symbols(extents):
        name = symbol.name
        if symbol in renaming or name in diagram.parameters:
            continue
        while name in taken:
            name = suffixed(name, "_")
        renaming[symbol] = size(name)
        taken.add(name)
    changed = {old: new for old, new in renaming.items() if old != new}
    return _renamed(diagram, changed) if changed else diagram


def _extents(diagram: Diagram) -> Iterator[tuple[str, Dim]]:
    """Wires and their sizes: the open wires first, then those of tensors, then of operands."""
    yield from ((w, diagram.sizes[w]) for w in diagram.open)
    yield from ((w, t.sizes[w]) for t in diagram.terms for x in t.tensors for w in x.wires)
    yield from ((w, s) for o in diagram.operands for w, s in o.sizes.items())


def _symbols(extents: Iterable[tuple[str, Dim]]) -> Iterator[sympy.Symbol]:
    """The symbols of sizes, size by size, each size's by name."""
    for _, extent in extents:
        if isinstance(extent, sympy.Expr):
            yield from sorted(extent.free_symbols, key=str)


def _renamed(diagram: Diagram, renaming: Mapping[sympy.Symbol, Dim]) -> Diagram:
    """Symbols renamed without taking the values for defaults that are now given."""
    return replace(diagram.substitute(renaming), defaults=diagram.defaults)


@dataclass(frozen=True, slots=True)
class Known:
    """A size that is known from somewhere: `expression` = `value`, because of `why`.

    `what` names the thing ("operand 'X', axis 2 (i1)"), `why` the reason in a message ("56 in
    operand …"), `place` where the file says so.
    """

    expression: Dim
    value: Dim
    what: str
    why: str = ""
    place: Place | None = None


class Contradiction(Exception):
    """Two facts about sizes that cannot both hold; `values` were known before."""

    def __init__(self, problem: Problem, values: Mapping[sympy.Symbol, Dim]) -> None:
        super().__init__(problem.message)
        self.problem, self.values = problem, values


def solve(facts: Iterable[Known]) -> dict[sympy.Symbol, Dim]:
    """Values of symbols from facts, each equation with one unknown in its turn.

    Raises Contradiction when a fact cannot hold.
    """
    values: dict[sympy.Symbol, Dim] = {}
    origin: dict[sympy.Symbol, str] = {}
    stated: dict[sympy.Symbol, Place] = {}
    pending = list(facts)
    progress = True
    while pending and progress:
        progress, rest = False, []
        for fact in pending:
            left, right = substitute(fact.expression, values), substitute(fact.value, values)
            difference = expand(left - right)
            symbols = difference.free_symbols if isinstance(difference, sympy.Expr) else set()
            if not symbols:
                if difference != 0:
                    clash = _clash(fact, left, right, origin)
                    raise Contradiction(_placed(clash, fact, stated), values)
                progress = True
            elif len(symbols) == 1:
                symbol = next(iter(symbols))
                found = _linear_root(difference, symbol)
                if found is None:
                    rest.append(fact)
                    continue
                given = fact.expression == symbol and fact.value == found  # a value by name
                if not (isinstance(found, int) or given) or found < 0:
                    clash = _no_size(fact, left, right, symbol, origin)
                    raise Contradiction(_placed(clash, fact, stated), values)
                values[symbol] = found
                if fact.why and fact.place is not None:
                    stated[symbol] = fact.place
                origin[symbol] = (
                    fact.why or f"{symbol} = {found} comes from {fact.what.rstrip(',')}"
                )
                progress = True
            else:
                rest.append(fact)
        pending = rest
    return values


def _linear_root(expression: sympy.Expr, symbol: sympy.Symbol) -> Dim | None:
    """The root of a·x + c, as an integer or a fraction; None if not linear."""
    slope = expression.coeff(symbol, 1)
    rest = sympy.expand(expression - slope * symbol)
    if slope.free_symbols or rest.free_symbols or slope == 0:
        return None
    return plain(-rest / slope)


def _reasons(expression: Dim, origin: Mapping[sympy.Symbol, str]) -> str:
    symbols = expression.free_symbols if isinstance(expression, sympy.Expr) else set()
    reasons = {str(s): origin[s] for s in symbols if s in origin}
    return "; ".join(reasons[name] for name in sorted(reasons))


def _clash(fact: Known, left: Dim, right: Dim, origin: Mapping[sympy.Symbol, str]) -> Problem:
    wanted = text(fact.expression, lambda s: f"{s}")
    because = _reasons(fact.expression, origin)
    plain_name = isinstance(fact.expression, int) or fact.expression.is_Symbol
    equals = "" if plain_name else f" ({wanted})"
    return Problem(
        f"{fact.what} has size {right}, but {left}{equals} is needed",
        help=because or fact.why,
    )


def _placed(problem: Problem, fact: Known, stated: Mapping[sympy.Symbol, Place]) -> Problem:
    """The problem with the places of what the file fixes, and of the axis that contradicts it."""
    symbols = fact.expression.free_symbols if isinstance(fact.expression, sympy.Expr) else ()
    places = [stated[s] for s in sorted(symbols, key=str) if s in stated]
    if not places:
        return problem
    if fact.place is not None:
        places.append(fact.place)
    first, *also = places
    return replace(
        problem, span=first.span, source=first.source, label=first.label, also=tuple(also)
    )


def _no_size(
    fact: Known, left: Dim, right: Dim, symbol: sympy.Symbol, origin: Mapping[sympy.Symbol, str]
) -> Problem:
    wanted = text(left, lambda s: f"|{s}|")
    because = _reasons(fact.expression, origin)
    return Problem(
        f"{fact.what} has size {right}, which no size of '{symbol}' makes equal to {wanted}",
        help=because or fact.why,
    )
