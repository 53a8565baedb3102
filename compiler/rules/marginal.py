"""Marginals: a relation with one end summed alone, in closed form."""

from __future__ import annotations

from diagrammar.ir.algebra import fixes, marginal
from diagrammar.ir.index_map import index_map
from diagrammar.ir.points import is_empty, is_known
from diagrammar.ir.relation import Relation, holds_always
from diagrammar.rewrite.rule import Edit, Match, Miss, Place, rule

MOST_BRACKETS = 16
"""A sum that has more is left to be made when the function runs."""


@rule(
    law="Σ_o Π[i,o,k] = window[i,k],   Σ_i Π[i,o,k] = valid[o,k]   known when compiled",
    example="""
tensor X[n, i]
pattern P[i, o, k] = conv(padding=1)
size k := 3
Y[n, k] = X[n, i] * P[i, o, k]
""",
    near_miss="""
tensor X[n, i]
tensor V[n, o]
pattern P[i, o, k] = conv(padding=1)
size k := 3
Y[n, k] = X[n, i] * P[i, o, k] * V[n, o]
""",
    reason="i, o, k all lead elsewhere",
    source="Dangel 2024, sec. 4 (KFAC-reduce)",
    boundary="any",
)
def summed_end(place: Place) -> Match | Miss:
    """An equation fixes the summed wire, so its sum is the condition that such a value is in
    range; one that it meets several times is counted."""
    relation, network = place.relation, place.network
    lonely = [w for w in relation.wires if w not in place.open and len(network.ends(w)) == 1]
    if not lonely:
        return Miss(f"{', '.join(relation.wires)} all lead elsewhere")
    if relation.view is not None and relation.view not in (*lonely, *place.open):
        return Miss(f"{relation.name} is a view of {relation.view}: what it reads is summed")
    mapped = None if relation.view else index_map(relation, network.sizes)
    if mapped is not None and mapped.source in lonely:
        because = f"{_rest(relation, mapped.source)} gives {mapped.source} exactly one value"
        return Match(Edit(remove=place.site, gone=(mapped.source,)), f"{because}: the sum is 1")
    many = ""
    for wire in _best_first(relation, lonely):
        made = marginal(relation, wire, network.sizes)
        if made is None:
            continue
        if len(made.pieces) > max(MOST_BRACKETS, len(relation.pieces)):
            many = f"the sum over {wire} would have {len(made.pieces)} brackets"
            continue
        fixed = fixes(relation, wire, network.sizes)
        how = f"fixed by {_rest(relation, wire)}" if fixed else "its values counted"
        because = f"{wire} ends at {relation.name} alone, {how}"
        if relation.view == wire or holds_always(made):
            return Match(Edit(remove=place.site, gone=(wire,)), f"{because}: the sum is 1")
        return Match(Edit(remove=place.site, add=(made,), gone=(wire,)), because)
    return Miss(many or f"no equation fixes {', '.join(lonely)}")


def _rest(relation: Relation, wire: str) -> str:
    return " and ".join(w for w in relation.wires if w != wire) or "its equation"


def _best_first(relation: Relation, wires: list[str]) -> list[str]:
    """The viewed wire first: its sum leaves nothing behind."""
    return sorted(wires, key=lambda w: w != relation.view)


@rule(
    law="0·T = 0: a term with an empty relation vanishes",
    example="""
tensor X[n, i]
size i := 4, o := 3
pattern P[i, o] = [i = o + 5]
Y[n, o] = X[n, i] * P[i, o]
""",
    near_miss="""
tensor X[n, i]
size i := 4, o := 3
pattern P[i, o] = [i = o + 3]
Y[n, o] = X[n, i] * P[i, o]
""",
    reason="it holds somewhere",
    source="the range of the wires",
    boundary="any",
)
def empty_relation(place: Place) -> Match | Miss:
    """A relation that holds nowhere makes its term zero."""
    relation, sizes = place.relation, place.network.sizes
    if not all(is_empty(p, sizes) for p in relation.pieces):
        certain = all(is_known(p, sizes) for p in relation.pieces)
        return Miss("it holds somewhere" if certain else "it may hold somewhere")
    edit = Edit(remove=place.site, factor=0)
    known = [w for w in relation.wires if isinstance(sizes[w], int)]
    guard = ", ".join(f"|{w}| = {sizes[w]}" for w in known)
    return Match(edit, f"{relation.name} holds for no values of its wires", guard)
