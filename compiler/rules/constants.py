"""Constants of which something is declared: identity and orthogonal matrices.

    constant E[a, b] = identity
    constant Q[u, h] = orthogonal

An axis may be a group of wires. The declaration is taken at its word here; values are held against
it by `diagrammar.ir.matrices`.
"""

from __future__ import annotations

from collections.abc import Sequence

from diagrammar.ir.diagram import Operand
from diagrammar.ir.relation import Equation, Piece, Relation, Sizes, delta, flat
from diagrammar.ir.scalar import equal
from diagrammar.rewrite.rule import Edit, Match, Miss, Place, rule


@rule(
    law="E[a,b] = δ[a,b]   for a constant that is declared the identity",
    example="""
tensor X[n, a]
constant E[a, b] = identity
Y[n, b] = X[n, a] * E[a, b]
""",
    near_miss="""
tensor X[n, a]
constant E[a, b] = orthogonal
Y[n, b] = X[n, a] * E[a, b]
""",
    reason="it is declared orthogonal, not the identity",
    source="the definition of the identity",
    boundary="any",
    on="constants",
)
def identity(place: Place) -> Match | Miss:
    """A constant identity joins its two axes."""
    constant = _constants(place)[0]
    if constant.kind != "identity":
        return Miss(f"it is declared {constant.kind}, not the identity")
    first, second = constant.axes
    add = _joins(first, second, place.network.sizes)
    because = f"{constant.name} is declared the identity, so {_named(first)} = {_named(second)}"
    return Match(Edit(remove=place.site, add=add), because)


@rule(
    law="Σ_h Q[u,h]·Q[v,h] = δ[u,v]   for a constant that is declared orthogonal; so over u",
    example="""
tensor X[n, u]
constant Q[u, h] = orthogonal
Y[n, v] = X[n, u] * Q[u, h] * Q[v, h]
""",
    near_miss="""
tensor X[n, u]
tensor d[h]
constant Q[u, h] = orthogonal
Y[n, v] = X[n, u] * Q[u, h] * d[h] * Q[v, h]
""",
    reason="h leads elsewhere, too",
    source="Q Qᵀ = Qᵀ Q = 1, without conjugation",
    boundary="any",
    arity=2,
    on="constants",
)
def orthogonality(place: Place) -> Match | Miss:
    """An orthogonal constant and its transpose, with nothing in between, cancel."""
    first, second = _constants(place)
    if first.name != second.name:
        return Miss(f"{first.name} and {second.name} are different constants")
    if first.kind != "orthogonal":
        return Miss(f"it is declared the {first.kind}")
    reasons = []
    for summed, other in ((1, 0), (0, 1)):
        axis = first.axes[summed]
        if axis != second.axes[summed]:
            continue
        reason = _kept(place, axis)
        if reason:
            reasons.append(reason)
            continue
        one, two = first.axes[other], second.axes[other]
        add = _joins(one, two, place.network.sizes)
        because = f"{_named(axis)} joins {first.name} to itself alone, which is declared orthogonal"
        return Match(Edit(remove=place.site, add=add, gone=axis), because)
    return Miss(reasons[0] if reasons else "an axis of one meets the other axis of the other")


def _constants(place: Place) -> list[Operand]:
    return [t for t in place.tensors if isinstance(t, Operand)]


def _kept(place: Place, axis: Sequence[str]) -> str:
    """Why an axis is not summed between these two alone; empty if it is."""
    for wire in axis:
        if wire in place.open:
            return f"{wire} is open"
        if place.network.ends(wire) != tuple(place.site):
            return f"{wire} leads elsewhere, too"
    return "" if len(set(axis)) == len(axis) else f"{axis[0]} stands twice in one axis"


def _joins(first: tuple[str, ...], second: tuple[str, ...], sizes: Sizes) -> tuple[Relation, ...]:
    """Two axes as one: a delta for each pair of wires, or that their positions are equal."""
    alike = len(first) == len(second) and all(
        equal(sizes[a], sizes[b]) for a, b in zip(first, second, strict=True)
    )
    if alike:
        return tuple(delta(a, b) for a, b in zip(first, second, strict=True) if a != b)
    form = flat(first, sizes) - flat(second, sizes)
    wires = tuple(dict.fromkeys((*first, *second)))
    return (Relation("δ", wires, (Piece((Equation(form),)),)),)


def _named(axis: tuple[str, ...]) -> str:
    return axis[0] if len(axis) == 1 else f"({' '.join(axis)})"
