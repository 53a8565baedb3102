"""Downsampling convolutions: windows with gaps between them, so the pattern is a stepped view."""

from __future__ import annotations

from dataclasses import replace

from diagrammar.ir.relation import ConvForm, Equation, Linear, Piece, Relation
from diagrammar.ir.scalar import Dim, equal, expand, floor_div, nonnegative, text
from diagrammar.rewrite.rule import Edit, Match, Miss, Place, rule
from diagrammar.rules.delta import shape


def misfit(form: ConvForm) -> str:
    """Why windows do not all lie inside the input; empty if they do."""
    if not equal(form.P, 0):
        return f"padding {text(form.P)} ≠ 0"
    if nonnegative(expand(-form.right)) or _follows_from_formula(form):
        return ""
    return f"the last window ends {text(form.right)} beyond the input"


def _follows_from_formula(form: ConvForm) -> bool:
    """O is the formula's, without padding on the right, so the last window ends inside."""
    reach = form.I - form.D * (form.K - 1) - 1
    return equal(form.O, floor_div(expand(reach), form.S) + 1)


def _gaps(form: ConvForm) -> bool:
    reach: Dim = expand(form.S - form.D * (form.K - 1) - 1)
    return nonnegative(reach)


@rule(
    law="Π[i,o,k] = view(i = S·o + D·k)   when D(K−1) < S, P = 0: injective, more of i is unused",
    example="""
tensor X[n, i]
tensor W[k]
size k := 1
pattern P[i, o, k] = conv(stride=2)
Y[n, o] = X[n, i] * P[i, o, k] * W[k]
""",
    near_miss="""
tensor X[n, i]
tensor W[k]
size k := 3
pattern P[i, o, k] = conv(stride=2)
Y[n, o] = X[n, i] * P[i, o, k] * W[k]
""",
    reason="windows overlap: D(K−1) + 1 = 3 > stride 2",
    source="Dangel 2024, sec. 4",
)
def downsampling(place: Place) -> Match | Miss:
    """Every window lies inside the input and apart from the next: reading is slicing."""
    form = shape(place)
    if isinstance(form, Miss):
        return form
    if form.relation.view:
        return Miss("it is a view already")
    if form.k is None and equal(form.S, 1) and equal(form.I, form.O):
        return Miss("it is a delta")
    if not _gaps(form):
        reach = text(expand(form.D * (form.K - 1) + 1))
        return Miss(f"windows overlap: D(K−1) + 1 = {reach} > stride {text(form.S)}")
    reason = misfit(form)
    if reason:
        return Miss(reason)
    made = as_view(form)
    what = f"{made.name}: no padding, windows of {text(expand(form.D * (form.K - 1) + 1))}"
    return Match(Edit(remove=place.site, add=(made,)), f"{what} at stride {text(form.S)}")


def as_view(form: ConvForm) -> Relation:
    """The relation as a view; a kernel wire of size one goes, as its index is zero."""
    if form.k is None or not equal(form.K, 1):
        return replace(form.relation, view=form.i)
    equation = Equation(Linear.of({form.i: 1, form.o: -form.S}))
    return Relation(form.relation.name, (form.i, form.o), (Piece((equation,)),), view=form.i)
