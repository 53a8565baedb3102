"""Restrictions: entries of a wire that a convolution never meets are left out, by a stepped
view."""

from __future__ import annotations

from dataclasses import replace
from math import gcd

from diagrammar.ir.algebra import live, step
from diagrammar.ir.relation import ConvForm, Relation, conv
from diagrammar.ir.scalar import Dim, equal, expand, floor_div, nonnegative, text
from diagrammar.rewrite.rule import Edit, Match, Miss, Place, rule
from diagrammar.rules.delta import shape


@rule(
    law="Π(S,D,P)[i,o,k] = [i = r·j + c] · Π(S/r, D/r, (P+c)/r)[j,o,k]  r = gcd(S,D), c = −P mod r",
    example="""
tensor X[n, i]
tensor W[k]
size k := 3
pattern P[i, o, k] = conv(stride=2, dilation=2)
Y[n, o] = X[n, i] * P[i, o, k] * W[k]
""",
    near_miss="""
tensor X[n, i]
tensor W[k]
size k := 3
pattern P[i, o, k] = conv(stride=2, dilation=3)
Y[n, o] = X[n, i] * P[i, o, k] * W[k]
""",
    reason="stride 2 and dilation 3 have no common factor",
    source="residue classes; Dangel 2024 leaves this case to unfolding",
)
def common_factor(place: Place) -> Match | Miss:
    """Stride and dilation move in steps of r, so only every r-th input is ever touched."""
    form = shape(place)
    if isinstance(form, Miss):
        return form
    if form.k is None or equal(form.K, 1):
        return Miss("no windows: the kernel has one entry")
    r = shared_factor(form)
    if r == 0:
        return Miss(f"stride {text(form.S)} and dilation {text(form.D)} are not both known")
    if r == 1:
        return Miss(f"stride {text(form.S)} and dilation {text(form.D)} have no common factor")
    if not isinstance(form.P, int):
        return Miss(f"padding {text(form.P)} is not known, so neither is the class modulo {r}")
    if _lonely(place, form.i):
        return Miss(f"{form.i} ends here alone")
    c = -form.P % r
    if not nonnegative(expand(form.I - 1 - c)):
        return Miss(f"input {text(form.I)} may have no entry {c}")
    extent = expand(floor_div(expand(form.I - 1 - c), r) + 1)
    j = place.fresh(form.i, extent)
    before = step(form.relation.name, form.i, j, start=c, stride=r)
    padding = (form.P + c) // r
    after = _conv(form, j, str(form.k), floor_div(form.S, r), floor_div(form.D, r), padding)
    because = (
        f"{form.relation.name}: gcd(stride {text(form.S)}, dilation {text(form.D)}) = {r}, "
        f"so only {form.i} ≡ {c} mod {r} is touched"
    )
    edit = Edit(remove=place.site, add=(before, after), sizes={j: extent})
    guard = f"|{form.i}| > {c}" if c and isinstance(form.I, int) else ""
    return Match(edit, because, guard)


def shared_factor(form: ConvForm) -> int:
    """gcd(S, D); 0 where one of them is not known."""
    if isinstance(form.S, int) and isinstance(form.D, int):
        return gcd(form.S, form.D)
    return 0


@rule(
    law="Π(K,P)[i,o,k] = [k = k′ + m] · Π(K′, P − D·m)[i,o,k′]   other k meet only padding",
    example="""
tensor X[n, i]
tensor W[k]
size i := 1, k := 3
pattern P[i, o, k] = conv(padding=1)
Y[n, o] = X[n, i] * P[i, o, k] * W[k]
""",
    near_miss="""
tensor X[n, i]
tensor W[k]
size i := 2, k := 3
pattern P[i, o, k] = conv(padding=1)
Y[n, o] = X[n, i] * P[i, o, k] * W[k]
""",
    reason="each of the 3 kernel entries meets the input",
    source="the range of the wires",
)
def dead_kernel_entries(place: Place) -> Match | Miss:
    """A kernel that reaches far into the padding has entries that only ever meet zeros."""
    form = shape(place)
    if isinstance(form, Miss):
        return form
    if form.k is None or equal(form.K, 1):
        return Miss("the kernel has one entry")
    unknown = [
        n for n in (form.S, form.D, form.P, form.I, form.O, form.K) if not isinstance(n, int)
    ]
    if unknown:
        return Miss(f"{text(unknown[0])} is not known")
    if _lonely(place, form.k):
        return Miss(f"{form.k} ends here alone")
    kept = live(form, "k")
    if len(kept) == form.K:
        return Miss(f"each of the {text(form.K)} kernel entries meets the input")
    if not kept:
        return Miss("no kernel entry meets the input")
    k = place.fresh(form.k, len(kept))
    cut = step(form.relation.name, form.k, k, start=kept.start)
    padding = expand(form.P - form.D * kept.start)
    after = _conv(form, form.i, k, form.S, form.D, padding)
    which = f"{kept.start}" if len(kept) == 1 else f"{kept.start} to {kept.stop - 1}"
    because = f"{form.relation.name}: of {text(form.K)} kernel entries only {which} meet the input"
    edit = Edit(remove=place.site, add=(cut, after), sizes={k: len(kept)})
    return Match(edit, because, f"|{form.i}| = {text(form.I)}")


def is_whole(form: ConvForm) -> bool:
    """Whether neither rule of this file cuts anything: no common factor, no dead entries."""
    if form.k is None or equal(form.K, 1):
        return True
    if shared_factor(form) != 1:
        return False
    numbers = (form.S, form.D, form.P, form.I, form.O, form.K)
    known = all(isinstance(n, int) for n in numbers)
    return not known or (len(live(form, "k")), len(live(form, "o"))) == (form.K, form.O)


def _lonely(place: Place, wire: str) -> bool:
    return wire not in place.open and len(place.network.ends(wire)) == 1


def _conv(form: ConvForm, i: str, k: str, stride: Dim, dilation: Dim, padding: Dim) -> Relation:
    """The relation with other wires and numbers; reading it along i stays a view."""
    made = conv(form.relation.name, i, form.o, k, stride=stride, dilation=dilation, padding=padding)
    return replace(made, view=i if form.relation.view == form.i else None)
