"""Index maps, relations that say where each entry is read from: boundaries, shifts, flips, steps.

A boundary other than zeros is such a map from the input to the padded input. One behind another is
one map; one behind a window matrix is a matrix of counts.
"""

from __future__ import annotations

from dataclasses import replace

from diagrammar.ir.algebra import compose
from diagrammar.ir.index_map import index_map
from diagrammar.ir.relation import Relation, Sizes, conv_form
from diagrammar.rewrite.rule import Edit, Match, Miss, Place, rule


@rule(
    law="Σ_j [i = f(j)]·[j = g(o)] = [i = f(g(o))]   index maps, of any boundary",
    example="""
tensor X[n, i]
size i := 6, j := 8, o := 5
pattern C[i, j] = [i = j - 1 mod 6]
pattern F[j, o] = [j = 6 - o]
Y[n, o] = X[n, i] * C[i, j] * F[j, o]
""",
    near_miss="""
tensor X[n, i]
size i := 6, j := 8, o := 5
pattern C[i, j] = [i = j - 1 mod 6]
pattern Z[j, o] = [j = o + 4]
Y[n, o] = X[n, i] * C[i, j] * Z[j, o]
""",
    reason="Z is no index map: at some places it reads nothing, or several entries",
    source="composition of functions",
    boundary="any",
    arity=2,
)
def composed_maps(place: Place) -> Match | Miss:
    """What is read through a boundary, a shift, a flip or a step, and then through another, is
    read once."""
    found = _maps(place)
    if isinstance(found, Miss):
        return found
    outer, inner, wire = found
    sizes = place.network.sizes
    if conv_form(outer, sizes) and conv_form(inner, sizes):
        return Miss("both are steps, whose composition is one")
    made = compose(outer, inner, wire, sizes)
    if made is None:
        return Miss(f"no equation fixes {wire}")
    wires = tuple(w for w in dict.fromkeys(outer.wires + inner.wires) if w != wire)
    made = replace(made, name=outer.name, wires=wires, view=made.view)
    if made.view is None and index_map(made, sizes) is None:
        return Miss(f"together {', '.join(wires)} are no index map")
    source = _source(outer, sizes)
    rest = ", ".join(w for w in wires if w != source)
    because = f"{source} is read at {wire}, which is read at {rest}"
    return Match(Edit(remove=place.site, add=(made,), gone=(wire,)), because)


@rule(
    law="Σ_j [i = f(j)]·window[j,k] = count[i,k]   known when compiled, of any boundary",
    example="""
tensor X[n, i]
size i := 5, j := 7, k := 3
pattern R[i, j] = [i = 1 - j, j <= 0] + [i = j - 1] + [i = 9 - j, j >= 6]
pattern S[j, k] = [j >= k, j <= k + 4]
Y[n, k] = X[n, i] * R[i, j] * S[j, k]
""",
    near_miss="""
tensor X[n, i]
tensor V[j]
size i := 5, j := 7, k := 3
pattern R[i, j] = [i = 1 - j, j <= 0] + [i = j - 1] + [i = 9 - j, j >= 6]
pattern S[j, k] = [j >= k, j <= k + 4]
Y[n, k] = X[n, i] * R[i, j] * V[j] * S[j, k]
""",
    reason="j leads elsewhere, too",
    source="what a boundary mirrors is met more than once (KFAC-reduce)",
    boundary="any",
    arity=2,
)
def counted_windows(place: Place) -> Match | Miss:
    """The padded entries that a window covers are entries of the input, some of them twice: the sum
    needs no padded copy."""
    first, second = place.tensors
    assert isinstance(first, Relation)
    assert isinstance(second, Relation)
    wire = _shared(place, first, second)
    if isinstance(wire, Miss):
        return wire
    sizes = place.network.sizes
    for outer, window in ((first, second), (second, first)):
        if _source(outer, sizes) in (None, wire) or len(outer.wires) != 2:
            continue
        if len(window.wires) != 2 or _source(window, sizes) is not None:
            return Miss(f"{window.name} is no window matrix")
        if any(e.modulus is None for p in window.pieces for e in p.equations):
            return Miss(f"{window.name} is no window matrix")
        made = compose(outer, window, wire, sizes)
        if made is None or not made.pieces:
            return Miss(f"the sizes of {', '.join(made.wires if made else outer.wires)} are open")
        because = f"{wire} stands between {outer.name} and {window.name} only"
        made = replace(made, name=window.name)
        return Match(Edit(remove=place.site, add=(made,), gone=(wire,)), because)
    return Miss(f"neither is an index map along {wire}")


def _shared(place: Place, first: Relation, second: Relation) -> str | Miss:
    """The wire that two relations share with nothing else."""
    shared = [w for w in first.wires if w in second.wires]
    hidden = [w for w in shared if w not in place.open and place.network.ends(w) == place.site]
    if len(hidden) == 1 and len(shared) == 1:
        return hidden[0]
    return Miss(f"{', '.join(shared)} lead{'s' if len(shared) == 1 else ''} elsewhere, too")


def _maps(place: Place) -> tuple[Relation, Relation, str] | Miss:
    """The map that reads the input, the one that reads what it gives, and the wire between."""
    first, second = place.tensors
    assert isinstance(first, Relation)
    assert isinstance(second, Relation)
    wire = _shared(place, first, second)
    if isinstance(wire, Miss):
        return wire
    sizes = place.network.sizes
    sources = {}
    for relation in (first, second):
        source = _source(relation, sizes)
        if source is None:
            why = "at some places it reads nothing, or several entries"
            return Miss(f"{relation.name} is no index map: {why}")
        sources[id(relation)] = source
    outer = [r for r in (first, second) if sources[id(r)] != wire]
    if len(outer) != 1:
        return Miss(f"{wire} is what both read, or neither does")
    return outer[0], first if outer[0] is second else second, wire


def _source(relation: Relation, sizes: Sizes) -> str | None:
    """The wire that an index map reads, if the relation is one."""
    if len(relation.wires) != 2:
        return None
    if relation.view is not None:
        return relation.view
    found = index_map(relation, sizes)
    return found.source if found else None
