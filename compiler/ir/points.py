"""Which points index relations have: emptiness, all points of a piece, the image of a wire.

Exact on known numbers; on symbols an answer is given only where it holds for all their values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import gcd
from operator import methodcaller

import sympy

from diagrammar.ir.elimination import eliminate, is_unit
from diagrammar.ir.relation import (
    Equation,
    Linear,
    Piece,
    Relation,
    Sizes,
    implied,
)
from diagrammar.ir.scalar import Dim, nonnegative, plain

ENOUGH = 20_000
"""Values tried before the search for a point is given up."""


def is_empty(piece: Piece, sizes: Sizes) -> bool:
    """Whether a piece certainly holds nowhere: on symbols by signs and divisors, also after an
    equation is solved for a wire; on numbers by search."""
    if refuted(piece, sizes) or any(refuted(p, sizes) for p in _solved(piece, sizes)):
        return True
    if not is_known(piece, sizes):
        return False
    try:
        return next(points(piece, sizes), None) is None
    except RecursionError:
        return False


def refuted(piece: Piece, sizes: Sizes) -> bool:
    """Whether a condition by itself, a bound with an equation, or two bounds cannot hold, for all
    values of the symbols."""
    for e in piece.equations:
        if _misses_class(e):
            return True
        if e.modulus is None and (_above_zero(e.form, sizes) or _above_zero(-e.form, sizes)):
            return True
    if any(implied((-b).plus(-1), piece.equations, sizes) for b in piece.bounds):
        return True
    return any(
        _above_zero(-(a + b), sizes) for n, a in enumerate(piece.bounds) for b in piece.bounds[:n]
    )


def _solved(piece: Piece, sizes: Sizes) -> Iterator[Piece]:
    """The piece without a wire, for each that an equation gives with coefficient one."""
    for e in piece.equations:
        for wire, c in e.form.terms if e.modulus is None else ():
            if is_unit(c):
                made = eliminate(piece, wire, sizes)
                if made is not None:
                    yield made


def _misses_class(equation: Equation) -> bool:
    """Σ c·w + L is never 0 (mod m) where a number divides every c, and m, but not L."""
    c, m = equation.form.constant, equation.modulus
    if not equation.form.terms and m is None:
        return isinstance(c, int) and c != 0
    numbers = [_content(a) for _, a in equation.form.terms]
    g = gcd(*numbers, _content(m) if m is not None else 0)
    if g < 2:
        return False
    terms = sympy.Add.make_args(sympy.expand(c))
    left = sum((t for t in terms if _content(plain(t)) % g), sympy.Integer(0))
    return bool(left.is_Integer and int(left) % g != 0)


def _content(value: Dim) -> int:
    """The greatest known number that divides a value for all integers in its symbols."""
    if isinstance(value, int):
        return abs(value)
    found = 0
    for term in sympy.Add.make_args(sympy.expand(value)):
        number, rest = term.as_coeff_Mul()
        if not number.is_Integer or rest.is_integer is not True:
            return 1
        found = gcd(found, int(number))
    return abs(found)


def _above_zero(form: Linear, sizes: Sizes) -> bool:
    least = form.least(sizes)
    return least is not None and nonnegative(least - 1)


def is_known(piece: Piece, sizes: Sizes) -> bool:
    """Whether a piece and the sizes of its wires are plain numbers."""
    forms = [e.form for e in piece.equations] + list(piece.bounds)
    numbers: list[object] = [e.modulus for e in piece.equations if e.modulus is not None]
    for form in forms:
        numbers += [form.constant, *(c for _, c in form.terms), *(sizes[w] for w in form.wires)]
    return all(isinstance(n, int) for n in numbers)


def points(piece: Piece, sizes: Sizes) -> Iterator[dict[str, int]]:
    """Where a piece with known numbers holds, as values of the wires that it speaks of.

    Wire by wire, with a branch cut as soon as a condition is out of reach. Raises RecursionError
    after too many values.
    """
    forms = [e.form for e in piece.equations] + list(piece.bounds)
    wires = sorted(
        {w for form in forms for w in form.wires}, key=lambda w: (number_of(sizes[w]), w)
    )
    return _points(piece, {w: number_of(sizes[w]) for w in wires}, {}, [ENOUGH])


def _points(
    piece: Piece, free: Mapping[str, int], known: dict[str, int], left: list[int]
) -> Iterator[dict[str, int]]:
    left[0] -= 1
    if left[0] < 0:
        raise RecursionError("too many values to try")
    for e in piece.equations:
        low, high = reach_of(e.form, free)
        if e.modulus is None:
            if low > 0 or high < 0:
                return
            common = gcd(*(number_of(c) for _, c in e.form.terms))
        else:
            common = gcd(number_of(e.modulus), *(number_of(c) for _, c in e.form.terms))
        constant = number_of(e.form.constant)
        if constant % common if common else constant:
            return
    if any(reach_of(b, free)[1] < 0 for b in piece.bounds):
        return
    if not free:
        yield known
        return
    name = next(iter(free))
    rest = {w: n for w, n in free.items() if w != name}
    for value in range(free[name]):
        fixed = piece.map(methodcaller("put", name, Linear((), value)))
        yield from _points(fixed, rest, {**known, name: value}, left)


def reach_of(form: Linear, free: Mapping[str, int]) -> tuple[int, int]:
    """The least and the greatest value of a form."""
    low = high = number_of(form.constant)
    for wire, c in form.terms:
        end = number_of(c) * (free[wire] - 1)
        low, high = low + min(end, 0), high + max(end, 0)
    return low, high


def number_of(value: Dim) -> int:
    """A size that is known. Raises TypeError for a symbolic one."""
    if not isinstance(value, int):
        raise TypeError(f"{value} is not a known number")
    return value


def image(relation: Relation, wire: str, sizes: Sizes) -> tuple[int, ...]:
    """The values of a wire that occur, all numbers known."""
    found = []
    for value in range(number_of(sizes[wire])):
        fixed = [p.map(methodcaller("put", wire, Linear((), value))) for p in relation.pieces]
        if any(next(points(p, sizes), None) is not None for p in fixed):
            found.append(value)
    return tuple(found)
