"""Library calls: convolution, transposed convolution and weight gradient, and the layout that they
want."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from diagrammar import program as ops
from diagrammar.ir.diagram import product
from diagrammar.ir.relation import ConvForm
from diagrammar.ir.scalar import Dim, equal, expand
from diagrammar.ir.tree import Apply
from diagrammar.lowerings.native_roles import Layout, extra, layout, output_padding
from diagrammar.lowerings.registry import lowering as registered
from diagrammar.program.writer import Value, Writer

if TYPE_CHECKING:
    from diagrammar.lowerings.lower import Lowering


@registered(
    law="Σ_ik X[b,c,i]·Π[i,o,k]·W[d,c,k]: a library convolution",
    example="""
    size n := 2, i := 6, k := 3, c := 3, d := 2
    tensor X[n, c, i]
    tensor W[d, c, k]
    pattern P[i, o, k] = conv(padding=1)
    Y[n, d, o] = X[n, c, i] * P[i, o, k] * W[d, c, k]
""",
)
def convolution(lowering: Lowering, tree: Apply, factor: Any) -> Value:
    """A library convolution."""
    return _called(lowering, tree, factor, _convolution)


@registered(
    law="Σ_ok V[b,d,o]·Π[i,o,k]·W[d,c,k]: a library transposed convolution",
    example="""
    size n := 2, i := 6, k := 3, c := 3, d := 2
    tensor V[n, d, o]
    tensor W[d, c, k]
    pattern P[i, o, k] = conv(padding=1)
    Y[n, c, i] = V[n, d, o] * P[i, o, k] * W[d, c, k]
""",
)
def transposed_convolution(lowering: Lowering, tree: Apply, factor: Any) -> Value:
    """A library convolution's input gradient."""
    return _called(lowering, tree, factor, _transposed)


@registered(
    law="Σ_bio X[b,c,i]·Π[i,o,k]·V[b,d,o]: a library weight gradient",
    example="""
    size n := 2, i := 6, k := 3, c := 3, d := 2
    tensor X[n, c, i]
    tensor V[n, d, o]
    pattern P[i, o, k] = conv(padding=1)
    Y[d, c, k] = X[n, c, i] * P[i, o, k] * V[n, d, o]
""",
)
def weight_gradient(lowering: Lowering, tree: Apply, factor: Any) -> Value:
    """A library convolution's weight gradient."""
    return _called(lowering, tree, factor, _weight_gradient)


def _called(
    lowering: Lowering,
    tree: Apply,
    factor: Any,
    write: Callable[[Writer, Value, Value, list[ConvForm], Layout], Value],
) -> Value:
    """Two results and the relations between them as one library call."""
    left, right = (lowering.value(part) for part in tree.parts)
    forms = [lowering.form(at) for at in tree.relations]
    spatial = {w for f in forms for w in (f.i, f.o, f.k) if w is not None}
    roles = layout(left.wires, right.wires, lowering.needed(tree), spatial)
    return lowering.writer.scale(write(lowering.writer, left, right, forms, roles), factor)


def _grouped(writer: Writer, value: Value, *axes: Sequence[str]) -> int:
    """A value as a library wants it: one axis for each list of wires (none: size one)."""
    flat = [w for axis in axes for w in axis]
    ordered = writer.permute(value, flat)
    names = [a[0] if len(a) == 1 else f"({' '.join(a)})" for a in axes]
    return writer.group(ordered, axes, names)


def _convolution(writer: Writer, x: Value, w: Value, forms: list[ConvForm], roles: Layout) -> Value:
    i, o, k = _ends(forms)
    data = _grouped(writer, x, roles.left, [*roles.group, *roles.summed], *i)
    kernel = _grouped(writer, w, [*roles.group, *roles.right], roles.summed, *k)
    computed = [expand(f.O + extra(f)) for f in forms]
    shape = [*_sizes(writer, roles.left, (*roles.group, *roles.right)), *computed]
    step = writer.step(
        ops.Convolution(data, kernel, *_geometry(forms), _groups(writer, roles)),
        shape,
        [*_labels(roles.left, (*roles.group, *roles.right)), *(w[0] for w in o)],
    )
    for axis, (form, have) in enumerate(zip(forms, computed, strict=True), start=2):
        if not equal(have, form.O):
            shape[axis] = form.O
            names = writer.steps[step].axes
            step = writer.step(ops.Slice(step, axis, 0, form.O), shape, names)
    wires = (*roles.left, *roles.group, *roles.right, *(w[0] for w in o))
    return writer.ungroup(step, wires)


def _transposed(writer: Writer, v: Value, w: Value, forms: list[ConvForm], roles: Layout) -> Value:
    i, o, k = _ends(forms)
    data = _grouped(writer, v, roles.left, [*roles.group, *roles.summed], *o)
    kernel = _grouped(writer, w, [*roles.group, *roles.summed], roles.right, *k)
    stride, padding, dilation = _geometry(forms)
    output = tuple(output_padding(f) for f in forms)
    operation = ops.TransposedConvolution(
        data, kernel, stride, padding, output, dilation, _groups(writer, roles)
    )
    shape = [*_sizes(writer, roles.left, (*roles.group, *roles.right)), *(f.I for f in forms)]
    names = [*_labels(roles.left, (*roles.group, *roles.right)), *(w[0] for w in i)]
    step = writer.step(operation, shape, names)
    wires = (*roles.left, *roles.group, *roles.right, *(w[0] for w in i))
    return writer.ungroup(step, wires)


def _weight_gradient(
    writer: Writer, x: Value, v: Value, forms: list[ConvForm], roles: Layout
) -> Value:
    i, o, k = _ends(forms)
    data = _grouped(writer, x, roles.summed, [*roles.group, *roles.left], *i)
    cotangent = _grouped(writer, v, roles.summed, [*roles.group, *roles.right], *o)
    stride, padding, dilation = _geometry(forms)
    surplus = [bool(extra(f)) for f in forms]
    if any(surplus):  # no windows that the call would add at the end: rows there meet nothing
        made, pairs = writer.steps[data], list(zip(surplus, forms, strict=True))
        around = tuple((f.P, f.right) if more else (0, 0) for more, f in pairs)
        ends = [expand(f.I + a + b) for (a, b), f in zip(around, forms, strict=True)]
        padded = ops.Pad(data, ((0, 0), (0, 0), *around))
        data = writer.step(padded, (*made.shape[:2], *ends), made.axes)
        padding = tuple(0 if more else f.P for more, f in pairs)
    groups = _groups(writer, roles)
    operation = ops.WeightGradient(data, cotangent, stride, padding, dilation, groups)
    shape = [*_sizes(writer, (*roles.group, *roles.right), roles.left), *(f.K for f in forms)]
    names = _labels((*roles.group, *roles.right), roles.left, *k)
    step = writer.step(operation, shape, names)
    wires = (*roles.group, *roles.right, *roles.left, *(w for axis in k for w in axis))
    return writer.ungroup(step, wires)


def _ends(forms: list[ConvForm]) -> tuple[list[list[str]], list[list[str]], list[list[str]]]:
    """The wires i, o and k of each relation, as axes; a kernel of size one has none."""
    return (
        [[f.i] for f in forms],
        [[f.o] for f in forms],
        [[] if f.k is None else [f.k] for f in forms],
    )


def _geometry(
    forms: list[ConvForm],
) -> tuple[tuple[Dim, ...], tuple[Dim, ...], tuple[Dim, ...]]:
    return (
        tuple(f.S for f in forms),
        tuple(f.P for f in forms),
        tuple(f.D for f in forms),
    )


def _groups(writer: Writer, roles: Layout) -> Dim:
    return product(writer.sizes[w] for w in roles.group)


def _sizes(writer: Writer, *axes: Sequence[str]) -> list[Dim]:
    return [product(writer.sizes[w] for w in axis) for axis in axes]


def _labels(*axes: Sequence[str]) -> list[str]:
    return [a[0] if len(a) == 1 else f"({' '.join(a)})" for a in axes]
