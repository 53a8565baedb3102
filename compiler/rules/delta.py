"""Deltas: two wires that are one, and relations that say nothing."""

from __future__ import annotations

from diagrammar.ir.algebra import fixes, is_indicator
from diagrammar.ir.points import is_empty
from diagrammar.ir.relation import ConvForm, Relation, conv_form, delta, tidy
from diagrammar.ir.scalar import equal, text
from diagrammar.rewrite.rule import Edit, Match, Miss, Place, rule


def shape(place: Place) -> ConvForm | Miss:
    """The relation at a place as a zero-padded convolution, or why it is none."""
    relation = place.relation
    form = conv_form(relation, place.network.sizes)
    if form is None:
        brackets = len(place.relation.pieces)
        many = f"a sum of {brackets} brackets, " if brackets > 1 else ""
        return Miss(f"{many}not of the form i = S·o + D·k − P")
    return form


@rule(
    law="δ[a,b]·T[b] = T[a]",
    example="""
tensor X[n, i]
Y[n, j] = delta[i, j] * X[n, i]
""",
    near_miss="""
tensor X[n]
size i = 3, j = 3
Y[n, i, j] = delta[i, j] * X[n]
""",
    reason="both wires are open",
    source="the definition of Kronecker's delta",
    boundary="any",
    cosmetic=True,
)
def delta_elimination(place: Place) -> Match | Miss:
    """A delta joins its two wires to one; the open one keeps its name."""
    form = shape(place)
    if isinstance(form, Miss):
        return form
    if form.k is not None:
        return Miss(f"three wires: {', '.join(form.relation.wires)}")
    if not equal(form.S, 1) or not equal(form.P, 0):
        if equal(form.S, 1):
            return Miss(f"a shift, by {text(form.P)}")
        return Miss(f"a step, by {text(form.S)}")
    if not equal(form.I, form.O):
        return Miss(f"sizes {text(form.I)} and {text(form.O)} differ")
    first, second = form.i, form.o
    if first in place.open and second in place.open:
        return Miss("both wires are open")
    lost, kept = _kept(place, first, second)
    edit = Edit(remove=place.site, merge={lost: kept})
    return Match(edit, f"{lost} = {kept}, both of size {text(form.I)}")


@rule(
    law="[0 = 0] = 1",
    example="""
tensor X[n, i]
size a := 3
pattern P[i, a] = [i + a >= 0]
Y[n, i] = X[n, i] * P[i, a]
""",
    near_miss="""
tensor X[n, i]
size i := 4, a := 3
pattern P[i, a] = [i + a >= 1]
Y[n, i] = X[n, i] * P[i, a]
""",
    reason="it can be zero",
    source="Iverson's bracket",
    boundary="any",
    cosmetic=True,
)
def trivial_relation(place: Place) -> Match | Miss:
    """A relation whose conditions always hold is one everywhere, and goes; of several brackets it
    is their number."""
    relation, sizes = place.relation, place.network.sizes
    tidied = [tidy(p, sizes) for p in relation.pieces]
    pieces = [p for p in tidied if len(tidied) == 1 or not is_empty(p, sizes)]
    if not pieces or any(p.equations or p.bounds for p in pieces):
        return Miss("it can be zero")
    count = len(pieces)
    because = f"{relation.name} holds for all values of its wires"
    if len(relation.pieces) > 1:
        said = "bracket holds" if count == 1 else "brackets hold"
        because = f"{count} {said} for all values of the wires of {relation.name}"
        because += ", the others for none" if count < len(tidied) else ""
    return Match(Edit(remove=place.site, factor=count), because)


def _kept(place: Place, first: str, second: str) -> tuple[str, str]:
    """Which of two equal wires goes and which stays: the open one, or the one with fewer primes."""
    opened = first in place.open, second in place.open
    if opened != (False, False):
        return (second, first) if opened[0] else (first, second)
    return (second, first) if first.count("'") < second.count("'") else (first, second)


@rule(
    law="Π[i,o,k] = δ[i,o]·1[k]   when K = 1, S = 1, P = 0",
    example="""
tensor X[n, i]
tensor W[k]
size k := 1
pattern P[i, o, k] = conv(stride=1, padding=0)
Y[n, o] = X[n, i] * P[i, o, k] * W[k]
""",
    near_miss="""
tensor X[n, i]
tensor W[k]
size k := 1
pattern P[i, o, k] = conv(stride=2)
Y[n, o] = X[n, i] * P[i, o, k] * W[k]
""",
    reason="stride 2 ≠ 1",
    source="Dangel 2024, sec. 4",
)
def pointwise(place: Place) -> Match | Miss:
    """A kernel of one entry at stride one copies its input."""
    form = shape(place)
    if isinstance(form, Miss):
        return form
    if form.k is None:
        return Miss("no kernel wire")
    if not equal(form.K, 1):
        return Miss(f"kernel {text(form.K)} ≠ 1")
    if not equal(form.S, 1):
        return Miss(f"stride {text(form.S)} ≠ 1")
    if not equal(form.P, 0) or not equal(form.I, form.O):
        return Miss(f"padding {text(form.P)} ≠ 0")
    name = form.relation.name
    both_open = form.i in place.open and form.o in place.open
    if both_open:
        edit = Edit(remove=place.site, add=(delta(form.i, form.o, name),))
    else:
        lost, kept = _kept(place, form.i, form.o)
        edit = Edit(remove=place.site, merge={lost: kept})
    return Match(edit, f"{name}: |{form.k}| = 1, stride 1, no padding, so {form.i} = {form.o}")


@rule(
    law="Π[i,o,k]·Π[i,o,k′] = Π[i,o,k]·δ[k,k′]   (and for the other pairs)",
    example="""
tensor X[n, i]
tensor V[o]
pattern P[i, o, k] = conv(padding=1)
Y[n, k, k'] = X[n, i] * P[i, o, k] * P[i, o, k'] * V[o]
""",
    near_miss="""
tensor X[n, i]
tensor V[o]
pattern P[i, o, k] = conv(padding=1)
Y[n, k, k'] = X[n, i] * P[i, o, k] * P[i', o, k'] * X[n, i']
""",
    reason="they differ in more than one wire",
    source="Dangel 2024, sec. 4",
    boundary="any",
    arity=2,
)
def functional_dependence(place: Place) -> Match | Miss:
    """Two of i, o, k fix the third, so two like relations that share two wires share the third."""
    first, second = place.tensors
    assert isinstance(first, Relation)
    assert isinstance(second, Relation)
    if len(first.wires) != len(second.wires):
        return Miss("their wires differ in number")
    differing = [(a, b) for a, b in zip(first.wires, second.wires, strict=True) if a != b]
    if len(differing) != 1:
        return Miss("they differ in more than one wire" if differing else "they are the same")
    (a, b), sizes = differing[0], place.network.sizes
    if first.pieces != second.rename({b: a}).pieces:
        return Miss("their equations differ")
    if not equal(sizes[a], sizes[b]):
        return Miss(f"sizes {text(sizes[a])} and {text(sizes[b])} differ")
    if len(first.wires) == 2 and first.pieces[0].equations and a == _head(first):
        return Miss(f"{a} is read by a step, which each side does for itself")
    if not fixes(first, a, sizes):
        return Miss(f"the other wires do not fix {a}")
    shared = ", ".join(w for w in first.wires if w != a)
    because = f"{shared} fix both {a} and {b}, so {a} = {b}"
    if a in place.open and b in place.open:
        add = (first, delta(a, b))
        return Match(Edit(remove=place.site, add=add), because)
    lost, kept = (b, a) if a in place.open else (a, b)
    if lost == a:
        return Match(Edit(remove=place.site[:1], merge={a: kept}), because)
    return Match(Edit(remove=place.site[1:], merge={b: kept}), because)


@rule(
    law="Π·Π = Π   (its entries are 0 and 1)",
    example="""
tensor X[n, i]
tensor V[k]
pattern P[i, o, k] = conv(padding=1)
Y[n, o] = X[n, i] * P[i, o, k] * P[i, o, k] * V[k]
""",
    near_miss="""
tensor X[n, i]
tensor V[k]
pattern P[i, o, k] = conv(padding=1)
pattern Q[i, o, k] = conv(padding=2, dilation=2)
Y[n, o] = X[n, i] * P[i, o, k] * Q[i, o, k] * V[k]
""",
    reason="their equations differ",
    source="a 0/1 tensor is its own square",
    boundary="any",
    arity=2,
)
def repetition(place: Place) -> Match | Miss:
    """A relation that stands twice between the same wires stands once."""
    first, second = place.tensors
    assert isinstance(first, Relation)
    assert isinstance(second, Relation)
    if set(first.wires) != set(second.wires):
        return Miss("their wires differ")
    if first.pieces != second.pieces:
        return Miss("their equations differ")
    if not is_indicator(first, place.network.sizes):
        return Miss(f"{first.name} may count an entry more than once")
    at = place.site[1] if second.view is None else place.site[0]
    because = f"{first.name} stands twice between {', '.join(first.wires)}"
    return Match(Edit(remove=(at,)), because)


def _head(relation: Relation) -> str:
    """The wire that a step reads: i of i = S·o − P, with S > 1."""
    form = relation.pieces[0].equations[0].form.coefficients
    stepped = [w for w, c in form.items() if not equal(c, 1) and not equal(c, -1)]
    return next((w for w in relation.wires if stepped and w not in stepped), "")
