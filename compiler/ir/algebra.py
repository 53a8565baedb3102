"""What can be decided about index relations, and what can be made of them.

Composition, marginals, restriction, residue classes, injectivity, dependence. All of it is exact on
known numbers; on symbols an answer is given only where it holds for all their values. How relations
look is in `relation`; what follows from them for diagrams is in `rules`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import gcd, prod
from operator import methodcaller

from diagrammar.ir.elimination import eliminate
from diagrammar.ir.points import is_empty, is_known, number_of, reach_of
from diagrammar.ir.relation import (
    NOWHERE,
    ConvForm,
    Equation,
    Linear,
    Piece,
    Relation,
    Sizes,
    tidy,
)
from diagrammar.ir.scalar import Dim, expand, floor_div, nonnegative, plain

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
    S, D, P, O, K = map(number_of, (form.S, form.D, form.P, form.O, form.K))  # noqa: E741
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
    S, D, P, I, O, K = map(number_of, numbers)  # noqa: E741
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
        turned = _unrolled(piece, circle, sizes)
        return None if turned is None else _all_summed(turned, name, sizes)
    values = _values(piece, name, sizes)
    if len(values) > MOST_PIECES:
        return None
    fixed = (piece.map(methodcaller("put", name, Linear((), n))) for n in values)
    tidied = (tidy(p, sizes) for p in fixed)
    return tuple(p for p in tidied if not is_empty(p, sizes))


def _all_summed(pieces: Sequence[Piece], name: str, sizes: Sizes) -> tuple[Piece, ...] | None:
    """The pieces of each sum one after the other; None where one has none."""
    parts: list[Piece] = []
    for piece in pieces:
        own = summed(piece, name, sizes)
        if own is None:
            return None
        parts += own
    return tuple(parts)


def _values(piece: Piece, name: str, sizes: Sizes) -> list[int]:
    """The values of a wire that its own bounds admit, numbers known."""
    own = [b for b in piece.bounds if b.wires == (name,)]
    return [
        n
        for n in range(number_of(sizes[name]))
        if all(number_of(b.coefficients[name]) * n + number_of(b.constant) >= 0 for b in own)
    ]


def _unrolled(piece: Piece, circle: Equation, sizes: Sizes) -> tuple[Piece, ...] | None:
    """A congruence as equations, one for each multiple of its modulus in reach."""
    free = {w: number_of(sizes[w]) for w in circle.form.wires}
    low, high = reach_of(circle.form, free)
    m = number_of(circle.modulus or 1)
    turns = range(-(-low // m), high // m + 1)
    if len(turns) > MOST_PIECES:
        return None
    others = tuple(e for e in piece.equations if e is not circle)
    return tuple(
        Piece((*others, Equation(circle.form.plus(-m * turn))), piece.bounds) for turn in turns
    )


def marginal(relation: Relation, name: str, sizes: Sizes) -> Relation | None:
    """Σ over one wire of a relation, in closed form; None where there is none.

    The entries are counts: the edges of a reflection meet what they mirror again.
    """
    pieces = _all_summed(relation.pieces, name, sizes)
    if pieces is None:
        return None
    if len(relation.pieces) > 1:
        pieces = tuple(p for p in pieces if not is_empty(p, sizes))
    if len(pieces) > MOST_PIECES:
        return None
    wires = tuple(w for w in relation.wires if w != name)
    return Relation(relation.name, wires, pieces or (NOWHERE,))


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
    return prod(number_of(n) for n in numbers) if all(isinstance(n, int) for n in numbers) else None
