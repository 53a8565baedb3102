"""Dense convolutions: windows that tile the input, so the pattern is a reshape."""

from __future__ import annotations

from dataclasses import replace

from diagrammar.ir.diagram import Operand, Tensor
from diagrammar.ir.index_map import index_map
from diagrammar.ir.relation import ConvForm, Piece, Relation, conv_form, delta
from diagrammar.ir.scalar import Dim, equal, expand, nonnegative, text
from diagrammar.rewrite.rule import Edit, Match, Miss, Place, rule
from diagrammar.rules.delta import shape


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
    reason = _untiled(form)
    if reason:
        return Miss(reason)
    if not equal(form.I, form.S * form.O):
        return Miss(f"input {text(form.I)} ≠ stride × output = {text(form.S * form.O)}")
    tiled = f"|{form.i}| = {text(form.S)}·|{form.o}|"
    because = f"{tiled}, stride = |{form.k}| = {text(form.K)}"
    guard = tiled if isinstance(form.I, int) else ""
    return _reshape(place, form, (form.o, form.k), because, guard)


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
    """The dense case with kernel and output exchanged: entries as far apart as there are
    windows."""
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
    guard = f"|{form.o}| = {text(form.D)}" if isinstance(form.O, int) else ""
    return _reshape(place, form, (form.k, form.o), because, guard)


@rule(
    law="Π[i,o,k] = view(i = S·o + k)   when S = K, D = 1, P = 0, I > S·O: the rest of i drops out",
    example="""
tensor X[n, i]
tensor W[k]
size i := 14, k := 4
pattern P[i, o, k] = conv(stride=4)
Y[n, o] = X[n, i] * P[i, o, k] * W[k]
""",
    near_miss="""
tensor X[n, i]
tensor W[k]
size i := 12, k := 4
pattern P[i, o, k] = conv(stride=4)
Y[n, o] = X[n, i] * P[i, o, k] * W[k]
""",
    reason="input 12 = stride × output, nothing drops out",
    source="narrowing; einconv leaves this case to unfolding",
)
def truncated_dense(place: Place) -> Match | Miss:
    """Windows side by side that do not reach the end of the input: narrow it, then reshape."""
    form = shape(place)
    if isinstance(form, Miss):
        return form
    if form.relation.view:
        return Miss("it is a view already")
    if form.k is None:
        return Miss("no kernel wire")
    reason = _untiled(form)
    if reason:
        return Miss(reason)
    tiled, left = expand(form.S * form.O), expand(form.I - form.S * form.O)
    if equal(left, 0):
        return Miss(f"input {text(form.I)} = stride × output, nothing drops out")
    if not nonnegative(expand(left - 1)):
        return Miss(f"input {text(form.I)} may not exceed stride × output = {text(tiled)}")
    because = (
        f"stride = |{form.k}| = {text(form.K)}, and the last {text(left)} of |{form.i}| = "
        f"{text(form.I)} are in no window"
    )
    made = replace(form.relation, view=form.i)
    guard = f"|{form.i}| > {text(form.S)}·|{form.o}|" if isinstance(form.I, int) else ""
    return Match(Edit(remove=place.site, add=(made,)), because, guard)


def _untiled(form: ConvForm) -> str:
    """Why windows do not lie side by side from the start; empty if they do."""
    if not equal(form.S, form.K):
        return f"stride {text(form.S)} ≠ kernel {text(form.K)}"
    if not equal(form.D, 1):
        return f"dilation {text(form.D)} ≠ 1"
    if not equal(form.P, 0):
        return f"padding {text(form.P)} ≠ 0"
    return ""


def _elsewhere(place: Place, form: ConvForm, parts: tuple[str, str]) -> str:
    """Why i may not be split: another relation that it leads to would be one no longer; empty if
    it may. What is read at i by an index map, a boundary say, is read at its parts as well."""
    sizes = place.network.sizes
    own = place.relation.pieces
    for at in place.network.ends(form.i):
        other = place.network.tensors[at]
        if at in place.site or isinstance(other, Operand):
            continue
        like = len(other.wires) == len(place.relation.wires) and (
            other.rename(dict(zip(other.wires, place.relation.wires, strict=True))).pieces == own
        )
        is_step = conv_form(other, sizes) is not None
        source = None if like or is_step else index_map(other, sizes)
        if source is not None and source.source != form.i and form.i not in place.open:
            like = index_map(other.split(form.i, parts, sizes), sizes) is not None
        if not like:
            return f"{form.i} leads to {other.name}, which is no reshape of it"
    return ""


@rule(
    law="[K·o + k = K·o′ + k′] = δ[o,o′]·δ[k,k′]   when |k| = |k′| ≤ K",
    example="""
tensor U[n, o, k]
tensor V[m, o', k']
size o := 3, k := 4
pattern P[o, k, o', k'] = [4*o + k = 4*o' + k']
Y[n, m] = U[n, o, k] * P[o, k, o', k'] * V[m, o', k']
""",
    near_miss="""
tensor U[n, o, k]
tensor V[m, o', k']
size o := 3, k := 4
pattern P[o, k, o', k'] = [3*o + k = 3*o' + k']
Y[n, m] = U[n, o, k] * P[o, k, o', k'] * V[m, o', k']
""",
    reason="4 digits at step 3 overlap",
    source="positional notation",
)
def digits(place: Place) -> Match | Miss:
    """Two numbers are equal where all their digits are."""
    relation, sizes = place.relation, place.network.sizes
    equation = relation.pieces[0].equations[0] if relation.pieces[0].equations else None
    if equation is None or len(equation.form.terms) != 4 or relation != _plain(relation):
        return Miss("not of the form K·o + k = K·o′ + k′")
    plus = sorted((w for w, c in equation.form.terms if nonnegative(c)), key=relation.wires.index)
    pairs = []
    for wire in plus:
        c = equation.form.coefficients[wire]
        fits = [
            w
            for w in relation.wires
            if equal(equation.form.coefficients[w], -c) and equal(sizes[w], sizes[wire])
        ]
        if len(fits) != 1:
            return Miss("not of the form K·o + k = K·o′ + k′")
        pairs.append((c, wire, fits[0]))
    if len(pairs) != 2 or not equal(equation.form.constant, 0):
        return Miss("not of the form K·o + k = K·o′ + k′")
    (high, a, a2), (low, b, b2) = pairs if not equal(pairs[0][0], 1) else pairs[::-1]
    if not equal(low, 1) or not nonnegative(expand(high - sizes[b])):
        return Miss(f"{text(sizes[b])} digits at step {text(high)} overlap")
    add = (delta(a, a2, relation.name), delta(b, b2, relation.name))
    because = f"{text(high)} ≥ |{b}| = {text(sizes[b])}, so {a} = {a2} and {b} = {b2}"
    guard = f"|{b}| ≤ {text(high)}" if isinstance(sizes[b], int) else ""
    return Match(Edit(remove=place.site, add=add), because, guard)


def _plain(relation: Relation) -> Relation:
    """The relation with its first equation only."""
    first = relation.pieces[0].equations[0]
    return replace(relation, pieces=(Piece((replace(first, modulus=None),)),))


def _reshape(
    place: Place, form: ConvForm, parts: tuple[str, str], because: str, guard: str
) -> Match | Miss:
    """i becomes the group of its parts; where i is open, parts that are open already are joined
    by deltas."""
    reason = _elsewhere(place, form, parts)
    if reason:
        return Miss(reason)
    if form.i not in place.open:
        return Match(Edit(remove=place.site, split={form.i: parts}), because, guard)
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
    edit = Edit(remove=place.site, add=tuple(joins), split=split, sizes=sizes)
    return Match(edit, because, guard)
