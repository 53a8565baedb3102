"""Composition: two relations that share a wire that nothing else sees are one."""

from __future__ import annotations

from dataclasses import replace

from diagrammar.ir.algebra import compose, step
from diagrammar.ir.relation import ConvForm, Linear, Relation, conv_form
from diagrammar.ir.scalar import equal, expand, nonnegative, text
from diagrammar.rewrite.rule import Edit, Match, Miss, Place, rule
from diagrammar.rules.restriction import is_whole


@rule(
    law="Σ_j Π[i,j,k]·Π′[j,o,m] = Π″[i,o,k,m]   j eliminated, its range being implied",
    example="""
tensor X[n, i]
tensor W[k]
size i := 9, k := 3, o := 3
pattern P[i, j, k] = conv(padding=1)
pattern Q[j, o] = [j = 3*o + 1]
Y[n, o] = X[n, i] * P[i, j, k] * Q[j, o] * W[k]
""",
    near_miss="""
tensor X[n, i]
tensor W[k]
size i := 9, j := 4, k := 3
pattern Q[i, j] = [i = j + 2]
pattern P[j, o, k] = conv(padding=1)
Y[n, o] = X[n, i] * Q[i, j] * P[j, o, k] * W[k]
""",
    reason="the range of j stays as a bound",
    source="elimination of a variable; einconv and others keep both patterns",
    arity=2,
)
def composition(place: Place) -> Match | Miss:
    """A slice, a step or a one-entry convolution before or after another relation becomes part
    of it."""
    first, second = place.tensors
    assert isinstance(first, Relation)
    assert isinstance(second, Relation)
    wire = _between(place, first, second)
    if isinstance(wire, Miss):
        return wire
    left = [w for w in dict.fromkeys(first.wires + second.wires) if w != wire]
    if len(left) > 3:
        return Miss(f"together {', '.join(left)} are no convolution")
    sizes = place.network.sizes
    made = compose(first, second, wire, sizes)
    if made is None:
        return Miss(f"no equation fixes {wire}")
    if any(p.bounds for p in made.pieces):
        return Miss(f"the range of {wire} stays as a bound")
    if _crops(first, second, wire, place) or _crops(second, first, wire, place):
        return Miss(f"{wire} is cut out before it is read")
    patterns = (conv_form(first, sizes), conv_form(second, sizes))
    kernels = {form.k for form in patterns if form is not None}
    made = replace(made, wires=tuple(sorted(made.wires, key=lambda w: w in kernels)))
    form = conv_form(made, sizes)
    if form is None:
        return Miss(f"together {', '.join(made.wires)} are no convolution")
    if not is_whole(form):
        return Miss(f"{wire} leaves out what is not touched")
    because = f"{wire} stands between {first.name} and {second.name} only, which fix it"
    if form.k is None or nonnegative(form.P):
        return Match(Edit(remove=place.site, add=(made,), gone=(wire,)), because)
    return _narrowed(place, form, wire, because)


@rule(
    law="Σ_j Π[i,j,k]·Π′[j,o,m] = [i = SS′·o + D·k + SD′·m − P − SP′]·[0 ≤ S′·o + D′·m − P′ < J]",
    example="""
tensor X[n, i]
tensor W[k]
tensor V[m]
size k := 3, m := 3
pattern P[i, j, k] = conv(padding=1)
pattern Q[j, o, m] = conv(stride=2, padding=1)
Y[n, o] = X[n, i] * P[i, j, k] * W[k] * Q[j, o, m] * V[m]
""",
    near_miss="""
tensor X[n, i]
tensor W[k]
tensor V[m]
tensor M[j]
size k := 3, m := 3
pattern P[i, j, k] = conv(padding=1)
pattern Q[j, o, m] = conv(stride=2, padding=1)
Y[n, o] = X[n, i] * P[i, j, k] * W[k] * M[j] * Q[j, o, m] * V[m]
""",
    reason="j leads elsewhere, too",
    source="elimination of a variable; the range of j is the second convolution's zero padding",
    arity=2,
)
def stacked_convolutions(place: Place) -> Match | Miss:
    """Two convolutions with nothing in between are one relation, the inner range kept as bounds.

    Its kernel has as many entries as both together, so it pays only where that kernel is wanted:
    the standard pipeline leaves it out, `Pipeline(("composition",))` has it.
    """
    first, second = place.tensors
    assert isinstance(first, Relation)
    assert isinstance(second, Relation)
    wire = _between(place, first, second)
    if isinstance(wire, Miss):
        return wire
    sizes = place.network.sizes
    forms = conv_form(first, sizes), conv_form(second, sizes)
    for relation, form in zip((first, second), forms, strict=True):
        if form is None or form.k is None:
            return Miss(f"{relation.name} is no convolution with a kernel")
    roles = {form.i if form.i == wire else form.o for form in forms if form is not None}
    if roles != {wire} or sum(form.i == wire for form in forms if form is not None) != 1:
        return Miss(f"{wire} is not the output of one and the input of the other")
    outer, inner = (second, first) if forms[1] and forms[1].i == wire else (first, second)
    made = compose(outer, inner, wire, sizes)
    if made is None:
        return Miss(f"no equation fixes {wire}")
    wires = tuple(w for w in dict.fromkeys(inner.wires + outer.wires) if w != wire)
    made = replace(made, name=f"{inner.name}{outer.name}", wires=wires)
    kept = f", its range 0 to {text(expand(sizes[wire] - 1))} kept as bounds"
    bounded = any(p.bounds for p in made.pieces)
    because = f"{wire} stands between {first.name} and {second.name} only{kept if bounded else ''}"
    return Match(Edit(remove=place.site, add=(made,), gone=(wire,)), because)


@rule(
    law="Σ_j R[a,j]·R′[j,b] = R″[a,b]   j eliminated, its range kept as bounds, of any boundary",
    example="""
tensor X[n, i]
tensor W[k]
tensor V[m]

size k := 3, m := 3
pattern P[i, j, k] = [i = j + k - 1 mod |i|]
pattern Q[j, o, m] = [j = o + m - 1 mod |j|]
size j := |i|, o := |i|
Y[n, o] = X[n, i] * P[i, j, k] * W[k] * Q[j, o, m] * V[m]
""",
    near_miss="""
tensor X[n, i]
tensor W[k]
tensor V[m]
size k := 3, m := 3
pattern P[i, j, k] = [i = j + k - 1 mod |i|]
pattern Q[j, o, m] = [j = o + m - 1 mod |j|]
Y[n, o] = X[n, i] * P[i, j, k] * W[k] * Q[j, o, m] * V[m]
""",
    reason="j cannot be eliminated in closed form",
    source="elimination of a variable; congruences where a circle lies within a circle",
    boundary="any",
    arity=2,
)
def chained_relations(place: Place) -> Match | Miss:
    """Any two relations with nothing in between are one, where the wire can be eliminated. As with
    stacked convolutions, the standard pipeline leaves it out."""
    first, second = place.tensors
    assert isinstance(first, Relation)
    assert isinstance(second, Relation)
    wire = _between(place, first, second)
    if isinstance(wire, Miss):
        return wire
    made = compose(first, second, wire, place.network.sizes)
    if made is None or len(made.pieces) > len(first.pieces) * len(second.pieces):
        return Miss(f"{wire} cannot be eliminated in closed form")
    wires = tuple(w for w in dict.fromkeys(first.wires + second.wires) if w != wire)
    because = f"{wire} stands between {first.name} and {second.name} only"
    made = replace(made, wires=wires)
    return Match(Edit(remove=place.site, add=(made,), gone=(wire,)), because)


def _between(place: Place, first: Relation, second: Relation) -> str | Miss:
    """The wire that these two share with nothing else."""
    shared = [w for w in first.wires if w in second.wires]
    hidden = [
        w for w in shared if w not in place.open and place.network.ends(w) == tuple(place.site)
    ]
    if not hidden:
        verb = "leads" if len(shared) == 1 else "lead"
        return Miss(f"{', '.join(shared)} {verb} elsewhere, too")
    return hidden[0]


def _crops(outer: Relation, inner: Relation, wire: str, place: Place) -> bool:
    """Whether `outer` is a step that narrows what the convolution `inner` reads, beyond its
    padding."""
    form = conv_form(inner, place.network.sizes)
    crop = conv_form(outer, place.network.sizes)
    if form is None or crop is None or form.k is None or crop.k is not None or form.i != wire:
        return False
    return crop.o == wire and not equal(crop.P, 0) and not nonnegative(form.P + crop.P)


def _narrowed(place: Place, form: ConvForm, wire: str, because: str) -> Match | Miss:
    """A window that starts inside the input: narrow the input first, so that no padding is
    negative."""
    start = expand(-form.P)
    extent = expand(form.I - start)
    if not nonnegative(expand(extent - 1)):
        return Miss(f"the first window starts at {text(start)}, beyond the input")
    j = place.fresh(form.i, extent)
    before = step(form.relation.name, form.i, j, start=start)
    sizes = {**place.network.sizes, j: extent}
    after = replace(form.relation, view=None).put(form.i, Linear.of({j: 1}, start), sizes)
    after = replace(after, wires=(j, form.o, str(form.k)))
    edit = Edit(remove=place.site, add=(before, after), gone=(wire,), sizes={j: extent})
    return Match(edit, f"{because}; {form.i} below {text(start)} is not touched")
