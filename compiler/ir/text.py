"""Diagrams as canonical text: a complete file that parses to the same diagram.

The text is made as a syntax tree and written by the formatter, so there is one notation. A relation
that is a plain convolution prints as `conv(…)`, one that is known to be a view as `view(…)`, any
other as its brackets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sympy

from diagrammar.grammar import syntax
from diagrammar.grammar.comments import documenting
from diagrammar.grammar.formatter import format_file
from diagrammar.ir import scalar as scalars
from diagrammar.ir.diagram import Axes, Diagram, Network
from diagrammar.ir.relation import Equation, Linear, Piece, Relation, conv_form
from diagrammar.ir.scalar import Dim, FloorDiv, equal, expand, floor_div, nonnegative, plain
from diagrammar.ir.sizes import base


def diagram_text(diagram: Diagram) -> str:
    """A complete `.tn` file with this one definition."""
    return format_file(diagram_file(diagram))


@dataclass(frozen=True)
class _Writer:
    """Writes scalars of one diagram; `known` has the wires whose size is a formula, by that
    formula, and `same` formulas by those that equal them."""

    parameters: frozenset[str]
    known: Mapping[Any, str] = field(default_factory=dict)
    same: Mapping[Any, Any] = field(default_factory=dict)

    def scalar(self, value: Any) -> syntax.Scalar:
        """A scalar as a syntax tree."""
        e = sympy.sympify(value)
        if e in self.known:
            return syntax.SizeOf(self.known[e])
        if e.is_Symbol:
            name = str(e)
            return syntax.Name(name) if name in self.parameters else syntax.SizeOf(name)
        if e.is_Integer:
            return _integer(int(e))
        if e.is_Rational:
            return syntax.Binary("/", _integer(int(e.p)), _integer(int(e.q)))
        if isinstance(e, FloorDiv):
            return syntax.Binary("//", self.scalar(e.args[0]), self.scalar(e.args[1]))
        if e.is_Add:
            return self._sum(e)
        if e.is_Mul:
            return self._product(e)
        if e.is_Pow and e.args[1].is_Integer:
            power = int(e.args[1])
            if power < 0:
                return syntax.Binary("/", _integer(1), self.scalar(e.args[0] ** -power))
            return syntax.Binary("^", self.scalar(e.args[0]), _integer(power))
        raise TypeError(f"no notation for {e!r}")

    def _sum(self, e: sympy.Expr) -> syntax.Scalar:
        terms = sorted(
            e.as_ordered_terms(), key=lambda t: (t.is_number, t.could_extract_minus_sign())
        )
        total = self.scalar(terms[0])
        for term in terms[1:]:
            minus = term.could_extract_minus_sign()
            total = syntax.Binary(
                "-" if minus else "+", total, self.scalar(-term if minus else term)
            )
        return total

    def _product(self, e: sympy.Expr) -> syntax.Scalar:
        if e.could_extract_minus_sign():
            return syntax.Negative(self.scalar(-e))
        numerator, denominator = e.as_numer_denom()
        if denominator != 1:
            return syntax.Binary("/", self.scalar(numerator), self.scalar(denominator))
        factors = [self.scalar(f) for f in e.as_ordered_factors()]
        total = factors[0]
        for factor in factors[1:]:
            total = syntax.Binary("*", total, factor)
        return total

    def linear(self, form: Linear, order: Iterable[str]) -> syntax.Scalar:
        """A linear form, its wires in the given order."""
        total: syntax.Scalar | None = None
        coefficients = form.coefficients
        parts: list[tuple[Dim, syntax.Scalar | None]] = [
            (coefficients[w], syntax.Name(w)) for w in order if w in coefficients
        ]
        if not equal(form.constant, 0) or not parts:
            parts.append((form.constant, None))
        for c, name in parts:
            minus = sympy.sympify(c).could_extract_minus_sign()
            size = plain(-c) if minus else c
            part = self._times(size, name)
            if total is None:
                total = syntax.Negative(part) if minus else part
            else:
                total = syntax.Binary("-" if minus else "+", total, part)
        assert total is not None
        return total

    def _times(self, c: Dim, name: syntax.Scalar | None) -> syntax.Scalar:
        if name is None:
            return self.scalar(c)
        return name if equal(c, 1) else syntax.Binary("*", self.scalar(c), name)

    # -- relations ---------------------------------------------------------------------------------

    def pattern(
        self, relation: Relation, sizes: Any
    ) -> syntax.Call | syntax.View | tuple[syntax.Bracket, ...]:
        """The right-hand side of a pattern."""
        if relation.view is not None:
            form = relation.pieces[0].equations[0].form
            head = form.coefficients[relation.view]
            rest = -form.without(relation.view) if equal(head, 1) else form.without(relation.view)
            return syntax.View(relation.view, self.linear(rest, relation.wires))
        call = self._conv(relation, sizes)
        if call is not None:
            return call
        return tuple(self._bracket(piece, relation.wires) for piece in relation.pieces)

    def _conv(self, relation: Relation, sizes: Any) -> syntax.Call | None:
        form = conv_form(relation, sizes)
        if form is None or form.k is None or relation.wires != (form.i, form.o, form.k):
            return None
        if not nonnegative(expand(form.P)):
            return None  # which conv(…) would refuse, or require
        reach = form.I + 2 * form.P - form.D * (form.K - 1) - 1
        formula = floor_div(expand(reach), form.S) + 1
        if expand(self.same.get(formula, formula) - form.O) != 0:  # as it will be read back
            return None  # another padding on the right, or sizes that a rewrite has cut
        options = (("stride", form.S, 1), ("padding", form.P, 0), ("dilation", form.D, 1))
        written = tuple(
            syntax.Option(n, self.scalar(v)) for n, v, default in options if not equal(v, default)
        )
        return syntax.Call("conv", written)

    def _bracket(self, piece: Piece, order: tuple[str, ...]) -> syntax.Bracket:
        equations = [self._equation(e, order) for e in piece.equations]
        bounds = [
            syntax.Condition((self.linear(b, order), _integer(0)), (">=",)) for b in piece.bounds
        ]
        always = syntax.Condition((_integer(0), _integer(0)), ("=",))
        return syntax.Bracket((*equations, *bounds) or (always,))

    def _equation(self, equation: Equation, order: tuple[str, ...]) -> syntax.Condition:
        form = equation.form
        heads = [w for w in order if w in form.coefficients and equal(form.coefficients[w], 1)]
        if heads:
            left, right = self.linear(Linear(((heads[0], 1),)), order), -form.without(heads[0])
        else:
            left, right = self.linear(form, order), Linear(())
        modulus = None if equation.modulus is None else self.scalar(equation.modulus)
        return syntax.Condition((left, self.linear(right, order)), ("=",), modulus)


def _integer(value: int) -> syntax.Scalar:
    return syntax.Number(value) if value >= 0 else syntax.Negative(syntax.Number(-value))


def axes_syntax(axes: Axes) -> tuple[syntax.Axis, ...]:
    """Groups of wire names as axes of the syntax tree."""
    return tuple(
        syntax.Index(axis[0])
        if len(axis) == 1
        else syntax.Group(tuple(syntax.Index(w) for w in axis))
        for axis in axes
    )


def diagram_file(diagram: Diagram) -> syntax.File:
    """The diagram as a whole file."""
    same = {e.right: e.left for e in diagram.equalities}
    writer = _Writer(frozenset(diagram.parameters), same=same)
    patterns = _Patterns(diagram, writer)
    formulas = {
        s: base(w)
        for w, s in reversed(list(diagram.sizes.items()))
        if isinstance(s, sympy.Expr) and not s.is_Symbol
    }
    scalars = _Writer(writer.parameters, formulas)
    loose = _loose(diagram)
    terms = tuple(
        _term(term, scalars, patterns, loose if number == 0 else ())
        for number, term in enumerate(diagram.terms)
    )
    definition = syntax.Definition(
        diagram.name,
        axes_syntax(diagram.axes),
        terms or (syntax.Product((syntax.Factor(_integer(0)),)),),
        doc=documenting(diagram.doc),
    )
    blocks: list[list[syntax.AnyStatement]] = [
        _sizes(diagram, writer, patterns.formulas),
        _operands(diagram, writer),
        patterns.statements,
        _required(diagram, writer, patterns.required),
        [definition],
    ]
    statements: list[syntax.AnyStatement] = []
    gaps: set[int] = set()
    for block in blocks:
        if block and statements:
            gaps.add(len(statements))
        statements.extend(block)
    return syntax.File(tuple(statements), frozenset(gaps))


def _sizes(diagram: Diagram, writer: _Writer, formulas: set[str]) -> list[syntax.AnyStatement]:
    """Defaults, sizes that are neither plain symbols nor given by a pattern's formula,
    parameters."""
    extents: dict[str, Dim] = {}
    for wire, extent in [*diagram.sizes.items(), *_loose_axes(diagram)]:
        extents.setdefault(base(wire), extent)
    stated = dict.fromkeys(base(w) for o in diagram.operands for w in o.sizes)
    order = [n for n in stated if n in extents] + sorted(extents.keys() - stated.keys())
    definite = tuple(
        syntax.Assignment(name, writer.scalar(extent), definite=True)
        for name, extent in ((n, extents[n]) for n in order)
        if str(extent) != name and (name not in formulas or getattr(extent, "is_Symbol", False))
    )
    given = tuple(
        syntax.Assignment(name, writer.scalar(value))
        for name, value in diagram.defaults.items()
        if name not in diagram.parameters
    )
    params = tuple(
        syntax.Assignment(p, writer.scalar(diagram.defaults[p]) if p in diagram.defaults else None)
        for p in diagram.parameters
    )
    statements: list[syntax.AnyStatement] = [syntax.Sizes(e) for e in (given, definite) if e]
    return [*statements, syntax.Params(params)] if params else statements


def _operands(diagram: Diagram, writer: _Writer) -> list[syntax.AnyStatement]:
    """Declarations of operands; a mask's probabilities have its axes."""
    statements: dict[str, syntax.AnyStatement] = {}
    for o in diagram.operands:
        axes = axes_syntax(o.axes)
        drawn = None
        if isinstance(o.keep, str):
            drawn = _bernoulli(syntax.Name(o.keep))
            statements.setdefault(o.keep, syntax.Tensor(o.keep, axes))
        elif o.keep is not None:
            drawn = _bernoulli(writer.scalar(o.keep))
        statements[o.name] = syntax.Tensor(o.name, axes, o.constant, o.kind, drawn)
    return list(statements.values())


def _bernoulli(keep: syntax.Scalar) -> syntax.Call:
    return syntax.Call("bernoulli", (syntax.Option("keep", keep),))


def _required(
    diagram: Diagram, writer: _Writer, said: set[tuple[Dim, Dim, int]]
) -> list[syntax.AnyStatement]:
    """What must hold of sizes and parameters, where that is not certain, nor `said` otherwise."""
    conditions = [
        syntax.Condition((writer.scalar(e.left), writer.scalar(e.right)), ("=",))
        for e in diagram.equalities
    ]
    for r in diagram.requirements:
        if r.rule == "whole" and not scalars.is_number(r.value):
            exact = tuple(map(writer.scalar, scalars.quotient_sides(r.value)))
            conditions.append(syntax.Condition(exact, ("=",)))
        if (
            r.rule != "above"
            or r.implied
            or nonnegative(expand(r.value - r.least - r.slack - 1))
            or (r.value, r.least, r.slack) in said
        ):
            continue
        least = r.least if r.slack in (0, -1) else expand(r.least + r.slack)
        sides = (writer.scalar(r.value), writer.scalar(least))
        conditions.append(syntax.Condition(sides, (">=",) if r.slack == -1 else (">",)))
    conditions = list(dict.fromkeys(conditions))
    return [syntax.Require(conditions=tuple(conditions))] if conditions else []


def _loose_axes(diagram: Diagram) -> list[tuple[str, Dim]]:
    """The wires of operands' axes whose sizes no use shows: those of axes that are used with other
    groups, or not at all."""
    shown: set[tuple[str, int]] = set()
    declared = {o.name: o for o in diagram.operands}
    visible = {w for t in diagram.terms for w in t.sizes}
    for tensor in (t for term in diagram.terms for t in term.tensors):
        if not isinstance(tensor, Relation):
            for number, (used, own) in enumerate(
                zip(tensor.axes, declared[tensor.name].axes, strict=True)
            ):
                if len(used) == len(own):
                    shown.add((tensor.name, number))
    return [
        (wire, o.sizes[wire])
        for o in diagram.operands
        for number, axis in enumerate(o.axes)
        for wire in axis
        if (o.name, number) not in shown and wire not in visible
    ]


class _Patterns:
    """The pattern statements of a diagram, one for all relations that differ in their wires
    only."""

    def __init__(self, diagram: Diagram, writer: _Writer) -> None:
        self.writer = writer
        self.statements: list[syntax.AnyStatement] = []
        self.formulas: set[str] = set()
        self.required: set[tuple[Dim, Dim, int]] = set()
        self._names: dict[tuple[Any, ...], str] = {}
        self._taken = {o.name for o in diagram.operands} | {diagram.name}

    def name(self, relation: Relation, term: Network) -> str:
        """The name of the pattern for a relation, declared now if it is new."""
        right = self.writer.pattern(relation, term.sizes)
        if isinstance(right, syntax.Call):
            self.formulas.add(base(relation.wires[1]))
            form = conv_form(relation, term.sizes)
            assert form is not None
            self.required |= {(form.S, 0, 0), (form.D, 0, 0)}  # said by conv(…) itself
        places = {w: f"w{n}" for n, w in enumerate(relation.wires)}
        moved = self.writer.pattern(
            relation.rename(places), {places[w]: term.sizes[w] for w in relation.wires}
        )
        stem = relation.name.replace(".", "") if relation.name.isascii() else "R"
        key = (stem, len(places), moved)
        if key not in self._names:
            name, number = stem, 1
            while name in self._taken:
                number += 1
                name = f"{stem}_{number}"
            self._taken.add(name)
            self._names[key] = name
            axes = tuple(syntax.Index(w) for w in relation.wires)
            self.statements.append(syntax.Pattern(name, axes, right))
        return self._names[key]


def _loose(diagram: Diagram) -> tuple[str, ...]:
    """Open wires that no tensor has: `ones[…]` says that they are there."""
    used = {w for term in diagram.terms for t in term.tensors for w in t.wires}
    return tuple(w for w in diagram.open if w not in used)


def _term(
    term: Network, writer: _Writer, patterns: _Patterns, loose: tuple[str, ...]
) -> syntax.Product:
    factors = _scalar_factors(term, writer, alone=not (term.tensors or loose))
    if loose:
        ones = syntax.Reference("ones", tuple(syntax.Index(w) for w in loose))
        factors.append(syntax.Factor(ones))
    for tensor in term.tensors:
        name = tensor.name
        if isinstance(tensor, Relation):
            name = "delta" if _is_delta(tensor, term) else patterns.name(tensor, term)
        factors.append(syntax.Factor(syntax.Reference(name, axes_syntax(tensor.axes))))
    return syntax.Product(tuple(factors), negative=_negative(term))


def _is_delta(relation: Relation, term: Network) -> bool:
    form = conv_form(relation, term.sizes)
    return (
        form is not None
        and form.k is None
        and relation.view is None
        and (form.S, form.P) == (1, 0)
        and equal(form.I, form.O)
        and relation.wires == (form.i, form.o)
    )


def _negative(term: Network) -> bool:
    return bool(term.scalar.could_extract_minus_sign())


def _scalar_factors(term: Network, writer: _Writer, *, alone: bool) -> list[syntax.Factor]:
    value = -term.scalar if _negative(term) else term.scalar
    if value == 1 and not alone:
        return []
    numerator, denominator = value.as_numer_denom()
    factors = [syntax.Factor(writer.scalar(numerator))]
    if denominator != 1:
        factors.append(syntax.Factor(writer.scalar(denominator), divides=True))
    return factors
