"""What can be decided about index relations, and what can be made of them.

Composition, marginals, restriction, residue classes, image, injectivity, emptiness, dependence. All
of it is exact on known numbers; on symbols an answer is given only where it holds for all their
values. How relations look is in `relation`; what follows from them for diagrams is in `rules`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import gcd, prod
from operator import methodcaller

import sympy

from diagrammar.ir.relation import (
    NOWHERE,
    ConvForm,
    Equation,
    Linear,
    Piece,
    Relation,
    Sizes,
    implied,
    tidy,
)
from diagrammar.ir.scalar import Dim, equal, expand, floor_div, nonnegative, plain

ENOUGH = 20_000
"""Values tried before the search for a point is given up."""


# -- points and emptiness --------------------------------------------------------------------------


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
            if _is_unit(c):
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
    wires = sorted({w for form in forms for w in form.wires}, key=lambda w: (_number(sizes[w]), w))
    return _points(piece, {w: _number(sizes[w]) for w in wires}, {}, [ENOUGH])


def _points(
    piece: Piece, free: Mapping[str, int], known: dict[str, int], left: list[int]
) -> Iterator[dict[str, int]]:
    left[0] -= 1
    if left[0] < 0:
        raise RecursionError("too many values to try")
    for e in piece.equations:
        low, high = _reach(e.form, free)
        if e.modulus is None:
            if low > 0 or high < 0:
                return
            common = gcd(*(_number(c) for _, c in e.form.terms))
        else:
            common = gcd(_number(e.modulus), *(_number(c) for _, c in e.form.terms))
        constant = _number(e.form.constant)
        if constant % common if common else constant:
            return
    if any(_reach(b, free)[1] < 0 for b in piece.bounds):
        return
    if not free:
        yield known
        return
    name = next(iter(free))
    rest = {w: n for w, n in free.items() if w != name}
    for value in range(free[name]):
        fixed = piece.map(methodcaller("put", name, Linear((), value)))
        yield from _points(fixed, rest, {**known, name: value}, left)


def _reach(form: Linear, free: Mapping[str, int]) -> tuple[int, int]:
    """The least and the greatest value of a form."""
    low = high = _number(form.constant)
    for wire, c in form.terms:
        end = _number(c) * (free[wire] - 1)
        low, high = low + min(end, 0), high + max(end, 0)
    return low, high


def _number(value: Dim) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value} is not a known number")
    return value


def image(relation: Relation, wire: str, sizes: Sizes) -> tuple[int, ...]:
    """The values of a wire that occur, all numbers known."""
    found = []
    for value in range(_number(sizes[wire])):
        fixed = [p.map(methodcaller("put", wire, Linear((), value))) for p in relation.pieces]
        if any(next(points(p, sizes), None) is not None for p in fixed):
            found.append(value)
    return tuple(found)


# -- dependence ------------------------------------------------------------------------------------


def fixes(relation: Relation, wire: str, sizes: Sizes) -> bool:
    """Whether the other wires certainly leave at most one value for a wire.

    c·w = L does; c·w ≡ L mod m does while w stays below m / gcd(c, m). So under circular boundaries
    (i,o) need not fix k.
    """
    if len(relation.pieces) != 1:
        return False
    return any(_leaves_one(e, wire, sizes) for e in relation.pieces[0].equations)


def _leaves_one(equation: Equation, wire: str, sizes: Sizes) -> bool:
    c, m = equation.form.coefficients.get(wire), equation.modulus
    if c is None or m is None:
        return c is not None
    if isinstance(c, int) and abs(c) == 1:
        return nonnegative(expand(m - sizes[wire]))
    if isinstance(c, int) and isinstance(m, int):
        return nonnegative(expand(m // gcd(c, m) - sizes[wire]))
    return False


def overlaps(form: ConvForm) -> bool:
    """Whether two windows share an entry of the input, all numbers known.

    With r = gcd(S, D), entry (o, k) meets what (o + D/r, k − S/r) meets: such a pair must exist
    inside.
    """
    S, D, P, O, K = map(_number, (form.S, form.D, form.P, form.O, form.K))  # noqa: E741
    r = gcd(S, D)
    if S // r >= K or D // r >= O:
        return False
    shifted = replace(form, O=O - D // r, K=K - S // r, P=P - D * (S // r))
    return bool(_live(shifted, "k"))


def live(form: ConvForm, role: str) -> range:
    """The least range of k (or of o) outside of which all entries meet padding, numbers known."""
    found = _live(form, role)
    return range(found[0], found[-1] + 1) if found else range(0)


def _live(form: ConvForm, role: str) -> list[int]:
    turned = form if role == "k" else swapped(form)
    numbers = (turned.S, turned.D, turned.P, turned.I, turned.O, turned.K)
    S, D, P, I, O, K = map(_number, numbers)  # noqa: E741
    found = []
    for k in range(K):
        first = max(0, -((D * k - P) // S))  # least o with S·o + D·k − P ≥ 0
        last = min(O - 1, (I - 1 + P - D * k) // S)
        if first <= last:
            found.append(k)
    return found


# -- making relations ------------------------------------------------------------------------------


def swapped(form: ConvForm) -> ConvForm:
    """Π(K,S,D)[i,o,k] = Π′(K′=O, S′=D, D′=S, O′=K)[i,k,o]: kernel and output exchange roles."""
    if form.k is None:
        raise ValueError(f"{form.relation.name} has no kernel wire")
    return replace(form, o=form.k, k=form.o, S=form.D, D=form.S, O=form.K, K=form.O)


def eliminate(piece: Piece, name: str, sizes: Sizes) -> Piece | None:
    """Σ over a wire that an equation fixes: the piece without it, its range kept as bounds.

    With c·w = L: L ≡ 0 mod c, 0 ≤ L ≤ c·(|w| − 1), and w replaced by L/c elsewhere. With c·w ≡ L
    mod m alone, and w running through all m/g classes, g = gcd(c, m): L ≡ 0 mod g. None where
    neither holds, or a coefficient has no known sign.
    """
    choices = [e for e in piece.equations if e.modulus is None and name in e.form.coefficients]
    choices.sort(key=lambda e: not _is_unit(e.form.coefficients[name]))
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

    equations = [Equation(value, scale)] if not _is_unit(scale) else []
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
    c, m, extent = own.form.coefficients[name], own.modulus, sizes[name]
    if isinstance(c, int) and abs(c) == 1:
        common: Dim = 1
    elif isinstance(c, int) and isinstance(m, int):
        common = gcd(c, m)
    else:
        return None
    if not nonnegative(expand(extent * common - m)) or not nonnegative(expand(m - extent * common)):
        return None
    if others and not _is_unit(c):
        return None
    value = own.form.without(name) * (-1 if _is_unit(c) and equal(c, 1) else 1)
    put = []
    for e in others:
        factor = e.form.coefficients[name]
        whole = equal(factor * m, e.modulus or 0) or equal(m, e.modulus or 0)
        if not whole and not _divides(e.modulus, factor * m):
            return None
        put.append(Equation(e.form.put(name, value), e.modulus))
    kept = [e for e in piece.equations if name not in e.form.coefficients]
    left = Equation(own.form.without(name), common)
    return tidy(Piece((*kept, *put, left), piece.bounds), sizes)


def _divides(modulus: Dim | None, number: Dim) -> bool:
    return isinstance(modulus, int) and isinstance(number, int) and number % modulus == 0


MOST_PIECES = 64
"""Pieces that a sum may have; a longer one is left to be summed when the function runs."""


def summed(piece: Piece, name: str, sizes: Sizes) -> tuple[Piece, ...] | None:
    """Σ over a wire as pieces to be added, so as a count, where numbers are known.

    A wire that is fixed leaves one piece. A congruence that holds it is one equation for each
    multiple of the modulus that is in reach. A wire in bounds of its own counts its values.
    """
    made = eliminate(piece, name, sizes)
    if made is not None:
        return (made,)
    if not is_known(piece, sizes) or not isinstance(sizes[name], int):
        return None
    circle = next((e for e in piece.equations if name in e.form.coefficients), None)
    if circle is not None:
        assert circle.modulus is not None
        turned = _unrolled(piece, circle, sizes)
        parts = [summed(p, name, sizes) for p in turned or ()]
        if turned is None or any(part is None for part in parts):
            return None
        return tuple(p for part in parts for p in part or ())
    alone = [b for b in piece.bounds if b.wires == (name,)]
    values = [
        n
        for n in range(_number(sizes[name]))
        if all(_number(b.coefficients[name]) * n + _number(b.constant) >= 0 for b in alone)
    ]
    if len(values) > MOST_PIECES:
        return None
    at = (piece.map(methodcaller("put", name, Linear((), n))) for n in values)
    found = tuple(tidy(p, sizes) for p in at)
    return tuple(p for p in found if not is_empty(p, sizes))


def _unrolled(piece: Piece, circle: Equation, sizes: Sizes) -> tuple[Piece, ...] | None:
    """A congruence as equations, one for each multiple of its modulus in reach."""
    free = {w: _number(sizes[w]) for w in circle.form.wires}
    low, high = _reach(circle.form, free)
    m = _number(circle.modulus or 1)
    turns = range(-(-low // m), high // m + 1)
    if len(turns) > MOST_PIECES:
        return None
    others = tuple(e for e in piece.equations if e is not circle)
    return tuple(
        Piece((*others, Equation(circle.form.plus(-m * turn))), piece.bounds) for turn in turns
    )


def _is_unit(value: Dim) -> bool:
    return isinstance(value, int) and abs(value) == 1


def marginal(relation: Relation, name: str, sizes: Sizes) -> Relation | None:
    """Σ over one wire of a relation, in closed form; None where there is none.

    The entries are counts: the edges of a reflection meet what they mirror again.
    """
    pieces: list[Piece] = []
    for piece in relation.pieces:
        parts = summed(piece, name, sizes)
        if parts is None:
            return None
        pieces += [p for p in parts if len(relation.pieces) == 1 or not is_empty(p, sizes)]
    if len(pieces) > MOST_PIECES:
        return None
    wires = tuple(w for w in relation.wires if w != name)
    return Relation(relation.name, wires, tuple(pieces) or (NOWHERE,))


def is_indicator(relation: Relation, sizes: Sizes) -> bool:
    """Whether every entry is certainly 0 or 1: no two pieces share one."""
    pieces = relation.pieces
    return all(
        is_empty(Piece(a.equations + b.equations, a.bounds + b.bounds), sizes)
        for at, a in enumerate(pieces)
        for b in pieces[at + 1 :]
    )


def marginals(relation: Relation, names: Sequence[str], sizes: Sizes) -> Relation | None:
    """Σ over several wires, each fixed by those that remain when its turn comes."""
    made: Relation | None = relation
    for name in names:
        made = marginal(made, name, sizes) if made is not None else None
    return made


def conjunction(first: Relation, second: Relation, sizes: Sizes, name: str) -> Relation:
    """The product of two relations as one."""
    pieces = tuple(
        tidy(Piece(p.equations + q.equations, p.bounds + q.bounds), sizes)
        for p in first.pieces
        for q in second.pieces
    )
    return Relation(name, tuple(dict.fromkeys(first.wires + second.wires)), pieces)


def compose(first: Relation, second: Relation, wire: str, sizes: Sizes) -> Relation | None:
    """Σ over a shared wire of a product: one relation, with the wire's range as bounds where
    needed.

    None where no equation fixes the wire. Where both are views one after the other, so is the
    result.
    """
    name = first.name if first.name == second.name else f"{first.name}{second.name}"
    made = marginal(conjunction(first, second, sizes, name), wire, sizes)
    if made is None:
        return None
    head = _view(first, second, wire) or _view(second, first, wire)
    return replace(made, view=head)


def _view(outer: Relation, inner: Relation, wire: str) -> str | None:
    """The wire that both read, one through the other."""
    return outer.view if inner.view == wire and outer.view not in (None, wire) else None


def restrict(
    relation: Relation, wire: str, new: str, sizes: Sizes, *, start: Dim, step: Dim = 1
) -> Relation:
    """The relation at wire = step·new + start, which must stay in the wire's range."""
    value = Linear.of({new: step}, start)
    return replace(relation.put(wire, value, sizes), name=relation.name)


def residues(
    relation: Relation, wire: str, new: str, sizes: Sizes, *, modulus: int
) -> tuple[tuple[int, Dim, Relation], ...]:
    """The relation split by the classes of a wire: for each class c, its size and the relation
    at modulus·new + c."""
    found = []
    for c in range(modulus):
        extent = plain(floor_div(expand(sizes[wire] - 1 - c), modulus) + 1)
        if isinstance(extent, int) and extent <= 0:
            continue
        now = {**sizes, new: extent}
        found.append((c, extent, restrict(relation, wire, new, now, start=c, step=modulus)))
    return tuple(found)


def step(name: str, wire: str, new: str, *, start: Dim = 0, stride: Dim = 1) -> Relation:
    """[wire = stride·new + start], as a view: every value of `new` must lie in the wire's range."""
    equation = Equation(Linear.of({wire: 1, new: -stride}, -start))
    return Relation(name, (wire, new), (Piece((equation,)),), view=wire)


def volume(sizes: Sizes, wires: Sequence[str]) -> int | None:
    """The number of entries over some wires; None where a size is not known."""
    numbers = [sizes[w] for w in wires]
    return prod(_number(n) for n in numbers) if all(isinstance(n, int) for n in numbers) else None
