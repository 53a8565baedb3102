"""Mistakes inside and around brackets: axes, groups, calls, conditions.

Each function looks for one kind of mistake where the parser stopped and returns the problem, or
None if it is not that.
"""

from __future__ import annotations

from lark import Token

from diagrammar.grammar.calls import DERIVATIVES
from diagrammar.grammar.errors import Problem
from diagrammar.grammar.stop import CLOSING, OPENING, SIGNS, Stop
from diagrammar.grammar.tokens import OPERANDS
from diagrammar.grammar.words import quote, span_of


def wrong_bracket(stop: Stop) -> Problem | None:
    """`(g ci]`, or a `]` that nothing has opened."""
    found = stop.found
    if found is None or found.type not in CLOSING:
        return None
    opening = stop.open
    if opening is None:
        partner = {"]": "[", ")": "("}[found]
        message = f"nothing is open for this '{found}'"
        return stop.problem(message, help=f"delete it, or put '{partner}' where it begins")
    expected = CLOSING[OPENING[stop.tokens[opening].type]]
    if expected == found:
        return None
    return stop.problem(
        f"'{stop.tokens[opening]}' is closed by '{found}'",
        label=f"expected '{expected}'",
        help=f"put '{expected}' before this '{found}'",
        also=(span_of(stop.tokens[opening]), "opened here"),
    )


def unclosed(stop: Stop) -> Problem | None:
    """`X[b, i * W[…]`: a bracket that is never closed."""
    opening = stop.open
    if opening is None or stop.closes(opening):
        return None
    token = stop.tokens[opening]
    if stop.kind not in {"END", "EQUALS", "DEFINES", "LESS", "OPEN", "_COMMA", "STRING"} | SIGNS:
        return None
    closing = CLOSING[OPENING[token.type]]
    where = f"before {stop.name()}" if stop.found is not None else "at the end"
    return stop.problem(
        f"'{token}' is never closed",
        span=span_of(token),
        label=f"no '{closing}' for this",
        help=f"put '{closing}' {where}",
    )


def slices_and_expressions(stop: Stop) -> Problem | None:
    """`X[i + 1]`, `X[0]`: an axis that is not a wire."""
    if stop.inside not in ("axes", "group"):
        return None
    sliced = stop.kind == "NUMBER" and stop.tokens[stop.at + 1 : stop.at + 2] == [":"]
    if sliced:
        return stop.problem(
            "there are no slices of an axis",
            help="pick entries with a pattern: 'pattern V[i, o] = view(i = o + 1)'",
        )
    if stop.kind == "NUMBER" and stop.kind_after() not in SIGNS:
        return stop.problem(
            "an axis is a wire, not a number",
            help="to pick an entry, use a pattern: 'pattern E[i] = [i = 0]'",
        )
    if stop.kind in SIGNS | {"EQUALS", "LESS", "SIZE_OF", "STRING", "NUMBER"}:
        return stop.problem(
            "an axis is a wire, not an expression",
            help="couple wires with a pattern: 'pattern V[i, o] = view(i = o + 1)'",
        )
    return None


def groups(stop: Stop) -> Problem | None:
    """`(g, ci)`, `((a b) c)`, `[g ci]`: what cannot stand in a grouped axis."""
    if stop.inside == "axes" and stop.kind == "OPEN" and stop.kind_before() != "NAME":
        return stop.problem("grouped axes stand in parentheses", help="write '(g ci)'")
    if stop.inside != "group":
        return None
    if stop.kind == "_COMMA":
        return stop.problem(
            "wires of a grouped axis are separated by spaces", help="write '(g ci)', without ','"
        )
    if stop.kind in ("LEFT", "OPEN"):
        return stop.problem("grouped axes do not nest", help="write all wires in one: '(a b c)'")
    return None


def missing_comma(stop: Stop) -> Problem | None:
    """`X[b i]`, `conv(stride=1 padding=1)`: two entries with nothing between."""
    found, before = stop.found, stop.before()
    if found is None or before is None or before.type not in OPERANDS | {"STRING"}:
        return None
    inside = stop.inside
    if inside == "axes" and found.type in ("NAME", "LEFT"):
        if found.type == "LEFT" and before.type == "NAME" and before.end_pos == found.start_pos:
            return stop.problem("an axis is a wire, not a call", help="separate axes with ','")
        pair = before.type == found.type == "NAME"
        way = f"'{before}, {found}' are two axes, '({before} {found})' is one axis of two wires"
        return stop.problem(
            f"a ',' is missing before {stop.name()}",
            label="an axis ends before this",
            help=way if pair and len(way) < 90 else "axes are separated by ','",
        )
    entry = inside == "call" or (stop.keyword in ("SIZE", "PARAM") and inside == "")
    if entry and found.type == "NAME" and stop.kind_after() in ("EQUALS", "DEFINES"):
        label = "the next entry begins here"
        return stop.problem(f"a ',' is missing before {stop.name()}", label=label)
    return None


def missing_entry(stop: Stop) -> Problem | None:
    """`X[a, , b]`, `size a = 1,`: a comma too many, or an entry too few."""
    inside = stop.inside
    what = {"axes": "a wire", "call": "an option", "conditions": "a condition"}.get(inside, "")
    if not what and stop.keyword in ("SIZE", "PARAM") and inside == "":
        what = "an entry"
    ends = {"_COMMA", "END"} | set(CLOSING)
    if not what or stop.kind not in ends or stop.kind_before() not in ("_COMMA", "OPEN", "LEFT"):
        return None
    before = stop.before()
    if stop.kind_before() == "_COMMA" and before is not None and stop.kind != "_COMMA":
        message = f"{what} is missing after ','"
        return stop.problem(message, span=span_of(before), help="add it, or delete the ','")
    return stop.problem(f"{what} is missing before {stop.name()}")


def call_arguments(stop: Stop) -> Problem | None:
    """`conv(2, 1)`, `conv(stride)`, `conv(stride=)`: options without name or value."""
    opening = stop.open
    if opening is None or stop.inside != "call":
        return None
    if stop.kind_before() == "EQUALS" and stop.kind == "OPEN":
        way = "write '(left, right)' for '[left, right]'"
        return stop.problem("a pair stands in parentheses", help=way)
    callee = stop.tokens[opening - 1]
    if stop.keyword in ("PATTERN", "TENSOR"):
        return _option(stop, callee)
    if callee == "sample" and stop.kind == "NUMBER" and _commas(stop, opening):
        return stop.problem("options are given by name", help=f"write 'keep={stop.found}'")
    return _operation(stop, callee, opening) if stop.keyword == "NAME" else None


def _option(stop: Stop, callee: Token) -> Problem | None:
    """`conv(2, 1)`, `conv(stride)`: an option of a declaration without its name or value."""
    if stop.kind in ("NUMBER", "STRING", "SIZE_OF", "MINUS", "LEFT", "OPEN"):
        if callee == "view":
            way = "write 'view(i = 2*o)'"
            return stop.problem("a view names the wire that it gives", help=way)
        example = "conv(stride=2)" if stop.keyword == "PATTERN" else "bernoulli(keep=1/4)"
        return stop.problem("options are given by name", help=f"for example '{example}'")
    before = stop.before()
    if before is None or before.type != "NAME" or stop.kind not in ("_COMMA", "RIGHT"):
        return None
    message, way = f"option {quote(before)} has no value", f"write '{before}=…'"
    return stop.problem(message, span=span_of(before), help=way)


def _operation(stop: Stop, callee: Token, opening: int) -> Problem | None:
    """`einsum('…')`, `vjp(2 * Y, W)`: an operation that is none, or of an expression."""
    if stop.kind == "STRING" and callee not in (*DERIVATIVES, "sample"):
        return stop.problem(
            f"unknown operation {quote(callee)}",
            span=span_of(callee),
            help="products are written out: 'Y[b, o] = X[b, i] * W[i, o]'",
        )
    if stop.kind in {"OPEN", "NUMBER"} | SIGNS and _begins(stop, opening):
        return stop.problem(
            "an operation takes the names of diagrams, not expressions",
            help="name the diagram first: 'Y[…] = …', then 'dW = vjp(Y, W)'",
        )
    return None


def _commas(stop: Stop, opening: int) -> bool:
    """Whether two arguments stand before the stop."""
    return sum(token.type == "_COMMA" for token in stop.tokens[opening : stop.at]) >= 2


def _begins(stop: Stop, opening: int) -> bool:
    """Whether no option has been named yet in the call."""
    return all(token.type != "EQUALS" for token in stop.tokens[opening : stop.at])


def conditions(stop: Stop) -> Problem | None:
    """`[i + k]`: a bracket that compares nothing."""
    if stop.inside != "conditions" or stop.kind not in ("CLOSE", "_COMMA", "MOD"):
        return None
    if "LESS" in stop.could and stop.kind_before() in OPERANDS:
        return stop.problem(
            "this condition compares nothing",
            label="'=' or another comparison is missing",
            help="a condition is an equation or a bound: '[i = 2*o + k, o < 3]'",
        )
    return None


def pair_of_many(stop: Stop) -> Problem | None:
    """`padding=(1, 2, 3)`."""
    opening = stop.open
    if opening is None or stop.inside != "scalar" or stop.kind != "_COMMA":
        return None
    if any(token.type == "_COMMA" for token in stop.tokens[opening : stop.at]):
        return stop.problem("a pair has two sides, left and right", help="write '(left, right)'")
    return stop.problem(
        "a pair cannot stand here", help="pairs are values: 'padding=(left, right)'"
    )
