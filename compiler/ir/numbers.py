"""Numbers as callers give them: sizes, parameters, ranks and shapes.

One rule for all: a number counts by its exact value, whatever its type. Python's, numpy's and
sympy's integers, `3.0`, `Fraction(3)`, `Decimal(3)` and arrays without axes are the integer 3;
decimals and floats are the fractions that they are written as. A bool is no number here, nor is
what is not finite, complex, a text, or an array with axes.
"""

from __future__ import annotations

import reprlib
from contextlib import suppress
from decimal import Decimal
from numbers import Integral, Rational, Real
from typing import Any, Final

import sympy

from diagrammar.grammar.words import MAX_INTEGER
from diagrammar.ir.scalar import Dim, plain

MAX_BITS: Final = 1100
"""The longest numerator or denominator of a fraction: enough for every float."""

_SHORT: Final = reprlib.Repr()
_SHORT.maxother, _SHORT.maxlong = 60, 40


def exact(value: Any) -> Dim | None:
    """The value of a number, an integer or a fraction; None for what is none."""
    if isinstance(value, bool) or getattr(value, "ndim", 0) != 0:
        return None
    if isinstance(value, int):
        return int(value)
    found = _rational(value)
    if found is None and hasattr(value, "ndim") and hasattr(value, "item"):
        inner = value.item()  # of an array or tensor without axes
        return None if hasattr(inner, "ndim") else exact(inner)
    if found is None or max(int(found.p).bit_length(), int(found.q).bit_length()) > MAX_BITS:
        return None
    return plain(found)


def integer(value: Any) -> int | None:
    """The value of a number that is an integer; None for all else."""
    number = exact(value)
    return number if isinstance(number, int) else None


def fits(value: int) -> bool:
    """Whether an integer is one of those that a file may have."""
    return -MAX_INTEGER <= value <= MAX_INTEGER


def written(value: Any) -> str:
    """What was given, for a message: short, whatever it is."""
    with suppress(Exception):  # a repr of another library may do anything
        return _SHORT.repr(value)
    return f"a {type(value).__name__}"


def _rational(value: Any) -> Any:
    """A finite real number as sympy's rational, exact as it is written; None for other things."""
    if isinstance(value, Integral):
        return sympy.Integer(int(value))
    if isinstance(value, Rational):
        return sympy.Rational(int(value.numerator), int(value.denominator))
    if isinstance(value, sympy.Expr):
        return value if value.is_Rational else _decimal(value) if value.is_Float else None
    if isinstance(value, Real | Decimal):
        return _decimal(value)
    return None


def _decimal(value: Any) -> Any:
    """A number with a decimal point, by its digits."""
    digits = Decimal(str(value))
    if not digits.is_finite() or abs(digits.adjusted()) > 400:
        return None
    return sympy.Rational(str(digits))


def unfit_probability(keep: Any) -> str:
    """What is wrong with a probability to keep an entry, if it is a number."""
    number = sympy.sympify(keep)
    if not number.is_number or 0 < number <= 1:
        return ""
    return "a probability to keep an entry is above 0 and at most 1"
