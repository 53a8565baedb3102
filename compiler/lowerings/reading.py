"""Relations read from the input's side: pads, windows and steps for (o, k), picks for an index
map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from diagrammar import program as ops
from diagrammar.ir.diagram import product
from diagrammar.ir.index_map import IndexMap, index_map
from diagrammar.ir.relation import ConvForm, Relation
from diagrammar.ir.scalar import Dim, equal, expand, nonnegative
from diagrammar.ir.tree import Apply, Tree, applies, positions, walk
from diagrammar.lowerings.registry import lowering as registered
from diagrammar.program.writer import Value

if TYPE_CHECKING:
    from diagrammar.lowerings.lower import Lowering


@registered(
    law="windows[…o,k] = Σ_i X[…i]·Π[i,o,k]: the padded X at S·o + D·k",
    example="""
    size n := 2, i := 6, k := 3
    tensor X[n, i]
    pattern P[i, o, k] = conv(padding=1)
    Y[n, o, k] = X[n, i] * P[i, o, k]
""",
)
def windows(lowering: Lowering, tree: Apply, factor: Any) -> Value:
    """Padding for all relations of a chain at once, then a window or a step for each."""
    chain, places = [lowering.form(tree.at)], [tree.at]
    (child,) = tree.parts
    while _reads_on(lowering, child, chain):
        assert isinstance(child, Apply)
        chain.append(lowering.form(child.at))
        places.append(child.at)
        (child,) = child.parts
    value = lowering.value(child)
    padding = {f.i: reading_pad(f) for f in reversed(chain)}
    around = {w: p for w, p in padding.items() if _padded(p)}
    gaps = any(reads_gaps(f, child, lowering.form) for f in chain)
    with lowering.about(places):
        value = lowering.writer.pad(value, around, gaps=gaps)
        for form in reversed(chain):
            value = _windows(lowering, value, form, padding[form.i])
    return lowering.writer.scale(value, factor)


def _reads_on(lowering: Lowering, child: Tree, chain: Sequence[ConvForm]) -> bool:
    if not isinstance(child, Apply) or child.lowering != "windows":
        return False
    return _leads_elsewhere(lowering.form(child.at), chain)


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


@registered(
    law="Σ_s X[…s]·[s = f(a)] = X[…f(a)]",
    example="""
    size n := 2, s := 5, a := 7
    tensor X[n, s]
    pattern P[s, a] = [s = a, a <= 2] + [s = a - 3, a >= 3, a <= 6]
    Y[n, a] = X[n, s] * P[s, a]
""",
)
def gathering(lowering: Lowering, tree: Apply, factor: Any) -> Value:
    """Entries picked along the source of an index map."""
    found, value = _mapped(lowering, tree)
    axis = value.axis(found.source)
    before, after = list(value.wires[:axis]), list(value.wires[axis + 1 :])
    whole = ((0, lowering.writer.sizes[found.source], 1),)
    step = value.step
    if found.runs != whole:
        together, name = _together(lowering, found)
        shape = [*lowering.writer.shape(before), together, *lowering.writer.shape(after)]
        pick = ops.Gather(value.step, axis, found.runs)
        step = lowering.writer.step(pick, shape, [*before, name, *after])
    made = lowering.writer.ungroup(step, [*before, *found.along, *after])
    return lowering.writer.scale(made, factor)


@registered(
    law="Σ_a X[…a]·[s = f(a)] = the sum of those X[…a] with f(a) = s",
    example="""
    size n := 2, s := 5, a := 7
    tensor X[n, a]
    pattern P[s, a] = [s = a, a <= 2] + [s = a - 3, a >= 3, a <= 6]
    Y[n, s] = X[n, a] * P[s, a]
""",
)
def scattering(lowering: Lowering, tree: Apply, factor: Any) -> Value:
    """Entries added back to the source of an index map."""
    found, value = _mapped(lowering, tree)
    together, name = _together(lowering, found)
    rest = [w for w in value.wires if w not in found.along]
    before = [w for w in rest if value.axis(w) < value.axis(found.along[0])]
    after = rest[len(before) :]
    value = lowering.writer.permute(value, [*before, *found.along, *after])
    shape = [*lowering.writer.shape(before), together, *lowering.writer.shape(after)]
    step = lowering.writer.reshape(value.step, shape, [*before, name, *after])
    extent = lowering.writer.sizes[found.source]
    back = ops.Scatter(step, len(before), extent, found.runs)
    made = lowering.writer.value(back, [*before, found.source, *after])
    return lowering.writer.scale(made, factor)


def _mapped(lowering: Lowering, tree: Apply) -> tuple[IndexMap, Value]:
    relation = lowering.network.tensors[tree.at]
    assert isinstance(relation, Relation)
    found = index_map(relation, lowering.network.sizes)
    assert found is not None
    return found, lowering.value(tree.parts[0])


def _together(lowering: Lowering, found: IndexMap) -> tuple[Dim, str]:
    """The size and name of the wires along a map as one axis."""
    size = product(lowering.writer.sizes[w] for w in found.along)
    return size, found.along[0] if len(found.along) == 1 else f"({' '.join(found.along)})"


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
    spreads = (node for node in walk(child) if applies(node, "transposed windows"))
    return any(form_of(at).i == form.i for node in spreads for at in positions(node))


def reading_pad(form: ConvForm) -> tuple[Dim, Dim]:
    """Zeros that reading needs before and after the input; none for a view."""
    if form.relation.view is not None:
        return 0, 0
    right = form.right
    if isinstance(form.P, int) and isinstance(right, int):
        return max(form.P, 0), max(right, 0)
    return form.P, right
