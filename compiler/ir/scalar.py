"""Scalars: sizes and factors as plain integers where known, sympy expressions where not.

Integers stay Python integers, so that work on known sizes is fast; anything symbolic is a sympy
expression over positive (sizes) or non-negative (parameters) integer symbols. Printing is the same
for `.tn` text and for Python code, up to the names of sizes and the sign of powers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import comb, prod
from typing import Any, Union

import sympy
from sympy import Expr, Integer, Rational, Symbol

Dim = Union[int, Expr]  # noqa: UP007  # sympy has no types: an alias needs the old form


class FloorDiv(sympy.Function):  # type: ignore[misc]  # sympy has no types
    """⌊a / b⌋; evaluates when the quotient is an integer for all values of its symbols. Fractions
    in it are cleared: ⌊(n/2) / 3⌋ is ⌊n / 6⌋."""

    is_integer = True
    nargs = 2

    @classmethod
    def eval(cls, a: Expr, b: Expr) -> Expr | None:
        """The simplified quotient, or None to stay as it is."""
        if b == 0 or a.is_finite is False or b.is_finite is False:
            return None  # which a requirement refuses
        if a.is_Rational and b.is_Rational:
            return Integer((a.p * b.q) // (a.q * b.p))
        if a.is_integer is not True or b.is_integer is not True:
            numerator, denominator = sympy.fraction(sympy.together(a / b))
            if (numerator, denominator) != (a, b) and denominator.is_nonnegative:
                return cls(numerator, denominator)
        if b == 1:
            return a
        if b.is_Integer:
            return _multiples_out(a, b)
        quotient = sympy.cancel(a / b)
        if quotient.is_polynomial() and quotient.is_integer:
            return quotient
        return None


def _multiples_out(a: Expr, b: Integer) -> Expr | None:
    """⌊(b·q + r) / b⌋ as q + ⌊r / b⌋, term by term; None where no term is a multiple of b."""
    terms = sympy.Add.make_args(sympy.expand(a))
    multiples = [t for t in terms if _divides(int(b), t)]
    if not multiples:
        return None
    rest = sympy.Add(*[t for t in terms if not _divides(int(b), t)])
    quotient = sympy.Add(*[t / b for t in multiples])
    return quotient + (FloorDiv(rest, b) if rest != 0 else 0)


def _divides(divisor: int, term: Expr) -> bool:
    coefficient, rest = term.as_coeff_Mul()
    return bool(
        coefficient.is_Integer and int(coefficient) % divisor == 0 and rest.is_integer is not False
    )


def size(name: str) -> Symbol:
    """The symbol of the size of a wire."""
    return Symbol(name, integer=True, positive=True)


def parameter(name: str) -> Symbol:
    """The symbol of a hyper-parameter."""
    return Symbol(name, integer=True, nonnegative=True)


def plain(value: Any) -> Dim:
    """Python's integer where the value is one, else the expression."""
    if isinstance(value, int):
        return value
    if isinstance(value, Expr) and value.is_Integer:
        return int(value)
    return value


def is_number(value: Dim) -> bool:
    """Whether nothing in a value is unknown."""
    return isinstance(value, int) or bool(value.is_number)


def is_finite(value: Dim) -> bool:
    """Whether a number is one, not a quotient by zero."""
    return isinstance(value, int) or bool(value.is_finite)


def fraction(value: Dim) -> tuple[Dim, Dim]:
    """Numerator and denominator of a value as one fraction, the denominator not negative where
    that can be told."""
    numerator, denominator = sympy.fraction(sympy.together(sympy.sympify(value)))
    if denominator.could_extract_minus_sign():
        numerator, denominator = -numerator, -denominator
    return plain(sympy.expand(numerator)), plain(denominator)


def integral(value: Dim) -> Dim:
    """A value that is known to be an integer, as an expression of integers: (k − 1)/2 is
    ⌊(k − 1) / 2⌋ then."""
    if isinstance(value, int) or value.is_integer:
        return value
    return plain(FloorDiv(*map(sympy.sympify, fraction(value))))


def quotient_sides(value: Dim) -> tuple[Dim, Dim]:
    """The two sides of n = d·⌊n / d⌋, which says that n/d, the value, is an integer."""
    above, below = fraction(value)
    return above, plain(sympy.Mul(below, FloorDiv(sympy.sympify(above), sympy.sympify(below))))


MAX_MONOMIALS = 100
"""The most products in a formula that is written out as a sum."""


def monomials(value: Dim) -> int:
    """At most so many products has a value when it is written out as a sum; counted, not made."""
    if isinstance(value, int) or value.is_Atom or isinstance(value, FloorDiv):
        return 1
    counts = [monomials(part) for part in value.args]
    if value.is_Add:
        return sum(counts)
    if value.is_Mul:
        return prod(counts)
    power = value.args[-1]
    if value.is_Pow and power.is_Integer:
        return comb(counts[0] + abs(int(power)) - 1, abs(int(power)))
    return prod(counts)


def empty_only(value: Dim) -> bool:
    """Whether a value can be zero only where a size is: a sum of products of sizes."""
    return not isinstance(value, int) and all(
        term.as_coeff_Mul()[0] > 0 and all(s.is_positive for s in term.free_symbols)
        for term in sympy.Add.make_args(sympy.expand(value))
    )


def floor_div(a: Dim, b: Dim) -> Dim:
    """⌊a / b⌋."""
    if isinstance(a, int) and isinstance(b, int) and b:
        return a // b
    return plain(FloorDiv(sympy.sympify(a), sympy.sympify(b)))


def gcd(a: Dim, b: Dim) -> Dim:
    """The greatest common divisor where both are known or one is 1; else 1 is not claimed:
    sympy's gcd."""
    return plain(sympy.gcd(a, b))


def expand(value: Dim) -> Dim:
    """A sum of monomials."""
    return value if isinstance(value, int) else plain(sympy.expand(value))


def substitute(value: Dim, values: Mapping[Any, Dim]) -> Dim:
    """The value with symbols (or whole expressions) replaced."""
    if isinstance(value, int) or not values:
        return value
    if value.is_Symbol:
        return values.get(value, value)
    replaced = value.xreplace({k: sympy.sympify(v) for k, v in values.items()})
    return value if replaced is value else plain(replaced.doit())


def equal(a: Dim, b: Dim) -> bool:
    """Whether a = b is certain (for all values of the symbols)."""
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    if a == b:
        return True
    difference = sympy.expand(a - b)
    before = None
    while difference != before and difference.has(FloorDiv):  # quotients within quotients
        before, difference = difference, sympy.expand(difference.replace(FloorDiv, _whole_out))
    return bool(difference == 0)


def _whole_out(a: Expr, b: Expr) -> Expr:
    """⌊a / b⌋ with all coefficients of a from 0 to b − 1: ⌊(n + 7)/2⌋ = ⌊(n + 1)/2⌋ + 3."""
    whole, rest = Integer(0), Integer(0)
    for term in sympy.Add.make_args(sympy.expand(a)):
        coefficient, factor = term.as_coeff_Mul()
        if coefficient.is_Integer and b.is_Integer and factor.is_integer is not False:
            whole += coefficient // b * factor
            rest += coefficient % b * factor
        else:
            rest += term
    return FloorDiv(rest, b) + whole


def nonnegative(a: Dim) -> bool:
    """Whether a ≥ 0 is certain."""
    if isinstance(a, int):
        return a >= 0
    if a.is_nonnegative:
        return True
    # sizes are at least one: write n = n′ + 1 with n′ ≥ 0, so that signs decide
    shifted = a.xreplace({s: s + 1 for s in a.free_symbols if s.is_positive})
    return bool(_signs(sympy.expand(shifted)))


def _signs(a: Expr) -> bool:
    """Whether every term of a sum is certainly non-negative, with symbols at least zero."""
    for term in sympy.Add.make_args(a):
        coefficient, rest = term.as_coeff_Mul()
        if coefficient < 0 or not all(f.is_nonnegative for f in sympy.Mul.make_args(rest)):
            return False
    return True


def text(
    value: Any, name: Callable[[Symbol], str] = lambda symbol: str(symbol), power: str = "^"
) -> str:
    """A scalar in `.tn` syntax (or Python's, with `power="**"`); `name` writes the symbols."""
    return _text(sympy.sympify(value), name, power)[0]


_SUM, _PRODUCT, _POWER, _ATOM = 0, 1, 2, 3


_Write = Callable[[Expr, int], str]
"""Writes a part of an expression, in parentheses if it binds less tightly than asked."""


def _text(e: Expr, name: Callable[[Symbol], str], power: str) -> tuple[str, int]:
    """An expression and how tightly it binds, from `_SUM` to `_ATOM`."""

    def wrap(part: Expr, level: int) -> str:
        written, own = _text(part, name, power)
        return written if own >= level else f"({written})"

    if e.is_Symbol:
        return name(e), _ATOM
    if e.is_Integer:
        return str(e), (_ATOM if e >= 0 else _SUM)
    if e.is_Rational:
        return f"{e.p}/{e.q}", (_PRODUCT if e > 0 else _SUM)
    if isinstance(e, FloorDiv):
        a, b = e.args
        return f"{wrap(a, _POWER)}//{wrap(b, _POWER)}", _PRODUCT
    if e.is_Add:
        return _sum(e, wrap), _SUM
    if e.is_Mul:
        return _product(e, wrap)
    if e.is_Pow:
        base, exponent = e.args
        if exponent.is_negative:
            return f"1/{wrap(base**-exponent, _POWER)}", _PRODUCT
        return f"{wrap(base, _ATOM)}{power}{wrap(exponent, _ATOM)}", _POWER
    raise TypeError(f"no notation for {e!r}")


def _sum(e: Expr, write: _Write) -> str:
    """A sum: terms with symbols first, and of these the positive ones."""
    first, *others = sorted(
        e.as_ordered_terms(), key=lambda t: (not t.free_symbols, t.could_extract_minus_sign())
    )
    out = write(first, _SUM)
    for term in others:
        if term.could_extract_minus_sign():
            out += f" - {write(-term, _PRODUCT)}"
        else:
            out += f" + {write(term, _PRODUCT)}"
    return out


def _product(e: Expr, write: _Write) -> tuple[str, int]:
    """A product, with one sign before it and one quotient."""
    if e.could_extract_minus_sign():
        # -(a//2) is not (-a)//2
        return f"-{write(-e, _POWER if isinstance(-e, FloorDiv) else _PRODUCT)}", _SUM
    numerator, denominator = e.as_numer_denom()
    if denominator != 1:
        return f"{write(numerator, _PRODUCT)}/{write(denominator, _POWER)}", _PRODUCT
    return "*".join(write(f, _POWER) for f in e.as_ordered_factors()), _PRODUCT


def rational(value: Any) -> Any:
    """A sympy number or expression from an integer, a fraction or an expression."""
    return Rational(value) if isinstance(value, int) else sympy.sympify(value)
