"""Relations read from the input's side: pads, windows and steps for (o, k), picks for an index
map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from diagrammar import program as ops
from diagrammar.ir.diagram import product
from diagrammar.ir.index_map import index_map
from diagrammar.ir.relation import ConvForm, Relation
from diagrammar.ir.scalar import Dim, equal, expand, nonnegative
from diagrammar.ir.tree import Pick, Read, Return, Spread, Tree, walk
from diagrammar.program.writer import Value

if TYPE_CHECKING:
    from diagrammar.lowerings.lower import Lowering


def read(lowering: Lowering, tree: Read) -> Value:
    """Padding for all relations of a chain at once, then a window or a step for each."""
    chain, places = [lowering.form(tree.at)], [tree.at]
    child = tree.child
    while isinstance(child, Read) and _leads_elsewhere(lowering.form(child.at), chain):
        chain.append(lowering.form(child.at))
        places.append(child.at)
        child = child.child
    value = lowering.value(child)
    padding = {f.i: reading_pad(f) for f in reversed(chain)}
    around = {w: p for w, p in padding.items() if _padded(p)}
    gaps = any(reads_gaps(f, child, lowering.form) for f in chain)
    with lowering.about(places):
        value = lowering.writer.pad(value, around, gaps=gaps)
        for form in reversed(chain):
            value = _windows(lowering, value, form, padding[form.i])
    return value


def _leads_elsewhere(form: ConvForm, chain: Sequence[ConvForm]) -> bool:
    """Whether a relation makes none of the wires along which a chain reads on."""
    return all(later.i not in (form.o, form.k) for later in chain)


def _windows(lowering: Lowering, value: Value, form: ConvForm, padding: tuple[Dim, Dim]) -> Value:
    start = expand(-form.P) if not _padded(padding) else expand(padding[0] - form.P)
    o, k = apart(lowering, value, form.o), None
    if form.k is None:
        value = lowering.writer.slice(value, form.i, start, form.O, form.S, o)
    else:
        k = apart(lowering, value, form.k)
        if not equal(start, 0):
            extent = lowering.writer.steps[value.step].shape[value.axis(form.i)]
            value = lowering.writer.slice(value, form.i, start, expand(extent - start), 1, form.i)
        value = lowering.writer.window(value, form.i, o, k, stride=form.S, dilation=form.D)
    for own, made in ((form.o, o), (form.k, k)):
        if made is not None and made != own:
            value = lowering.writer.diagonal(value, value.axis(str(own)), value.axis(made))
    return value


def apart(lowering: Lowering, value: Value, wire: str) -> str:
    """The wire, or a stand-in where the value has it already (a diagonal follows)."""
    if wire not in value.wires:
        return wire
    stand_in = f"{wire}*"
    lowering.writer.sizes = {**lowering.writer.sizes, stand_in: lowering.writer.sizes[wire]}
    return stand_in


def picked(lowering: Lowering, tree: Pick | Return) -> Value:
    """An index map: entries picked along the source, or added back to it."""
    relation = lowering.network.tensors[tree.at]
    assert isinstance(relation, Relation)
    found = index_map(relation, lowering.network.sizes)
    assert found is not None
    value = lowering.value(tree.child)
    together = product(lowering.writer.sizes[w] for w in found.along)
    name = found.along[0] if len(found.along) == 1 else f"({' '.join(found.along)})"
    if isinstance(tree, Return):
        rest = [w for w in value.wires if w not in found.along]
        before = [w for w in rest if value.axis(w) < value.axis(found.along[0])]
        after = rest[len(before) :]
        value = lowering.writer.permute(value, [*before, *found.along, *after])
        shape = [*lowering.writer.shape(before), together, *lowering.writer.shape(after)]
        step = lowering.writer.reshape(value.step, shape, [*before, name, *after])
        extent = lowering.writer.sizes[found.source]
        back = ops.Scatter(step, len(before), extent, found.runs)
        return lowering.writer.value(back, [*before, found.source, *after])
    axis = value.axis(found.source)
    before, after = list(value.wires[:axis]), list(value.wires[axis + 1 :])
    whole = ((0, lowering.writer.sizes[found.source], 1),)
    step = value.step
    if found.runs != whole:
        shape = [*lowering.writer.shape(before), together, *lowering.writer.shape(after)]
        pick = ops.Gather(value.step, axis, found.runs)
        step = lowering.writer.step(pick, shape, [*before, name, *after])
    return lowering.writer.ungroup(step, [*before, *found.along, *after])


def _padded(pair: tuple[Dim, Dim]) -> bool:
    return not (equal(pair[0], 0) and equal(pair[1], 0))


def reads_gaps(form: ConvForm, child: Tree, form_of: Callable[[int], ConvForm]) -> bool:
    """Whether rows that reading adds around the input are no padding, but in no sum.

    Without a kernel either side may be the input. And where the value was spread to the input's
    rows from a relation's other end, as in a product of windows of a transposed convolution, these
    rows are summed over; those beyond are not.
    """
    if all(nonnegative(-n) for n in reading_pad(form)):
        return False
    if form.k is None:
        return True
    spreads = (node for node in walk(child) if isinstance(node, Spread))
    return any(form_of(node.at).i == form.i for node in spreads)


def reading_pad(form: ConvForm) -> tuple[Dim, Dim]:
    """Zeros that reading needs before and after the input; none for a view."""
    if form.relation.view is not None:
        return 0, 0
    right = form.right
    if isinstance(form.P, int) and isinstance(right, int):
        return max(form.P, 0), max(right, 0)
    return form.P, right
