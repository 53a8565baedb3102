"""Which entries of a result have a NaN or infinity in their sum, by the definition.

An entry of a diagram is a sum over all values of the inner wires for which every relation holds; a
term of it is not finite if one of its factors is none. So an entry is reached where there are more
terms in all than terms whose factors are finite. Both are counted: the dense diagram with operands
of ones, and with zeros in the place of what is not finite. Counts are exact in float64.

With `border`, the zeros of padding are factors, too, as in a convolution of a padded input: every
convolution of a diagram has its input on all rows that its windows reach, or, where no operand has
that wire or it is open, its output on all rows that reach it.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import opt_einsum

from diagrammar.ir.autocorrelation import gram_form
from diagrammar.ir.diagram import Diagram, Network, Operand
from diagrammar.ir.relation import ConvForm, Linear, Piece, Relation, conv_form, wire

Array = np.ndarray[Any, np.dtype[Any]]


def reached(diagram: Diagram, bad: Mapping[str, Array], *, border: bool = False) -> Array:
    """Where a diagram of known sizes has a term that is not finite; `bad` says for each operand
    which entries are none."""
    sizes = [int(diagram.sizes[w]) for w in diagram.open]
    found = np.zeros(sizes, bool)
    for term in diagram.terms:
        if term.scalar == 0 or term.scalar.is_finite is False:
            continue
        if not any(isinstance(t, Operand) for t in term.tensors):
            continue
        wider, around = _widened(term, diagram.open) if border else (term, {})
        good = {name: (~np.asarray(x)).astype(float) for name, x in bad.items()}
        ones = {name: np.ones_like(x) for name, x in good.items()}
        counts = [_count(wider, diagram.open, around, x) for x in (ones, good)]
        found |= np.broadcast_to(counts[0] - counts[1] > 0.5, found.shape)
    return found.reshape([int(n) for n in diagram.shape()])


def _count(
    term: Network,
    opened: Sequence[str],
    around: Mapping[str, tuple[int, int]],
    given: Mapping[str, Array],
) -> Array:
    """The value of a network, with an axis of size one for each open wire that it lacks; operands
    have ones around them, where a wire is wider."""
    letters = {w: opt_einsum.get_symbol(n) for n, w in enumerate(term.sizes)}
    arrays: list[Array] = []
    terms: list[str] = []
    for tensor in term.tensors:
        if isinstance(tensor, Relation):
            arrays.append(_dense(tensor, term))
        else:
            narrow = [int(term.sizes[w]) - sum(around.get(w, (0, 0))) for w in tensor.wires]
            x = given[tensor.name].reshape(narrow)
            pads = [around.get(w, (0, 0)) for w in tensor.wires]
            arrays.append(np.pad(x, pads, constant_values=1.0))
        terms.append("".join(letters[w] for w in tensor.wires))
    have = [w for w in opened if any(w in t.wires for t in term.tensors)]
    out = "".join(letters[w] for w in have)
    made = opt_einsum.contract(f"{','.join(terms)}->{out}", *arrays)
    return np.asarray(made).reshape([int(term.sizes[w]) if w in have else 1 for w in opened])


def _dense(relation: Relation, term: Network) -> Array:
    """The counts of a relation."""
    grid = np.indices([int(term.sizes[w]) for w in relation.wires])
    at = dict(zip(relation.wires, grid, strict=True))

    def value(form: Linear) -> Array:
        return np.asarray(sum((int(c) * at[w] for w, c in form.terms), int(form.constant)))

    total = np.zeros(grid.shape[1:])
    for piece in relation.pieces:
        holds = np.ones(grid.shape[1:], bool)
        for e in piece.equations:
            form = value(e.form)
            holds &= (form if e.modulus is None else form % int(e.modulus)) == 0
        for bound in piece.bounds:
            holds &= value(bound) >= 0
        total += holds
    return total


def _widened(term: Network, opened: Sequence[str]) -> tuple[Network, Mapping[str, tuple[int, int]]]:
    """The network with the rows beyond the borders of its convolutions, and how many each wire has
    before and after it."""
    around: dict[str, tuple[int, int]] = {}
    held = {w for t in term.tensors if isinstance(t, Operand) for w in t.wires}
    for _, relation in term.relations():
        form = conv_form(relation, term.sizes)
        if form is None or gram_form(relation, term.sizes) is not None:
            continue
        for name, (low, high) in _beyond(form, opened, held).items():
            before, after = around.get(name, (0, 0))
            around[name] = max(before, low), max(after, high)
    around = {w: pair for w, pair in around.items() if any(pair)}
    sizes = {w: int(n) + sum(around.get(w, (0, 0))) for w, n in term.sizes.items()}

    def shifted(form: Linear) -> Linear:
        for name, (before, _) in around.items():
            form = form.put(name, wire(name).plus(-before))
        return form

    def moved(piece: Piece) -> Piece:
        return piece.map(shifted)

    tensors = tuple(
        replace(t, pieces=tuple(map(moved, t.pieces))) if isinstance(t, Relation) else t
        for t in term.tensors
    )
    return replace(term, tensors=tensors, sizes=sizes), around


def _beyond(
    form: ConvForm, opened: Sequence[str], held: Container[str]
) -> dict[str, tuple[int, int]]:
    """Rows before and after that a convolution reaches of its input, or of its output where the
    input is open or no operand has it."""
    if form.i not in opened and form.i in held:
        return {form.i: (max(int(form.P), 0), max(int(form.right), 0))}
    if form.o in opened:
        return {}
    stride, reach = int(form.S), int(form.D) * (int(form.K) - 1)
    first = -((reach - int(form.P)) // stride)  # the least o with S·o + D·(K − 1) − P ≥ 0
    last = (int(form.I) - 1 + int(form.P)) // stride
    return {form.o: (max(-first, 0), max(last - int(form.O) + 1, 0))}
