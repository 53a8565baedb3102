"""Dense convolutions: windows that tile the input, so the pattern is a reshape."""

from __future__ import annotations

from diagrammar.diagram import Tensor
from diagrammar.relation import ConvForm, delta
from diagrammar.rewrite import Edit, Match, Miss, Place, rule
from diagrammar.rules.delta import shape
from diagrammar.scalar import Dim, equal, text


@rule(
    law="Π[i,o,k] = [i ≡ (o k)]   when S = K, D = 1, P = 0, I = S·O",
    example="""
tensor X[n, i]
tensor W[k]
size i := 12, k := 4
pattern P[i, o, k] = conv(stride=4)
Y[n, o] = X[n, i] * P[i, o, k] * W[k]
""",
    near_miss="""
tensor X[n, i]
tensor W[k]
size i := 12, k := 3
pattern P[i, o, k] = conv(stride=2)
Y[n, o] = X[n, i] * P[i, o, k] * W[k]
""",
    reason="stride 2 ≠ kernel 3",
    source="Dangel 2024, sec. 4",
)
def dense(place: Place) -> Match | Miss:
    """Windows side by side: the input's index is that of the window and that within it."""
    form = shape(place)
    if isinstance(form, Miss):
        return form
    if form.k is None:
        return Miss("no kernel wire")
    if not equal(form.S, form.K):
        return Miss(f"stride {text(form.S)} ≠ kernel {text(form.K)}")
    if not equal(form.D, 1):
        return Miss(f"dilation {text(form.D)} ≠ 1")
    if not equal(form.P, 0):
        return Miss(f"padding {text(form.P)} ≠ 0")
    if not equal(form.I, form.S * form.O):
        return Miss(f"input {text(form.I)} ≠ stride × output = {text(form.S * form.O)}")
    because = f"|{form.i}| = {text(form.S)}·|{form.o}|, stride = |{form.k}| = {text(form.K)}"
    return _reshape(place, form, (form.o, form.k), because)


@rule(
    law="Π[i,o,k] = [i ≡ (k o)]   when S = 1, D = O, P = 0, I = D·K",
    example="""
tensor X[n, i]
tensor W[k]
size i := 12, k := 3
pattern P[i, o, k] = conv(dilation=4)
Y[n, o] = X[n, i] * P[i, o, k] * W[k]
""",
    near_miss="""
tensor X[n, i]
tensor W[k]
size i := 12, k := 3
pattern P[i, o, k] = conv(dilation=3)
Y[n, o] = X[n, i] * P[i, o, k] * W[k]
""",
    reason="dilation 3 ≠ output 6",
    source="Dangel 2024, sec. 4, by the kernel–output swap",
)
def dense_swapped(place: Place) -> Match | Miss:
    """The dense case with kernel and output exchanged: entries as far apart as there are windows."""
    form = shape(place)
    if isinstance(form, Miss):
        return form
    if form.k is None:
        return Miss("no kernel wire")
    if not equal(form.S, 1):
        return Miss(f"stride {text(form.S)} ≠ 1")
    if not equal(form.D, form.O):
        return Miss(f"dilation {text(form.D)} ≠ output {text(form.O)}")
    if not equal(form.P, 0):
        return Miss(f"padding {text(form.P)} ≠ 0")
    if not equal(form.I, form.D * form.K):
        return Miss(f"input {text(form.I)} ≠ dilation × kernel = {text(form.D * form.K)}")
    because = f"|{form.i}| = |{form.k}|·|{form.o}|, dilation = |{form.o}| = {text(form.O)}"
    return _reshape(place, form, (form.k, form.o), because)


def _reshape(place: Place, form: ConvForm, parts: tuple[str, str], because: str) -> Match:
    """i becomes the group of its parts; where i is open, parts that are open already are joined by deltas."""
    if form.i not in place.open:
        return Match(Edit(remove=place.site, split={form.i: parts}), because)
    names: list[str] = []
    sizes: dict[str, Dim] = {}
    joins: list[Tensor] = []
    for part in parts:
        extent = place.network.sizes[part]
        name = part
        if part in place.open:
            name = place.fresh(part, extent)
            joins.append(delta(name, part))
            sizes[name] = extent
        names.append(name)
    split = {form.i: tuple(names)}
    return Match(Edit(remove=place.site, add=tuple(joins), split=split, sizes=sizes), because)
