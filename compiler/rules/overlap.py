"""Overlapping convolutions: windows that share inputs.

Three laws: without padding, windows are a view (`sliding view`); an output wire that is summed
alone leaves a window matrix (`summed end`, in `marginal`); one that joins two equal patterns under
the two copies of an operand leaves a Gram matrix of rows (`gram`; its relation is described in
`ir.autocorrelation`). A pattern that is left between operands may become a native call in planning.
"""

from __future__ import annotations

from dataclasses import replace

from diagrammar.ir.algebra import overlaps
from diagrammar.ir.autocorrelation import mirror, paired
from diagrammar.ir.relation import ConvForm, Relation, conv_form
from diagrammar.ir.scalar import equal, expand, nonnegative, text
from diagrammar.rewrite.rule import Edit, Match, Miss, Place, rule
from diagrammar.rules.delta import shape
from diagrammar.rules.downsampling import misfit


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


@rule(
    law="Σ_o Π[i,o,k]·Π[i′,o,k′] = [i′ − i = D·(k′ − k)]·[i in column k]   windows overlap, one x",
    example="""
tensor X[n, i]
size k := 3
pattern P[i, o, k] = conv(padding=1)
A[k, k'] = X[n, i] * P[i, o, k] * X[n, i'] * P[i', o, k']
""",
    near_miss="""
tensor X[n, i]
size k := 3
pattern P[i, o, k] = conv(stride=3, padding=1)
A[k, k'] = X[n, i] * P[i, o, k] * X[n, i'] * P[i', o, k']
""",
    reason="windows do not overlap: kernel 3 ≤ stride 3",
    source="the sum over positions depends on k only through the rows that a window covers",
    arity=2,
)
def gram(place: Place) -> Match | Miss:
    """Two equal patterns under the two copies of an operand: the Gram matrix of its windows is one
    of rows a distance apart, and its mirror image is itself."""
    forms = _like_patterns(place)
    if isinstance(forms, Miss):
        return forms
    first, second = forms
    network = place.network
    o, k, k2 = first.o, str(first.k), str(second.k)
    if o != second.o or len({first.i, second.i, k, k2}) < 4:
        return Miss("they share more than an output wire, or another one")
    if o in place.open or network.ends(o) != tuple(place.site):
        return Miss(f"{o} leads elsewhere, too")
    if k not in place.open or k2 not in place.open:
        return Miss(f"{k if k not in place.open else k2} is summed, so this is no Gram matrix")
    swap = mirror(network, {first.i: second.i, k: k2})
    if swap is None:
        return Miss(f"{first.i} and {second.i} lead to different things")
    reason = _apart(first)
    if reason:
        return Miss(reason)
    made = paired(first, second, network.sizes)
    exchanged = sorted(f"{a} ↔ {b}" for a, b in swap.items() if a < b and a in place.open)
    because = (
        f"{o} joins like patterns of {first.i} and {second.i} alone, which meet where "
        f"{second.i} − {first.i} = {_distance(first, k, k2)}; the result is symmetric, as "
        f"{', '.join(exchanged)} changes nothing"
    )
    return Match(Edit(remove=place.site, add=(made,), gone=(o,)), because)


_WORDS = ("stride", "dilation", "padding", "input", "kernel")


def _like_patterns(place: Place) -> tuple[ConvForm, ConvForm] | Miss:
    """The two patterns of a place, with the same stride, dilation, padding and sizes."""
    forms = []
    for relation in place.tensors:
        assert isinstance(relation, Relation)
        form = conv_form(relation, place.network.sizes)
        if form is None:
            return Miss(f"{relation.name} is not of the form i = S·o + D·k − P")
        if form.k is None:
            return Miss(f"{relation.name} has no kernel wire")
        forms.append(form)
    first, second = forms
    for letter, what in zip("SDPIK", _WORDS, strict=True):
        one, two = getattr(first, letter), getattr(second, letter)
        if not equal(one, two):
            return Miss(f"{what} {text(one)} ≠ {what} {text(two)}")
    return first, second


def _apart(form: ConvForm) -> str:
    """Why windows do not overlap, or are not known to; empty if they do."""
    S, D, K = form.S, form.D, form.K
    if equal(K, 1):
        return "no windows: the kernel has one entry"
    if not isinstance(S, int) or not isinstance(D, int):
        return f"stride {text(S)} and dilation {text(D)} are not both known"
    if nonnegative(expand(S - K)):
        return f"windows do not overlap: kernel {text(K)} ≤ stride {S}"
    if not nonnegative(expand(K - S - 1)):
        return f"kernel {text(K)} may not exceed stride {S}"
    numbers = (form.P, form.I, form.O, K)
    if all(isinstance(n, int) for n in numbers) and not overlaps(form):
        return f"no two of the {text(form.O)} windows share an entry"
    return ""


def _distance(form: ConvForm, k: str, k2: str) -> str:
    return f"{k2} − {k}" if equal(form.D, 1) else f"{text(form.D)}·({k2} − {k})"
