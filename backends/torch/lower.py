"""Rewrite a program into the operations that emitted torch code has, and drop steps that do
nothing.

Cuts become indices, an einsum of one value a sum, a disjoint fold and a dilation become pads and
reshapes. The text of an operation is decided in `operations`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from diagrammar import program as ops
from diagrammar.backends.torch.einsum import is_matmul
from diagrammar.backends.torch.joining import Flips, Range, Slices, joined, needed, pick
from diagrammar.ir import scalar
from diagrammar.program import Dim, Program, Step


@dataclass(frozen=True, slots=True)
class Lowered:
    """Steps (None for a step that was joined with a later one), the values to return, and the
    program's steps that each step computes."""

    steps: tuple[Step | None, ...]
    results: tuple[int, ...]
    origins: tuple[frozenset[int], ...] = ()


def lower(program: Program) -> Lowered:
    """Rewrite the program's steps into torch's operations; raises ValueError where torch has
    none."""
    builder = _Builder()
    value: dict[int, int] = {}
    origins: list[set[int]] = []
    for number, step in enumerate(program.steps):
        if program.frees:  # sharing a reshape would keep a copy in memory until a later step
            builder.reshaped.clear()
        operation = ops.reread(step.operation, value)
        value[number] = builder.put(replace(step, operation=operation))
        origins += [{number} for _ in builder.steps[len(origins) :]]
        origins[value[number]].add(number)
    results = tuple(value[number] for number in program.results)
    steps = joined(needed(builder.steps, results), results, origins)
    return Lowered(steps, results, tuple(map(frozenset, origins)))


class _Builder:
    """Appends steps, as simpler ones where that is possible."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.operands: dict[str, int] = {}
        self.reshaped: dict[Step, int] = {}

    def add(
        self, operation: Any, shape: Sequence[Dim], axes: Sequence[str], remark: str = ""
    ) -> int:
        """Append one step; the number of its value."""
        self.steps.append(Step(operation, tuple(shape), tuple(axes), remark))
        return len(self.steps) - 1

    def put(self, step: Step) -> int:
        """Append the steps that compute `step`; the number of its value."""
        op = step.operation
        if len(op.inputs) == 1 and self.is_nothing(op, step):
            return op.inputs[0]
        match op:
            case ops.Operand() if op.name in self.operands:
                return self.operands[op.name]
            case ops.Operand():
                number = self.add(op, step.shape, step.axes, step.remark)
                return self.operands.setdefault(op.name, number)
            case ops.Slice():
                return self.cut(step, {op.axis: (op.start, op.length, op.step)})
            case ops.Flip():
                return self.add(Flips(op.x, (op.axis,)), step.shape, step.axes, step.remark)
            case ops.Pad():
                return self.pad(op, step)
            case ops.Dilate():
                return self.dilate(op, step)
            case ops.Window() if scalar.equal(op.size, 1):
                shape, axes = step.shape[:-1], step.axes[:-1]
                firsts = ops.Slice(op.x, op.axis, 0, op.count, op.stride)
                x = self.put(Step(firsts, shape, axes, step.remark))
                return self.reshape(x, step.shape, step.axes)
            case ops.Fold() if _disjoint(op, self.shape(op.x)):
                return self.disjoint_fold(op, step)
            case ops.Fold():
                order = [
                    n for n in range(len(self.shape(op.x))) if n not in (op.windows, op.entries)
                ]
                x = self.permute(op.x, (*order, op.windows, op.entries))
                last = replace(op, x=x, windows=len(order), entries=len(order) + 1)
                return self.add(last, step.shape, step.axes, step.remark)
            case ops.Einsum():
                return self.einsum(op, step)
            case _:
                return self.add(op, step.shape, step.axes, step.remark)

    def is_nothing(self, op: ops.Operation, step: Step) -> bool:
        """Whether the result equals the input."""
        match op:
            case ops.Reshape() | ops.Expand() | ops.Slice():
                return same(step.shape, self.shape(op.x))
            case ops.Permute():
                return op.order == tuple(range(len(op.order)))
            case ops.Sum():
                return not op.axes
            case ops.Scale():
                return scalar.equal(op.factor, 1)
            case ops.Add() | ops.Concat():
                return same(step.shape, self.shape(op.values[0]))
            case ops.Dilate():
                return scalar.equal(op.step, 1)
            case ops.Pad():
                return all(scalar.equal(p, 0) for pair in op.padding for p in pair)
            case _:
                return False

    def shape(self, value: int) -> tuple[Dim, ...]:
        """The shape of a value."""
        return self.steps[value].shape

    def axes(self, value: int) -> tuple[str, ...]:
        """The names of a value's axes."""
        return self.steps[value].axes

    def permute(self, x: int, order: Sequence[int]) -> int:
        """Append a permutation."""
        shape, axes = self.shape(x), self.axes(x)
        step = Step(ops.Permute(x, tuple(order)), pick(shape, order), pick(axes, order))
        return self.put(step)

    def reshape(self, x: int, shape: Sequence[Dim], axes: Sequence[str]) -> int:
        """Append a reshape, unless the same one is there."""
        step = Step(ops.Reshape(x), tuple(shape), tuple(axes))
        if step not in self.reshaped:
            self.reshaped[step] = self.put(step)
        return self.reshaped[step]

    def cut(self, step: Step, ranges: Mapping[int, Range]) -> int:
        """Append slices, by axis."""
        every = tuple(ranges.get(axis) for axis in range(len(step.shape)))
        return self.add(Slices(step.operation.inputs[0], every), step.shape, step.axes, step.remark)

    def pad(self, op: ops.Pad, step: Step) -> int:
        """Append a padding; where it only cuts, an index, which is a view."""
        if not all(scalar.nonnegative(-p) for pair in op.padding for p in pair):
            return self.add(op, step.shape, step.axes, step.remark)
        cuts: dict[int, Range] = {
            axis: (-left, step.shape[axis], 1)
            for axis, (left, right) in enumerate(op.padding)
            if not (scalar.equal(left, 0) and scalar.equal(right, 0))
        }
        return self.cut(step, cuts)

    def dilate(self, op: ops.Dilate, step: Step) -> int:
        """Put step − 1 zeros behind each entry, and cut off the zeros behind the last one."""
        x, at = op.x, op.axis
        shape, axes = list(self.shape(x)), list(self.axes(x))
        name = axes[at]
        x = self.reshape(x, (*shape[: at + 1], 1, *shape[at + 1 :]), _opened(axes, at, "1"))
        padding = [(0, 0)] * (at + 1) + [(0, op.step - 1)] + [(0, 0)] * (len(shape) - at - 1)
        wide = (*shape[: at + 1], op.step, *shape[at + 1 :])
        x = self.add(ops.Pad(x, tuple(padding)), wide, _opened(axes, at, "zeros"))
        shape[at], axes[at] = shape[at] * op.step, f"({name} zeros)"
        x = self.reshape(x, shape, axes)
        last = replace(step, operation=ops.Slice(x, at, 0, step.shape[at]))
        return self.cut(last, {at: (0, step.shape[at], 1)})

    def disjoint_fold(self, op: ops.Fold, step: Step) -> int:
        """Fold windows that do not meet: pad each to the stride, join them, and crop."""
        order = [n for n in range(len(self.shape(op.x))) if n not in (op.windows, op.entries)]
        x = self.permute(op.x, (*order, op.windows, op.entries))
        *rest, o, k = self.shape(x)
        *names, o_name, k_name = self.axes(x)
        if not scalar.equal(op.dilation, 1):
            wide = op.dilation * (k - 1) + 1
            spread = Step(ops.Dilate(x, len(rest) + 1, op.dilation), (*rest, o, wide), self.axes(x))
            x, k = self.put(spread), wide
        if not scalar.equal(op.stride, k):
            padding = ((0, 0),) * (len(rest) + 1) + ((0, op.stride - k),)
            x = self.add(ops.Pad(x, padding), (*rest, o, op.stride), (*names, o_name, k_name))
        joined = (*names, f"({o_name} {k_name})")
        x = self.reshape(x, (*rest, o * op.stride), joined)
        crop = ((0, 0),) * len(rest) + ((-op.padding, op.size + op.padding - o * op.stride),)
        return self.put(replace(step, operation=ops.Pad(x, crop)))

    def einsum(self, op: ops.Einsum, step: Step) -> int:
        """Append a contraction: of one value as a sum and a permutation, of two in one step where
        the letters suffice."""
        if len(op.values) == 1:
            (term,) = op.terms
            stay_labels = [label for label in term if label in op.out]
            summed = tuple(axis for axis, label in enumerate(term) if label not in op.out)
            stay = [axis for axis in range(len(term)) if axis not in summed]
            x = op.values[0]
            shape, axes = pick(self.shape(x), stay), pick(self.axes(x), stay)
            x = self.put(Step(ops.Sum(x, summed), shape, axes))
            order = tuple(stay_labels.index(label) for label in op.out)
            return self.put(replace(step, operation=ops.Permute(x, order)))
        if len(op.values) != 2:
            raise ValueError(f"the torch backend contracts two values a step, not {len(op.values)}")
        if len({label for term in op.terms for label in term}) > 52:
            return self.wide_einsum(op, step)
        for x, matrix in ((0, 1), (1, 0)):
            if (at := _mode(op.terms[x], op.terms[matrix], op.out)) is not None:
                return self.mode_product(op, step, x, at)
        (first, second), out = op.terms, op.out
        heads = [_heads(term, op) for term in (first, second, out)]
        if not is_matmul(first, second, out) and is_matmul(heads[0], heads[1], heads[2]):
            return self.grouped(op, step)
        return self.add(op, step.shape, step.axes, step.remark)

    def mode_product(self, op: ops.Einsum, step: Step, x: int, axis: int) -> int:
        """Multiply one axis by a matrix. The axes behind it become one, so that no permuted copy is
        made."""
        shape, axes = self.shape(op.values[x]), self.axes(op.values[x])
        name, size = f"({' '.join(axes[axis + 1 :])})", math.prod(shape[axis + 1 :])
        y = self.reshape(op.values[x], (*shape[: axis + 1], size), (*axes[: axis + 1], name))
        label = max(label for term in op.terms for label in term) + 1
        terms, values = list(op.terms), list(op.values)
        terms[x], values[x] = (*op.terms[x][: axis + 1], label), y
        out = (*op.out[: axis + 1], label)
        contraction = ops.Einsum(tuple(values), tuple(terms), out)
        names = (*step.axes[: axis + 1], name)
        y = self.add(contraction, (*step.shape[: axis + 1], size), names, step.remark)
        return self.reshape(y, step.shape, step.axes)

    def grouped(self, op: ops.Einsum, step: Step) -> int:
        """Join axes that are neighbours in every term, where that makes the contraction a
        matmul."""
        values = list(op.values)
        for n in sorted((0, 1), key=lambda n: -values[n]):  # the latest value may share its line
            shape, axes = _gathered(op.terms[n], op, self.shape(values[n]), self.axes(values[n]))
            values[n] = self.reshape(values[n], shape, axes)
        first, second, out = (_heads(term, op) for term in (*op.terms, op.out))
        shape, axes = _gathered(op.out, op, step.shape, step.axes)
        contraction = ops.Einsum(tuple(values), (first, second), out)
        y = self.add(contraction, shape, axes, step.remark)
        return self.reshape(y, step.shape, step.axes)

    def wide_einsum(self, op: ops.Einsum, step: Step) -> int:
        """Contract with more labels than letters: join batch, free and summed axes around one
        matmul."""
        a, b = op.terms
        batch = [label for label in op.out if label in a and label in b]
        left = [label for label in op.out if label not in b]
        right = [label for label in op.out if label not in a]
        summed = [label for label in a if label in b and label not in op.out]
        x = self.matrix(op.values[0], a, (batch, left, summed))
        y = self.matrix(op.values[1], b, (batch, summed, right))
        shape = (*self.shape(x)[:2], self.shape(y)[2])
        axes = (*self.axes(x)[:2], self.axes(y)[2])
        z = self.add(
            ops.Einsum((x, y), ((0, 1, 2), (0, 2, 3)), (0, 1, 3)), shape, axes, step.remark
        )
        order = [op.out.index(label) for label in (*batch, *left, *right)]
        z = self.reshape(z, pick(step.shape, order), pick(step.axes, order))
        return self.permute(z, [order.index(n) for n in range(len(order))])

    def matrix(self, x: int, term: Sequence[int], groups: Sequence[Sequence[int]]) -> int:
        """Join axes in three groups to one each; axes in no group are summed."""
        order = [term.index(label) for group in groups for label in group]
        x = self.put(
            Step(
                ops.Einsum((x,), (tuple(term),), tuple(term[axis] for axis in order)),
                pick(self.shape(x), order),
                pick(self.axes(x), order),
            )
        )
        shape, axes = list(self.shape(x)), list(self.axes(x))
        joined = [[shape.pop(0) for _ in group] for group in groups]
        names = [f"({' '.join(axes.pop(0) for _ in group)})" for group in groups]
        return self.reshape(x, [math.prod(sizes) for sizes in joined], names)


def _mode(term: Sequence[int], matrix: Sequence[int], out: Sequence[int]) -> int | None:
    """The axis of `term` that a matrix replaces in place, if two or more axes follow it."""
    if len(matrix) != 2:
        return None
    for old, new in (matrix, matrix[::-1]):
        if old in term[:-2] and new not in term:
            axis = term.index(old)
            if tuple(out) == (*term[:axis], new, *term[axis + 1 :]):
                return axis
    return None


def _follows(label: int, before: int, op: ops.Einsum) -> bool:
    """Whether a label stands right behind `before` in every term that has either."""
    terms = [term for term in (*op.terms, op.out) if label in term or before in term]
    return all((before, label) in pairwise(term) for term in terms)


def _heads(term: Sequence[int], op: ops.Einsum) -> tuple[int, ...]:
    """The labels of a term without the labels that always follow the one before."""
    pairs = zip((None, *term), term, strict=False)
    return tuple(n for before, n in pairs if before is None or not _follows(n, before, op))


def _gathered(
    term: Sequence[int], op: ops.Einsum, shape: Sequence[Dim], axes: Sequence[str]
) -> tuple[list[Dim], list[str]]:
    """Sizes and names of a value's axes after joining axes that follow one another."""
    starts = [n for n, label in enumerate(term) if label in _heads(term, op)]
    spans = list(pairwise((*starts, len(term))))
    names = [f"({' '.join(axes[s:e])})" if e - s > 1 else axes[s] for s, e in spans]
    return [math.prod(shape[s:e]) for s, e in spans], names


def _disjoint(op: ops.Fold, shape: Sequence[Dim]) -> bool:
    """Whether windows certainly share no input, and the result certainly has entries of windows."""
    reach = op.dilation * (shape[op.entries] - 1)
    apart = scalar.nonnegative(op.stride - reach - 1)
    return apart and scalar.nonnegative(op.stride * shape[op.windows] - op.padding)


def same(a: Sequence[Dim], b: Sequence[Dim]) -> bool:
    """Whether two shapes are certainly equal."""
    return len(a) == len(b) and all(map(scalar.equal, a, b))


def _opened(axes: Sequence[str], axis: int, name: str) -> tuple[str, ...]:
    """Put a new axis behind position `axis`."""
    return (*axes[: axis + 1], name, *axes[axis + 1 :])
