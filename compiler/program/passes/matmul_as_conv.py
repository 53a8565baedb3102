"""Products as convolutions: a contraction that is a 1×1 convolution or its weight gradient.

Libraries have other code for the two; which is faster depends on the machine and the sizes, so both
are candidates.

On one thread, PyTorch 2.13 makes a product of matrices of a convolution of one tap with fewer than
`IMAGES` images, unless it has a stride or a dilation (`use_mkldnn` in ATen's Convolution.cpp). A
dilation changes nothing about one tap, so these have one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile

from diagrammar import program as ops
from diagrammar.ir.diagram import product
from diagrammar.ir.scalar import nonnegative
from diagrammar.program.operations.library import SMALL
from diagrammar.program.passes.registry import Draft, Replacement, Stage, program_pass
from diagrammar.program.writer import Value, Writer
from diagrammar.rewrite.rule import Miss

IMAGES = 16
"""Images below which PyTorch has a product of matrices for a convolution of one plain tap."""
TEXT = """
size n := 3, c := 4, d := 6, p := 5
tensor X[n, c, p]
tensor W[d, {channel}]
Y[n, d, p] = X[n, c, p] * W[d, {channel}]
"""


@program_pass(
    law="Σ_c X[n,c,p]·W[d,c]  is a convolution with one tap;  "
    "Σ_{n,p} X[n,c,p]·V[n,d,p]  its weight gradient",
    example=TEXT.format(channel="c"),
    near_miss=TEXT.format(channel="p"),
    reason="a label has no part in a convolution or its weight gradient",
    stage=Stage.CALLS,
    choice="products as convolutions",
    native=True,
    plain=True,
    excludes=("syrk",),
)
def matmul_as_conv(step: ops.Step, program: Draft) -> Replacement | Miss:
    """A contraction as a native call, where it fits."""
    op = step.operation
    if not isinstance(op, ops.Einsum) or len(op.values) != 2:
        return Miss("no product of two values")
    if not all(isinstance(n, int) for n in _sizes(op, program.steps).values()):
        return Miss("sizes are open")
    roles = _roles(op, program.steps)
    if roles is None:
        return Miss("a label has no part in a convolution or its weight gradient")
    kind = "weight gradient" if roles.gradient else "convolution with one tap"
    return Replacement(partial(_written, step, op, roles), f"the labels are those of a {kind}")


def _written(step: ops.Step, op: ops.Einsum, roles: _Roles, writer: Writer) -> int:
    return _Rewriting(writer, op, roles, step.remark).step()


@dataclass(frozen=True, slots=True)
class _Roles:
    """The labels of a contraction: `data` and `other` number its sides, `data` the convolved one.

    Data stands as (batch, group, channels, places), where a convolution may have no batch; its
    other side has group, kept and channels in any order, a weight gradient's stands as (batch,
    group, kept, places).
    """

    gradient: bool
    data: int
    batch: tuple[int, ...]
    group: tuple[int, ...]
    channels: tuple[int, ...]
    kept: tuple[int, ...]
    places: tuple[int, ...]


def _roles(op: ops.Einsum, steps: Sequence[ops.Step]) -> _Roles | None:
    """The roles of a product's labels; None if it is no such call."""
    sizes = _sizes(op, steps)
    sides = (_convolution(op, side, sizes) for side in (0, 1))
    found = [roles for roles in (_gradient(op), *sides) if roles]
    return max(found, key=lambda roles: roles.gradient or bool(roles.batch), default=None)


def _convolution(op: ops.Einsum, data: int, sizes: dict[int, ops.Dim]) -> _Roles | None:
    x, w = op.terms[data], op.terms[1 - data]
    batch = tuple(takewhile(lambda n: n not in w, x))
    places = tuple(reversed(tuple(takewhile(lambda n: n not in w, reversed(x)))))
    inner = x[len(batch) : len(x) - len(places)]
    group = tuple(takewhile(lambda n: n in op.out, inner))
    channels = inner[len(group) :]
    kept = tuple(n for n in op.out if n in w and n not in x)
    if not (places and channels and kept):
        return None
    if not batch and product(sizes[n] for n in x) <= SMALL:
        return None
    if any(n in op.out or n not in w for n in channels):
        return None
    if set(w) != {*group, *channels, *kept} or not {*batch, *places} <= set(op.out):
        return None
    return _Roles(False, data, batch, group, channels, kept, places)


def _gradient(op: ops.Einsum) -> _Roles | None:
    first, second = op.terms
    shared = [n for n in first if n in second and n not in op.out]
    batch = tuple(takewhile(lambda n: n in shared, first))
    places = tuple(n for n in shared if n not in batch)
    group = tuple(n for n in first if n in second and n in op.out)
    own = [tuple(n for n in t if n not in (*shared, *group)) for t in op.terms]
    if not (places and own[0] and own[1]) or not {*own[0], *own[1]} <= set(op.out):
        return None
    if any(t != (*batch, *group, *o, *places) for t, o in zip(op.terms, own, strict=True)):
        return None
    # the result is [kept, channels]: the side whose labels come last has the channels
    data = 0 if op.out.index(own[0][0]) > op.out.index(own[1][0]) else 1
    return _Roles(True, data, batch, group, own[data], own[1 - data], places)


def _sizes(op: ops.Einsum, steps: Sequence[ops.Step]) -> dict[int, ops.Dim]:
    pairs = zip(op.values, op.terms, strict=True)
    return {n: s for v, t in pairs for n, s in zip(t, steps[v].shape, strict=True)}


class _Rewriting:
    """One contraction written as a native call."""

    def __init__(self, writer: Writer, op: ops.Einsum, roles: _Roles, remark: str) -> None:
        self.writer, self.op, self.roles, self.remark = writer, op, roles, remark
        names: dict[int, str] = {}
        for value, term in zip(op.values, op.terms, strict=True):
            for label, axis in zip(term, writer.steps[value].axes, strict=True):
                names.setdefault(label, axis)
        self.wire = {n: f"{n}:{name}" for n, name in names.items()}  # unique, unlike the names
        self.name = names
        sizes = _sizes(op, writer.steps)
        writer.sizes = {self.wire[n]: size for n, size in sizes.items()}
        # a library takes up to three dimensions of places; more, or none worth a dimension, are one
        self.places = [[n] for n in roles.places]
        if len(roles.places) > 3:
            self.places = [list(roles.places)]

    def step(self) -> int:
        """The number of the result's step, with the axes that the contraction had."""
        r = self.roles
        data = self._value(r.data, (*r.batch, *r.group, *r.channels, *r.places))
        x = self._grouped(data, r.batch, (*r.group, *r.channels), *self.places)
        ones = (1,) * len(self.places)
        few = not r.gradient and not nonnegative(self._size(r.batch) - IMAGES)
        dilation = (2,) * len(ones) if few else ones
        geometry = (ones, (0,) * len(ones), dilation, self._size(r.group))
        if r.gradient:
            other = self._value(1 - r.data, (*r.batch, *r.group, *r.kept, *r.places))
            v = self._grouped(other, r.batch, (*r.group, *r.kept), *self.places)
            shape = [self._size((*r.group, *r.kept)), self._size(r.channels), *ones]
            axes = [self._label((*r.group, *r.kept)), self._label(r.channels), *["k"] * len(ones)]
            made = self.writer.step(ops.WeightGradient(x, v, *geometry), shape, axes, self.remark)
            wires = [*r.group, *r.kept, *r.channels]
        else:
            units: list[Sequence[int]] = [()] * len(ones)
            kernel = self._kernel()
            w = self._grouped(kernel, (*r.group, *r.kept), r.channels, *units)
            result = [r.batch, (*r.group, *r.kept), *self.places]
            shape, axes = [*map(self._size, result)], [*map(self._label, result)]
            made = self.writer.step(ops.Convolution(x, w, *geometry), shape, axes, self.remark)
            wires = [*r.batch, *r.group, *r.kept, *r.places]
        value = Value(self._reshaped(made, wires), tuple(self.wire[n] for n in wires))
        if tuple(wires) == self.op.out:
            return value.step
        order = tuple(wires.index(n) for n in self.op.out)
        shape = [self.writer.sizes[self.wire[n]] for n in self.op.out]
        return self.writer.step(
            ops.Permute(value.step, order), shape, [self.name[n] for n in self.op.out]
        )

    def _kernel(self) -> Value:
        """The side that is not convolved, as (group, kept, channels). One that is transposed is
        copied here as a matrix: PyTorch copies those in blocks, but not what has more axes."""
        r = self.roles
        order, term = (*r.group, *r.kept, *r.channels), self.op.terms[1 - r.data]
        if term != (*r.channels, *r.kept):
            return self._value(1 - r.data, order)
        given = Value(self.op.values[1 - r.data], tuple(self.wire[n] for n in term))
        matrix = self._grouped(given, r.channels, r.kept)
        rows, columns = self._size(r.channels), self._size(r.kept)
        names = self._label(r.channels), self._label(r.kept)
        moved = self.writer.step(ops.Permute(matrix, (1, 0)), (columns, rows), names[::-1])
        made = self.writer.step(ops.Contiguous(moved), (columns, rows), names[::-1])
        return Value(self._reshaped(made, order), tuple(self.wire[n] for n in order))

    def _value(self, side: int, order: Sequence[int]) -> Value:
        """One side with its axes in an order."""
        term = self.op.terms[side]
        value = Value(self.op.values[side], tuple(self.wire[n] for n in term))
        if term == tuple(order):
            return value
        permuted = ops.Permute(value.step, tuple(term.index(n) for n in order))
        shape = [self.writer.sizes[self.wire[n]] for n in order]
        made = self.writer.step(permuted, shape, [self.name[n] for n in order])
        return Value(made, tuple(self.wire[n] for n in order))

    def _grouped(self, value: Value, *axes: Sequence[int]) -> int:
        wires = [[self.wire[n] for n in axis] for axis in axes]
        return self.writer.group(value, wires, [self._label(axis) for axis in axes])

    def _reshaped(self, made: int, labels: Sequence[int]) -> int:
        shape = [self.writer.sizes[self.wire[n]] for n in labels]
        return self.writer.reshape(made, shape, [self.name[n] for n in labels])

    def _size(self, labels: Sequence[int]) -> ops.Dim:
        return product(self.writer.sizes[self.wire[n]] for n in labels)

    def _label(self, labels: Sequence[int]) -> str:
        names = [self.name[n] for n in labels]
        return names[0] if len(names) == 1 else f"({' '.join(names)})"
