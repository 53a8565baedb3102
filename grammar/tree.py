"""From the parser's reductions to the syntax tree, one method a rule of `diagram.lark`.

The parser calls these while it reads, so no parse tree is ever built. What the grammar cannot say
is checked here where the place is at hand: which names may have primes or members, the ranges of
numbers, the options of calls. A mistake is raised as `Mistake` and ends its statement only.
"""

# ruff: noqa: D102  # each method is documented by the rule of its name in diagram.lark

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from lark import Token, Transformer

from diagrammar.grammar import syntax
from diagrammar.grammar.calls import drawing, matrix_kind, operation, pattern_call
from diagrammar.grammar.source import Span
from diagrammar.grammar.words import (
    MAX_RANK,
    Mistake,
    exponent,
    named,
    number,
    quote,
    shallow,
    span_of,
)

_Children = list[Any]


class TreeBuilder(Transformer[Token, Any]):
    """Stateless: one builder serves all parsers and threads."""

    # -- statements -------------------------------------------------------------------------------

    def sizes(self, items: _Children) -> syntax.Sizes:
        return syntax.Sizes(entries=tuple(items[1:]), span=span_of(items[0]).to(items[-1].span))

    def params(self, items: _Children) -> syntax.Params:
        return syntax.Params(entries=tuple(items[1:]), span=span_of(items[0]).to(items[-1].span))

    def size_entry(self, items: _Children) -> syntax.Assignment:
        definite = any(isinstance(item, Token) and item.type == "DEFINES" for item in items)
        return _assignment(items, definite=definite)

    def param_entry(self, items: _Children) -> syntax.Assignment:
        return _assignment(items, definite=False)

    def rank(self, items: _Children) -> syntax.Rank:
        rank = number(items[1])
        if not isinstance(rank, int) or not 1 <= rank <= MAX_RANK:
            raise Mistake(
                f"a rank is an integer from 1 to {MAX_RANK}",
                span_of(items[1]),
                help="it is the number of members of every pack: 'rank 2' for images",
            )
        return syntax.Rank(rank=rank, span=_across(items))

    def require(self, items: _Children) -> syntax.Require:
        conditions = tuple(items[1:])
        return syntax.Require(conditions=conditions, span=span_of(items[0]).to(items[-1].span))

    def use(self, items: _Children) -> syntax.Use:
        _, path, _, alias = items
        return syntax.Use(
            path=path[1:-1],
            alias=named(alias, "plain", "the alias of a file"),
            alias_span=span_of(alias),
            span=_across(items),
        )

    def tensor(self, items: _Children) -> syntax.Tensor:
        made = _tensor(items[:3], constant=False)
        if len(items) == 3:
            return made
        span = made.span.to(items[-1].span)
        return replace(made, drawn=drawing(items[-1]), span=span)

    def constant(self, items: _Children) -> syntax.Tensor:
        statement = _tensor(items[:3], constant=True)
        if len(items) == 3:
            return statement
        kind = matrix_kind(items[-1], statement)
        return replace(statement, kind=kind, span=statement.span.to(span_of(items[-1])))

    def pattern(self, items: _Children) -> syntax.Pattern:
        _, name, (axes, _), *between, value = items
        for axis in axes:
            if isinstance(axis, syntax.Group):
                raise Mistake(
                    "a pattern couples wires, not grouped axes",
                    axis.span,
                    help="write its wires with commas between them",
                )
        span = value[-1].span if isinstance(value, tuple) else value.span
        return syntax.Pattern(
            name=named(name, "counted", "a pattern"),
            axes=axes,
            value=value,
            pack=len(between) == 2,
            name_span=span_of(name),
            span=span_of(items[0]).to(span),
        )

    def definition(self, items: _Children) -> syntax.Definition:
        name, (axes, _), _, *rest = items
        terms: list[syntax.Product] = []
        sign: Token | None = None
        for item in rest:
            if isinstance(item, Token):
                sign = item
            else:
                negative = sign is not None and sign.type == "MINUS"
                span = item[0].span.to(item[-1].span)
                if sign is not None:
                    span = span_of(sign).to(span)
                terms.append(syntax.Product(factors=item, negative=negative, span=span))
        return syntax.Definition(
            name=named(name, "plain", "a definition"),
            axes=axes,
            terms=tuple(terms),
            name_span=span_of(name),
            span=span_of(name).to(terms[-1].span),
        )

    def derived(self, items: _Children) -> syntax.Derivative | syntax.Sample:
        name, _, kind, _, *arguments, _ = items
        return operation(name, kind, arguments, _across(items))

    # -- axes -------------------------------------------------------------------------------------

    def axes(self, items: _Children) -> tuple[tuple[syntax.Axis, ...], Span]:
        return tuple(items[1:-1]), Span(items[0].start_pos, items[-1].end_pos)

    def group(self, items: _Children) -> syntax.Group:
        return syntax.Group(tuple(items[1:-1]), Span(items[0].start_pos, items[-1].end_pos))

    def wire(self, items: _Children) -> syntax.Index:
        return syntax.Index(named(items[0], "wire", "a wire"), len(items) == 2, _across(items))

    # -- products ---------------------------------------------------------------------------------

    def product(self, items: _Children) -> tuple[syntax.Factor, ...]:
        factors = [_factor(items[0], None)]
        for at in range(1, len(items), 2):
            factors.append(_factor(items[at + 1], items[at]))
        return tuple(factors)

    def reference(self, items: _Children) -> syntax.Reference:
        name, (axes, span), *rest = items
        power = 1
        if rest:
            span = Span(span.start, rest[-1].end_pos)
            if rest[-1].type == "NUMBER":
                power = exponent(rest[-1])
        return syntax.Reference(
            named(name, "reference", "a tensor"),
            axes,
            pack=bool(rest) and rest[0].type == "DOTS",
            power=power,
            name_span=span_of(name),
            span=Span(name.start_pos, span.stop),
        )

    # -- right-hand sides of patterns -------------------------------------------------------------

    def call(self, items: _Children) -> syntax.Call | syntax.View:
        return pattern_call(items[0], items[2:-1], _across(items))

    def option(self, items: _Children) -> syntax.Option:
        name, _, value = items
        label = named(name, "wire", "an option")
        return syntax.Option(label, shallow(value), span_of(name).to(value.span))

    def brackets(self, items: _Children) -> tuple[syntax.Bracket, ...]:
        return tuple(item for item in items if not isinstance(item, Token))

    def bracket(self, items: _Children) -> syntax.Bracket:
        return syntax.Bracket(tuple(items[1:-1]), _across(items))

    def condition(self, items: _Children) -> syntax.Condition:
        modulus = None
        if isinstance(items[-2], Token) and items[-2].type == "MOD":
            modulus = shallow(items[-1])
            items = items[:-2]
        comparisons = tuple(str(item) for item in items[1::2])
        span = items[0].span.to((modulus or items[-1]).span)
        if modulus is not None and comparisons != ("=",):
            raise Mistake(
                "'mod' goes with one '='", span, help="write a congruence as 'i = k + 1 mod 3'"
            )
        return syntax.Condition(
            tuple(shallow(item) for item in items[::2]),
            cast("tuple[syntax.Comparison, ...]", comparisons),
            modulus,
            span,
        )

    # -- scalars ----------------------------------------------------------------------------------

    def text(self, items: _Children) -> syntax.Text:
        return syntax.Text(items[0][1:-1], span_of(items[0]))

    def pair(self, items: _Children) -> syntax.Pair:
        _, left, right, _ = items
        return syntax.Pair(shallow(left), shallow(right), _across(items))

    def binary(self, items: _Children) -> syntax.Binary:
        left, sign, right = items
        operator = cast(syntax.Operator, str(sign))
        return syntax.Binary(operator, left, right, left.span.to(right.span))

    def negative(self, items: _Children) -> syntax.Negative:
        return syntax.Negative(items[1], span_of(items[0]).to(items[1].span))

    def raised(self, items: _Children) -> syntax.Binary:
        base, _, degree = items
        power = syntax.Number(exponent(degree), span_of(degree))
        return syntax.Binary("^", base, power, base.span.to(power.span))

    def enclosed(self, items: _Children) -> syntax.Scalar:
        return cast(syntax.Scalar, items[1])

    def number(self, items: _Children) -> syntax.Number:
        return syntax.Number(number(items[0]), span_of(items[0]))

    def name(self, items: _Children) -> syntax.Name:
        name = named(items[0], "wire", "a parameter or wire")
        return syntax.Name(name, len(items) == 2, _across(items))

    def size_of(self, items: _Children) -> syntax.SizeOf:
        token = items[0]
        inner = token[1:-1].strip()
        pack = inner.endswith("...")
        wire = inner.removesuffix("...").rstrip()
        name = Token("NAME", wire, token.start_pos, end_pos=token.end_pos)
        return syntax.SizeOf(named(name, "wire", "a wire"), pack, span_of(token))


# -- parts that several rules share --------------------------------------------------------------


def _across(items: _Children) -> Span:
    """From the first of some tokens to the last."""
    return Span(items[0].start_pos, items[-1].end_pos)


def _assignment(items: _Children, *, definite: bool) -> syntax.Assignment:
    name = items[0]
    span, value = _across([item for item in items if isinstance(item, Token)]), None
    if not isinstance(items[-1], Token):
        value = shallow(items[-1])
        span = span.to(value.span)
    pack = len(items) > 1 and isinstance(items[1], Token) and items[1].type == "DOTS"
    what = "a size or parameter"
    return syntax.Assignment(
        named(name, "counted", what), value, definite, pack, span_of(name), span
    )


def _tensor(items: _Children, *, constant: bool) -> syntax.Tensor:
    _, name, (axes, span) = items
    return syntax.Tensor(
        name=named(name, "plain", "a tensor"),
        axes=axes,
        constant=constant,
        name_span=span_of(name),
        span=span_of(items[0]).to(span),
    )


def _factor(value: syntax.Scalar | syntax.Reference, sign: Token | None) -> syntax.Factor:
    divides = sign is not None and sign.type == "OVER"
    if isinstance(value, syntax.Reference):
        if divides:
            raise Mistake(
                f"a product cannot be divided by a tensor, here {quote(value.name)}",
                value.span,
                label="not a scalar",
                help="one divides by numbers, parameters and sizes such as '|b|'",
            )
    else:
        shallow(value)
    return syntax.Factor(value, divides, value.span)
