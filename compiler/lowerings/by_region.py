"""Gram matrices of windows by stretches of rows, in all dimensions at once.

Σ_o Π[i,o,k]·Π[i′,o,k′] says which rows meet: those D·(k′ − k) apart in the column of k, in each
dimension (`ir.autocorrelation`). What rows a column has changes only near the edges: there are a
few stretches of rows that the same k have. The weight gradient of x by the rows of a stretch of
itself holds all distances, and each block k, k′ is a sum of slices of those. Only sums: nothing
cancels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from diagrammar import program as ops
from diagrammar.ir.autocorrelation import GramForm, gram_form
from diagrammar.ir.diagram import Network, Operand, product
from diagrammar.ir.relation import Relation
from diagrammar.ir.tree import Apply, Leaf
from diagrammar.lowerings.registry import lowering as registered
from diagrammar.lowerings.window_rows import span
from diagrammar.program.writer import Value

if TYPE_CHECKING:
    from diagrammar.lowerings.lower import Lowering


def recognise(network: Network, open_wires: Sequence[str]) -> Apply | None:
    """The tree for an operand with itself and paired relations between; None for anything else."""
    operands = [n for n, t in enumerate(network.tensors) if isinstance(t, Operand)]
    relations = [n for n, t in enumerate(network.tensors) if isinstance(t, Relation)]
    forms = [_form(network, n) for n in relations]
    if len(operands) != 2 or not forms or any(f is None for f in forms):
        return None
    found = [f for f in forms if f is not None]
    if not all(isinstance(n, int) and n > 0 for n in network.sizes.values()):
        return None
    left, right = (network.tensors[n] for n in operands)
    assert isinstance(left, Operand)
    assert isinstance(right, Operand)
    if found[0].i in right.wires:
        left, right = right, left
        operands.reverse()
    if left.name != right.name or [len(a) for a in left.axes] != [len(a) for a in right.axes]:
        return None
    if _roles(left.wires, right.wires, found, open_wires) is None:
        return None
    if any({f.k, f.k2} - set(open_wires) for f in found):
        return None
    sides = Leaf(operands[0]), Leaf(operands[1])
    return Apply("stretches of rows", sides, tuple(relations))


def _form(network: Network, at: int) -> GramForm | None:
    relation = network.tensors[at]
    assert isinstance(relation, Relation)
    return gram_form(relation, network.sizes)


class _Axes:
    """The wires of the left side by role: summed first, groups, rows, and places in order."""

    def __init__(self, first: list[str], group: list[str], rows: list[str], places: list[str]):
        self.first, self.group, self.rows, self.places = first, group, rows, places


def _roles(
    left: Sequence[str], right: Sequence[str], forms: Sequence[GramForm], open_wires: Sequence[str]
) -> _Axes | None:
    """The roles; None where the two sides differ in more than the rows and what is paired."""
    partner = {f.i: f.i2 for f in forms}
    if len(set(left)) < len(left) or len(set(right)) < len(right):
        return None
    rows = []
    for a, b in zip(left, right, strict=True):
        if a in partner:
            if partner[a] != b:
                return None
        elif a != b:
            rows.append(a)
            if a not in open_wires or b not in open_wires or a in right or b in left:
                return None
    if not set(partner) <= set(left) or any(f.i in open_wires for f in forms):
        return None
    shared = [w for w in left if w in right]
    group = [w for w in shared if w in open_wires]
    summed = [w for w in shared if w not in open_wires]
    first = [w for w in summed if left.index(w) < min(left.index(i) for i in partner)][:1]
    places = [w for w in left if w in partner or (w in summed and w not in first)]
    return _Axes(first, group, rows, places) if len(places) <= 3 else None


@registered(
    law="Σ_o windows·windows[k, k′] = Σ over stretches of rows of X: weight gradients by itself",
    example="""
    size n := 2, c := 2, i := 9, k := 3
    tensor X[n, c, i]
    pattern P[i, o, k] = conv(padding=1)
    A[c, k, c', k'] = X[n, c, i] * P[i, o, k] * X[n, c', i'] * P[i', o, k']
""",
    scales=True,
)
def stretches_of_rows(lowering: Lowering, tree: Apply, factor: Any) -> Value:
    """The Gram matrix, times a scalar."""
    writer, network = lowering.writer, lowering.network
    left, right = (lowering.value(part) for part in tree.parts)
    forms = {f.i: f for f in (_form(network, n) for n in tree.relations) if f is not None}
    axes = _roles(left.wires, right.wires, list(forms.values()), lowering.open)
    assert axes is not None
    value = writer.permute(left, [*axes.first, *axes.group, *axes.rows, *axes.places])
    grouped = [axes.first, [*axes.group, *axes.rows], *([p] for p in axes.places)]
    names = [a[0] if len(a) == 1 else f"({' '.join(a)})" for a in grouped]
    x = writer.group(value, grouped, names)
    sizes = {w: int(network.sizes[w]) for w in left.wires}
    kernel = tuple(int(forms[p].K) if p in forms else 1 for p in axes.places)
    operation = ops.WindowGram(
        x,
        kernel,
        tuple(stretches(forms[p]) if p in forms else ((0, sizes[p], (0,)),) for p in axes.places),
        tuple(int(forms[p].S) if p in forms else 1 for p in axes.places),
        tuple(int(forms[p].D) if p in forms else 1 for p in axes.places),
        int(product(sizes[w] for w in axes.group)),
        factor,
    )
    other = {a: b for a, b in zip(left.wires, right.wires, strict=True) if a != b}
    rows = int(product(sizes[w] for w in axes.rows))
    ends = [["k"] * len(kernel), ["k'"] * len(kernel)]
    shape = (operation.groups, rows, *kernel, rows, *kernel)
    made = writer.step(operation, shape, ("g", "c", *ends[0], "c'", *ends[1]))
    columns = [
        [getattr(forms[p], letter) for p in axes.places if p in forms] for letter in ("k", "k2")
    ]
    wires = [*axes.group, *axes.rows, *columns[0], *(other[w] for w in axes.rows), *columns[1]]
    return writer.ungroup(made, wires)


def stretches(form: GramForm) -> ops.Stretches:
    """Runs of rows, in steps of the stride, and which kernel positions have them."""
    spans = {k: span(form, k, 0) for k in range(int(form.K))}
    classes: dict[int, list[int]] = {}
    for k, (first, last) in spans.items():
        if first < last:
            classes.setdefault(first % int(form.S), []).append(k)
    found: list[tuple[int, int, tuple[int, ...]]] = []
    for members in classes.values():
        cuts = sorted({end for k in members for end in spans[k]})
        for start, stop in pairwise(cuts):
            has = tuple(k for k in members if spans[k][0] <= start and stop <= spans[k][1])
            if has:
                found.append((start, stop, has))
    return tuple(sorted(found))
