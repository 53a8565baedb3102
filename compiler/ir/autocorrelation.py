"""Gram matrices of windows: the law, the relation that it makes, and the way back.

The law, for two equal patterns that share an output wire which nothing else sees:

    Σ_o Π[i,o,k]·Π[i′,o,k′]  =  [i′ − i = D·(k′ − k)]·[i − D·k + P ∈ {0, S, …, S·(O−1)}]

The right-hand side is one relation, here called *paired*. It says that an entry of Σ_o (unfold x)
(unfold x)ᵀ is a sum over rows that lie a distance δ = D·(k′ − k) apart, and that k only decides
*which* rows: those in the column of k. For S = 1 these are the rows k − P ≤ i < k − P + O, so that
all k share all but a few boundary rows. A lowering adds one Gram matrix of the shared rows and one
thin product for each boundary row, for each δ ≥ 0; `mirror` gives δ < 0.

`gram_form` reads a paired relation (also one that was parsed from text), `unpaired` turns it back
into two patterns and an output wire: the planner takes the form or the way back, dimension by
dimension, as its costs say. Rows are those of i; with stride S, k and k′ of other classes modulo S
meet other classes of rows. Nothing here chooses; the rule is in `rules.overlap`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from diagrammar.ir.diagram import Network, Operand, Tensor
from diagrammar.ir.names import fresh_wire
from diagrammar.ir.relation import (
    ConvForm,
    Equation,
    Linear,
    Piece,
    Relation,
    Sizes,
    conv,
    conv_form,
    tidy,
)
from diagrammar.ir.scalar import Dim, equal, expand, floor_div, nonnegative


@dataclass(frozen=True)
class GramForm:
    """[i2 − i = D·(k2 − k)]·[i − D·k + P ∈ {0, S, …, S·(O−1)}], with |i| = |i2| = I and |k| = |k2|
    = K."""

    relation: Relation
    i: str
    k: str
    i2: str
    k2: str
    S: Dim
    D: Dim
    P: Dim
    I: Dim  # noqa: E741  # the paper's letter
    O: Dim  # noqa: E741
    K: Dim


def paired(first: ConvForm, second: ConvForm, sizes: Sizes) -> Relation:
    """Σ_o of two patterns with the same numbers and one output wire, as one relation over (i, k,
    i′, k′)."""
    i, k, i2, k2 = first.i, str(first.k), second.i, str(second.k)
    column = Linear.of({i: 1, k: -first.D}, first.P)
    apart = Linear.of({i2: 1, i: -1, k2: -first.D, k: first.D})
    equations = [Equation(apart)]
    if not equal(first.S, 1):
        equations.append(Equation(column, first.S))
    bounds = (column, (-column).plus(expand(first.S * (first.O - 1))))
    piece = tidy(Piece(tuple(equations), bounds), sizes)
    return Relation(first.relation.name, (i, k, i2, k2), (piece,))


def gram_form(relation: Relation, sizes: Sizes) -> GramForm | None:
    """The numbers of a paired relation; None for any other.

    A bound that the ranges of the wires imply is not written; then windows reach as far into the
    padding as such a bound allows, which changes no entry.
    """
    if len(relation.wires) != 4 or len(relation.pieces) != 1:
        return None
    i, k, i2, k2 = relation.wires
    piece = relation.pieces[0]
    apart = [e.form for e in piece.equations if e.modulus is None]
    classes = [e for e in piece.equations if e.modulus is not None]
    if len(apart) != 1 or len(classes) > 1 or len(piece.bounds) > 2:
        return None
    head = apart[0].coefficients.get(i2, 0)
    if not (equal(head, 1) or equal(head, -1)):
        return None
    D = expand(-apart[0].coefficients.get(k2, 0) * head)
    if not nonnegative(expand(D - 1)):
        return None
    if apart[0] * head != Linear.of({i2: 1, i: -1, k2: -D, k: D}):
        return None
    if not equal(sizes[i], sizes[i2]) or not equal(sizes[k], sizes[k2]):
        return None
    return _placed(relation, D, classes, sizes)


def _placed(relation: Relation, D: Dim, classes: list[Equation], sizes: Sizes) -> GramForm | None:
    """The form's stride, padding and output, read from the class and the bounds of i − D·k."""
    i, k, i2, k2 = relation.wires
    I, K = sizes[i], sizes[k]  # noqa: E741
    stride = _stride(classes[0], i, k, D) if classes else (1, 0)
    if stride is None:
        return None
    S, rest = stride
    lower = _constant(relation, Linear.of({i: 1, k: -D}))
    upper = _constant(relation, Linear.of({i: -1, k: D}))
    if len([c for c in (lower, upper) if c is not None]) != len(relation.pieces[0].bounds):
        return None
    if lower is None:
        most = expand(D * (K - 1))
        if classes and not isinstance(most, int):
            return None
        lower = most + (rest - most) % S if classes else most
    last = expand((I - 1 if upper is None else upper) + lower)
    return GramForm(relation, i, k, i2, k2, S, D, lower, I, expand(floor_div(last, S) + 1), K)


def _stride(congruence: Equation, i: str, k: str, D: Dim) -> tuple[int, int] | None:
    """S and P mod S of the congruence ±(i − D·k + P) ≡ 0 mod S; None for any other."""
    modulus, form = congruence.modulus, congruence.form
    head, other = form.coefficients.get(i, 0), form.coefficients.get(k, 0)
    if not isinstance(modulus, int) or not isinstance(form.constant, int):
        return None
    if not all(isinstance(n, int) for n in (D, head, other)) or set(form.wires) - {i, k}:
        return None
    for sign in (1, -1):
        if (head - sign) % modulus == 0:
            known = (sign * other + D) % modulus == 0
            return (modulus, sign * form.constant % modulus) if known else None
    return None


def _constant(relation: Relation, form: Linear) -> Dim | None:
    """The constant of the bound with the terms of `form`."""
    found = [b.constant for b in relation.pieces[0].bounds if b.terms == form.terms]
    return found[0] if len(found) == 1 else None


def unpaired(network: Network, at: int) -> Network:
    """The network with the paired relation at `at` as two patterns and an output wire again.

    Where all windows lie inside, both are views. Raises ValueError where no paired relation is.
    """
    relation = network.tensors[at]
    form = gram_form(relation, network.sizes) if isinstance(relation, Relation) else None
    if form is None:
        raise ValueError(f"tensor {at}, {relation.name}, is no paired relation")
    letter = "o" + form.i[1:] if form.i[:1] == "i" else "o"
    o = fresh_wire(letter, form.O, network.sizes)
    sizes = {**network.sizes, o: form.O}
    made = []
    for i, k in ((form.i, form.k), (form.i2, form.k2)):
        pattern = conv(form.relation.name, i, o, k, stride=form.S, dilation=form.D, padding=form.P)
        shape = conv_form(pattern, sizes)
        inside = shape and equal(form.P, 0) and nonnegative(expand(-shape.right))
        made.append(replace(pattern, view=i) if inside else pattern)
    tensors = (*network.tensors[:at], made[0], *network.tensors[at + 1 :], made[1])
    return Network(network.scalar, tensors, sizes)


# -- symmetry --------------------------------------------------------------------------------------


def mirror(network: Network, swap: Mapping[str, str]) -> dict[str, str] | None:
    """The exchange of wires that maps a network to itself and extends `swap`; None if there is
    none.

    Wires that are not in the answer stay. Where it exchanges open wires in pairs, the network's
    value is symmetric in them: that is how a Gram matrix is known to be one.
    """
    names = {**swap, **{b: a for a, b in swap.items()}}
    waiting = list(names.items())
    partner: dict[int, int] = {}
    while waiting:
        wire, other = waiting.pop()
        for at in network.ends(wire):
            found = _partner(network, at, other, names, partner)
            if found is None:
                return None
            to, pairs = found
            partner[at], partner[to] = to, at
            for a, b in pairs:
                if names.get(a, a if b == a else b) != b or names.get(b, a) != a:
                    return None
                if a != b and a not in names:
                    names[a], names[b] = b, a
                    waiting += [(a, b), (b, a)]
    return names


def _partner(
    network: Network, at: int, wire: str, names: Mapping[str, str], partner: Mapping[int, int]
) -> tuple[int, list[tuple[str, str]]] | None:
    """The tensor at `wire` that `at` maps to, and which wires correspond."""
    own = network.tensors[at]
    choices = (
        [partner[at]]
        if at in partner
        else [n for n in dict.fromkeys(network.ends(wire)) if n not in partner]
    )
    for to in choices:
        for pairs in _alignments(own, network.tensors[to], network.sizes):
            known = all(names.get(a, b) == b for a, b in pairs)
            if known and wire in {b for a, b in pairs if names.get(a) == wire}:
                return to, pairs
    return None


def _alignments(first: Tensor, second: Tensor, sizes: Sizes) -> list[list[tuple[str, str]]]:
    """The ways in which the wires of two like tensors correspond."""
    if isinstance(first, Operand) or isinstance(second, Operand):
        same = isinstance(first, Operand) and isinstance(second, Operand)
        shapes = [[len(axis) for axis in t.axes] for t in (first, second)]
        if not same or first.name != second.name or shapes[0] != shapes[1]:
            return []
        return [list(zip(first.wires, second.wires, strict=True))]
    if len(first.wires) != len(second.wires):
        return []
    found = []
    straight = list(zip(first.wires, second.wires, strict=True))
    if first.rename(dict(straight)).pieces == second.pieces:
        found.append(straight)
    if first == second and gram_form(first, sizes) is not None:
        i, k, i2, k2 = first.wires
        found.append([(i, i2), (k, k2), (i2, i), (k2, k)])
    return found
