"""What single words and numbers may be: the checks below the grammar, and how words are shown in
messages.

A mistake is raised as `Mistake` and ends its statement only; `parser.py` turns it into a `Problem`.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final, Literal, TypeVar, cast

from lark import Token

from diagrammar.grammar import syntax
from diagrammar.grammar.source import Span

MAX_INTEGER: Final = 2**63 - 1
MAX_EXPONENT: Final = 64
MAX_RANK: Final = 64
MAX_DIGITS: Final = 40
MAX_DEPTH: Final = 100

_MEMBER = r"(?:\.(?:0|[1-9][0-9]{0,2}))?"
_WORD = r"[A-Za-z_][A-Za-z0-9_]*"

Role = Literal["plain", "counted", "wire", "reference"]
_ROLES: Final[dict[Role, re.Pattern[str]]] = {
    "plain": re.compile(_WORD),  # a name and nothing more
    "counted": re.compile(_WORD + _MEMBER),  # or the member of a pack
    "wire": re.compile(_WORD + _MEMBER + "'*"),  # and primes
    "reference": re.compile(rf"{_WORD}(?:\.{_WORD})?{_MEMBER}"),  # or what another file defines
}


_Value = TypeVar("_Value", bound=syntax.Value)


class Mistake(Exception):
    """What is wrong in a statement that the grammar let pass; never leaves the parser."""

    def __init__(self, message: str, span: Span, *, label: str = "", help: str = "") -> None:
        super().__init__(message)
        self.message, self.span, self.label, self.help = message, span, label, help


def span_of(token: Token) -> Span:
    """Where a token stands."""
    return Span(cast(int, token.start_pos), cast(int, token.end_pos))


def quote(text: str) -> str:
    """A piece of a source in quotes, fit to stand in a message: short and printable."""
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[:41])
    shown = shown if len(text) <= 40 else shown[:40] + "…"
    return f'"{shown}"' if "'" in shown else f"'{shown}'"


def named(token: Token, role: Role, what: str) -> str:
    """The name that a token spells, fit for its role; `what` it names, for the message."""
    if token.isidentifier() or _ROLES[role].fullmatch(token):
        return str(token)
    bare = token.rstrip("'")
    if "'" in token and _ROLES[role].fullmatch(bare):
        message = f"{what} cannot have primes: {quote(token)}"
        raise Mistake(message, span_of(token), help=f"primes make new wires; here write '{bare}'")
    first, _, rest = bare.partition(".")
    if rest.isdigit() and role in ("counted", "wire"):
        message = f"no pack has a member {quote(rest)}"
        raise Mistake(message, span_of(token), help=f"members are counted from 0: '{first}.0'")
    raise Mistake(
        f"{quote(token)} cannot name {what}",
        span_of(token),
        help="a name is letters, digits and '_'"
        + ("; a member of a pack is written 'i.0'" if role == "wire" else ""),
    )


def number(token: Token) -> int | Decimal:
    """The value of a number: an integer below 2⁶³, or a decimal as it is written."""
    if token.isdigit():
        digits = token.lstrip("0") or "0"
        if len(digits) <= 19 and int(digits) <= MAX_INTEGER:
            return int(digits)
        raise Mistake("this integer is too large", span_of(token), help="integers are below 2^63")
    power = token.lower().partition("e")[2].lstrip("+-")
    value = Decimal(str(token)) if len(token) <= 400 and len(power) <= 4 else Decimal("1e999")
    if len(value.as_tuple().digits) > MAX_DIGITS or not -300 <= value.adjusted() <= 300:
        raise Mistake(
            "this decimal number is beyond what can be held exactly",
            span_of(token),
            help=f"decimals have at most {MAX_DIGITS} digits and exponents from -300 to 300",
        )
    return value


def exponent(token: Token) -> int:
    """An exponent: an integer, at most 64."""
    if token.isdigit() and len(token) <= 3 and int(token) <= MAX_EXPONENT:
        return int(token)
    message = "this exponent is too large" if token.isdigit() else "an exponent is an integer"
    raise Mistake(message, span_of(token), help=f"exponents are integers from 0 to {MAX_EXPONENT}")


def shallow(value: _Value) -> _Value:
    """The value itself, if it nests at most 100 operations deep."""
    if not isinstance(value, syntax.Binary | syntax.Negative):
        return value
    waiting: list[tuple[syntax.Value, int]] = [(value, 1)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_DEPTH:
            message = f"this scalar has more than {MAX_DEPTH} operations in a row"
            raise Mistake(
                message, value.span, help="give a part of it a name with 'size' or 'param'"
            )
        if isinstance(node, syntax.Binary):
            waiting.extend(((node.left, depth + 1), (node.right, depth + 1)))
        elif isinstance(node, syntax.Negative):
            waiting.append((node.value, depth + 1))
    return value
