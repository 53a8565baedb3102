"""Wires eliminated from a piece of an index relation: solved for, and put in everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

from diagrammar.ir.relation import Equation, Linear, Piece, Sizes, tidy
from diagrammar.ir.scalar import Dim, equal, expand, nonnegative, plain


def eliminate(piece: Piece, name: str, sizes: Sizes) -> Piece | None:
    """Σ over a wire that an equation fixes: the piece without it, its range kept as bounds.

    With c·w = L: L ≡ 0 mod c, 0 ≤ L ≤ c·(|w| − 1), and w replaced by L/c elsewhere. With c·w ≡ L
    mod m alone, and w running through all m/g classes, g = gcd(c, m): L ≡ 0 mod g. None where
    neither holds, or a coefficient has no known sign.
    """
    choices = [e for e in piece.equations if e.modulus is None and name in e.form.coefficients]
    choices.sort(key=lambda e: not is_unit(e.form.coefficients[name]))
    if not choices:
        return _eliminate_class(piece, name, sizes)
    chosen = choices[0]
    c = chosen.form.coefficients[name]
    if nonnegative(c):
        scale, value = c, -chosen.form.without(name)
    elif nonnegative(-c):
        scale, value = plain(-c), chosen.form.without(name)
    else:
        return None

    def change(form: Linear) -> Linear:
        own = form.coefficients.get(name)
        return form if own is None else form.without(name) * scale + value * own

    equations = [Equation(value, scale)] if not is_unit(scale) else []
    for e in piece.equations:
        if e is chosen:
            continue
        modulus = e.modulus
        if modulus is not None and name in e.form.coefficients:
            modulus = expand(modulus * scale)
        equations.append(Equation(change(e.form), modulus))
    bounds = [change(b) for b in piece.bounds]
    bounds += [value, (-value).plus(expand(scale * (sizes[name] - 1)))]
    return tidy(Piece(tuple(equations), tuple(bounds)), sizes)


def _eliminate_class(piece: Piece, name: str, sizes: Sizes) -> Piece | None:
    """The sum over a wire that stands in congruences only and meets each class of one once."""
    if any(name in bound.coefficients for bound in piece.bounds):
        return None
    mine = [e for e in piece.equations if name in e.form.coefficients]
    for own in mine:
        made = _by_class(piece, own, [e for e in mine if e is not own], name, sizes)
        if made is not None:
            return made
    return None


def _by_class(
    piece: Piece, own: Equation, others: Sequence[Equation], name: str, sizes: Sizes
) -> Piece | None:
    """The wire taken from one congruence, w ≡ L mod |w|, and put into others of which |w| times its
    coefficient is a multiple of the modulus: a circle within a circle."""
    if own.modulus is None:
        return None
    c, m = own.form.coefficients[name], own.modulus
    common = _common_divisor(c, m)
    if common is None or not _same_number(sizes[name] * common, m):
        return None
    if others and not is_unit(c):
        return None
    if not all(_multiple(m, e.form.coefficients[name], e.modulus) for e in others):
        return None
    value = own.form.without(name) * (-1 if c == 1 else 1)
    put = [Equation(e.form.put(name, value), e.modulus) for e in others]
    without = [e for e in piece.equations if name not in e.form.coefficients]
    left = Equation(own.form.without(name), common)
    return tidy(Piece((*without, *put, left), piece.bounds), sizes)


def _common_divisor(c: Dim, m: Dim) -> Dim | None:
    """gcd(c, m); None where a symbol hides it."""
    if is_unit(c):
        return 1
    return gcd(c, m) if isinstance(c, int) and isinstance(m, int) else None


def _same_number(a: Dim, b: Dim) -> bool:
    """Whether a ≤ b and b ≤ a are certain."""
    return nonnegative(expand(a - b)) and nonnegative(expand(b - a))


def _multiple(m: Dim, factor: Dim, modulus: Dim | None) -> bool:
    """Whether factor·m is certainly a multiple of the modulus of another congruence."""
    whole = equal(factor * m, modulus or 0) or equal(m, modulus or 0)
    return whole or _divides(modulus, factor * m)


def _divides(modulus: Dim | None, number: Dim) -> bool:
    return isinstance(modulus, int) and isinstance(number, int) and number % modulus == 0


def is_unit(value: Dim) -> bool:
    """Whether a coefficient is 1 or −1."""
    return isinstance(value, int) and abs(value) == 1
