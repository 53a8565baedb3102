"""Overlapping convolutions: windows that share inputs."""

from __future__ import annotations

from dataclasses import replace

from diagrammar.rewrite import Edit, Match, Miss, Place, rule
from diagrammar.rules.delta import shape
from diagrammar.rules.downsampling import misfit
from diagrammar.scalar import equal, text


@rule(
    law="Π[i,o,k] = view(i = S·o + D·k)   when P = 0: all windows lie inside; they may overlap",
    example="""
tensor X[n, i]
tensor W[k]
size k := 3
pattern P[i, o, k] = conv()
Y[n, o] = X[n, i] * P[i, o, k] * W[k]
""",
    near_miss="""
tensor X[n, i]
tensor W[k]
size k := 3
pattern P[i, o, k] = conv(padding=1)
Y[n, o] = X[n, i] * P[i, o, k] * W[k]
""",
    reason="padding 1 ≠ 0",
    source="sliding windows; Dangel 2024, sec. 4 leaves this case to unfolding",
)
def sliding_view(place: Place) -> Match | Miss:
    """Without padding, overlapping windows are a view of the input: nothing is copied."""
    form = shape(place)
    if isinstance(form, Miss):
        return form
    if form.relation.view:
        return Miss("it is a view already")
    if form.k is None or equal(form.K, 1):
        return Miss("no windows: the kernel has one entry")
    reason = misfit(form)
    if reason:
        return Miss(reason)
    made = replace(form.relation, view=form.i)
    because = f"{made.name}: no padding, so all {text(form.O)} windows lie inside {form.i}"
    return Match(Edit(remove=place.site, add=(made,)), because)
