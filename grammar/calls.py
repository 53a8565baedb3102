"""Nodes written as calls: `conv(…)` and `view(…)` for patterns; `vjp(…)`, `sample(…)` for diagrams;
and what is declared of a constant.

The grammar lets any arguments pass; what each operation takes is checked here.
"""

from __future__ import annotations

from typing import Any, Final, cast

from lark import Token

from diagrammar.grammar import syntax
from diagrammar.grammar.errors import near
from diagrammar.grammar.source import NOWHERE, Span
from diagrammar.grammar.words import Mistake, named, quote, span_of

MATRIX_KINDS: Final = ("identity", "orthogonal")
DERIVATIVES: Final = {"vjp": "cotangent", "jvp": "tangent", "jacobian": None}

_Arguments = list[Any]  # names as tokens, then options


def pattern_call(
    name: Token, options: list[syntax.Option], span: Span
) -> syntax.Call | syntax.View:
    """The right-hand side of a pattern; any name may be called but `view` has a form of its own."""
    kind = named(name, "plain", "a kind of pattern")
    if kind != "view":
        return syntax.Call(kind, _unique(options), span_of(name), span)
    value = options[0].value if len(options) == 1 else None
    if value is None or isinstance(value, syntax.Text | syntax.Pair):
        message = "a view gives one wire as a function of the others"
        raise Mistake(message, span, help="for example 'view(i = 2*o + k)'")
    return syntax.View(options[0].name, value, _name_span(options[0]), span)


def matrix_kind(name: Token, constant: syntax.Tensor) -> str:
    """What is declared of a constant: a word for a matrix, so that it has two axes."""
    if name not in MATRIX_KINDS:
        raise Mistake(
            f"a constant cannot be declared {quote(name)}",
            span_of(name),
            help=near(name, MATRIX_KINDS) or f"it may be {' or '.join(MATRIX_KINDS)}",
        )
    if len(constant.axes) != 2:
        message = f"a constant declared {name} has 2 axes, not {len(constant.axes)}"
        raise Mistake(message, constant.span, help="an axis may be a group: 'Q[(ci k), u]'")
    return str(name)


def drawing(call: syntax.Call | syntax.View) -> syntax.Call:
    """How an operand is drawn: `bernoulli(keep=1/4)`."""
    example = "'tensor M[i] = bernoulli(keep=1/4)'"
    if not isinstance(call, syntax.Call) or call.name != "bernoulli":
        name = call.name if isinstance(call, syntax.Call) else "view"
        span = call.name_span if isinstance(call, syntax.Call) else call.span
        help = near(name, ["bernoulli"]) or f"an operand may be drawn, as in {example}"
        raise Mistake(f"{quote(name)} does not make an operand", span, help=help)
    for option in call.options:
        if option.name != "keep":
            message = f"'bernoulli' has no option {quote(option.name)}"
            raise Mistake(message, _name_span(option), help=f"write {example}")
        _probability(option)
    if not call.options:
        raise Mistake("'bernoulli' needs a probability", call.span, help=f"write {example}")
    return call


def _probability(option: syntax.Option) -> None:
    if isinstance(option.value, syntax.Text | syntax.Pair):
        message = "the probability to keep an entry is a number, or the name of an operand of them"
        raise Mistake(message, option.value.span, help="for example 'keep=1/4'")


def operation(
    name: Token, kind: Token, arguments: _Arguments, span: Span
) -> syntax.Derivative | syntax.Sample:
    """The diagram that an operation makes of another."""
    if kind in DERIVATIVES:
        return _derivative(name, kind, arguments, span)
    if kind == "sample":
        return _sample(name, arguments, span)
    raise Mistake(
        f"unknown operation {quote(kind)}",
        span_of(kind),
        help=near(kind, [*DERIVATIVES, "sample"])
        or "there are vjp, jvp, jacobian and sample; what couples wires is a 'pattern'",
    )


def _derivative(name: Token, kind: Token, arguments: _Arguments, span: Span) -> syntax.Derivative:
    direction = DERIVATIVES[kind]
    example = f"'{kind}(Y, X)'" + (f", perhaps with '{direction}=V'" if direction else "")
    of, by = _operands(arguments, example, span)
    given, given_span = None, NOWHERE
    for option in _unique(arguments[2:]):
        if option.name != direction:
            message = f"{quote(kind)} has no option {quote(option.name)}"
            way = f"write {example}" if direction else "a Jacobian has no options"
            raise Mistake(
                message, _name_span(option), help=near(option.name, [direction or ""]) or way
            )
        if not isinstance(option.value, syntax.Name) or not option.value.name.isidentifier():
            message = f"the {direction} of a derivative is the name of a new operand"
            raise Mistake(message, option.value.span)
        given, given_span = option.value.name, option.value.span
    return syntax.Derivative(
        name=named(name, "plain", "a definition"),
        kind=cast(syntax.DerivativeKind, str(kind)),
        of=named(of, "reference", "a diagram"),
        by=named(by, "reference", "a tensor"),
        direction=given,
        name_span=span_of(name),
        of_span=span_of(of),
        by_span=span_of(by),
        direction_span=given_span,
        span=span,
    )


def _sample(name: Token, arguments: _Arguments, span: Span) -> syntax.Sample:
    of, wire = _operands(arguments, "'sample(Y, i, keep=q)'", span)
    options = _unique(arguments[2:])
    for option in options:
        _sample_option(option)
    if not {"keep", "mask"} & {option.name for option in options}:
        message = "a sample needs the probability to keep an entry, or a mask"
        raise Mistake(message, span, help=f"for example 'sample({of}, {wire}, keep=1/4)'")
    return syntax.Sample(
        name=named(name, "plain", "a definition"),
        of=named(of, "reference", "a diagram"),
        wire=named(wire, "wire", "a wire"),
        options=options,
        name_span=span_of(name),
        of_span=span_of(of),
        wire_span=span_of(wire),
        span=span,
    )


def _sample_option(option: syntax.Option) -> None:
    names = ("keep", "mask", "copies")
    if option.name not in names:
        message = f"'sample' has no option {quote(option.name)}"
        help = near(option.name, names) or f"it takes {', '.join(names)}"
        raise Mistake(message, _name_span(option), help=help)
    word = option.value.name if isinstance(option.value, syntax.Name) else ""
    if option.name == "keep":
        _probability(option)
    elif option.name == "mask" and not word.isidentifier():
        raise Mistake("a mask is the name of an operand", option.value.span)
    elif option.name == "copies" and word != "independent":
        message = "'copies' can only be 'independent'"
        raise Mistake(message, option.value.span, help="leave it out, or write copies=independent")


def _operands(arguments: _Arguments, example: str, span: Span) -> tuple[Token, Token]:
    """The two names that an operation begins with."""
    names = [item for item in arguments if isinstance(item, Token)]
    if len(names) != 2 or names != arguments[:2]:
        raise Mistake(f"this takes two names: {example}", span)
    return names[0], names[1]


def _unique(options: list[syntax.Option]) -> tuple[syntax.Option, ...]:
    """The options of a call, each given once and by a plain name."""
    seen: set[str] = set()
    for option in options:
        if not option.name.isidentifier():
            raise Mistake(f"{quote(option.name)} cannot name an option", _name_span(option))
        if option.name in seen:
            raise Mistake(f"option {quote(option.name)} is given twice", _name_span(option))
        seen.add(option.name)
    return tuple(options)


def _name_span(option: syntax.Option) -> Span:
    return Span(option.span.start, option.span.start + len(option.name))
