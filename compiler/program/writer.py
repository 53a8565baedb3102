"""Writing program steps: each value once, shapes worked out on the way.

A `Value` is a program value whose axes are wires. Two identical operations on the same values are
one step, so what two halves of a Gram product have in common is computed once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from diagrammar import program as ops
from diagrammar.ir.diagram import product
from diagrammar.ir.scalar import Dim, equal, expand


@dataclass(frozen=True, slots=True)
class Value:
    """A step's number and the wire of each axis."""

    step: int
    wires: tuple[str, ...]

    def axis(self, wire: str) -> int:
        """The axis of a wire."""
        return self.wires.index(wire)


class Writer:
    """The steps of a program under construction, after some that are there; `sizes` has the wires
    of the term being written.

    `about` are the tensors that are being written: the origins of each step that is written now.
    """

    def __init__(self, steps: Sequence[ops.Step] = ()) -> None:
        self.steps = list(steps)
        self.about: frozenset[ops.Origin] = frozenset()
        self.sizes: Mapping[str, Dim] = {}
        self._known: dict[Any, int] = {(s.operation, s.shape): n for n, s in enumerate(steps)}

    def shape(self, wires: Sequence[str]) -> tuple[Dim, ...]:
        """The sizes of wires."""
        return tuple(self.sizes[w] for w in wires)

    def step(
        self,
        operation: ops.Operation,
        shape: Sequence[Dim],
        axes: Sequence[str],
        remark: str = "",
    ) -> int:
        """A step, or the earlier one that does the same."""
        key = (operation, tuple(shape))
        at = self._known.setdefault(key, len(self.steps))
        if at == len(self.steps):
            self.steps.append(ops.Step(operation, key[1], tuple(axes), remark, self.about))
        elif not self.about <= self.steps[at].origins:
            known = self.steps[at]
            self.steps[at] = replace(known, origins=known.origins | self.about)
        return at

    def take_over(self, value: int) -> None:
        """From here on, what is written does the work of an earlier step, too: it comes from the
        same tensors."""
        self.about |= self.steps[value].origins

    def value(self, operation: ops.Operation, wires: Sequence[str], remark: str = "") -> Value:
        """A step whose axes are wires."""
        return Value(self.step(operation, self.shape(wires), wires, remark), tuple(wires))

    # -- operations on values; each returns its argument where there is nothing to do --------------

    def permute(self, x: Value, wires: Sequence[str]) -> Value:
        """Axes in another order."""
        if tuple(wires) == x.wires:
            return x
        return self.value(ops.Permute(x.step, tuple(x.axis(w) for w in wires)), wires)

    def sum(self, x: Value, keep: set[str]) -> Value:
        """Summed over all wires that are not kept."""
        axes = tuple(n for n, w in enumerate(x.wires) if w not in keep)
        if not axes:
            return x
        kept = [w for w in x.wires if w in keep]
        return self.value(ops.Sum(x.step, axes), kept)

    def slice(self, x: Value, wire: str, start: Dim, length: Dim, step: Dim, new: str) -> Value:
        """A part of an axis, which becomes wire `new`."""
        wires = [new if w == wire else w for w in x.wires]
        axis = x.axis(wire)
        whole = equal(start, 0) and equal(step, 1) and equal(length, self.steps[x.step].shape[axis])
        if whole:
            return Value(x.step, tuple(wires))
        operation = ops.Slice(x.step, axis, start, length, step)
        shape = list(self.steps[x.step].shape)
        shape[axis] = length
        return Value(self.step(operation, shape, wires), tuple(wires))

    def pad(
        self,
        x: Value,
        padding: Mapping[str, tuple[Dim, Dim]],
        remark: str = "",
        *,
        gaps: bool = False,
    ) -> Value:
        """Zeros around axes; the wires keep their names. `gaps`: they stand for no term."""
        if all(equal(a, 0) and equal(b, 0) for a, b in padding.values()):
            return x
        pairs = tuple(padding.get(w, (0, 0)) for w in x.wires)
        old = self.steps[x.step].shape
        shape = tuple(expand(s + a + b) for s, (a, b) in zip(old, pairs, strict=True))
        return Value(self.step(ops.Pad(x.step, pairs, gaps), shape, x.wires, remark), x.wires)

    def window(
        self, x: Value, wire: str, o: str, k: str, *, stride: Dim, dilation: Dim, remark: str = ""
    ) -> Value:
        """Sliding windows: the axis of `wire` becomes o, a new last axis is k."""
        axis = x.axis(wire)
        count, extent = self.sizes[o], self.sizes[k]
        shape = list(self.steps[x.step].shape)
        shape[axis] = count
        wires = [o if w == wire else w for w in x.wires] + [k]
        operation = ops.Window(x.step, axis, count, extent, stride, dilation)
        return Value(self.step(operation, [*shape, extent], wires, remark), tuple(wires))

    def diagonal(self, x: Value, first: int, second: int) -> Value:
        """Two axes become one, the last, with the wire of the first."""
        old = self.steps[x.step].shape
        rest = [n for n in range(len(old)) if n not in (first, second)]
        wires = [x.wires[n] for n in rest] + [x.wires[first]]
        shape = [old[n] for n in rest] + [old[first]]
        return Value(self.step(ops.Diagonal(x.step, first, second), shape, wires), tuple(wires))

    def group(self, x: Value, axes: Sequence[Sequence[str]], names: Sequence[str]) -> int:
        """Wires in order joined to axes; returns the step."""
        shape = [product(self.sizes[w] for w in axis) for axis in axes]
        return self.reshape(x.step, shape, names)

    def reshape(self, step: int, shape: Sequence[Dim], names: Sequence[str]) -> int:
        """Another shape of the same entries; reshapes of reshapes are one, and none is written
        for nothing."""
        made = self.steps[step]
        while isinstance(made.operation, ops.Reshape):
            step = made.operation.x
            made = self.steps[step]
        if len(shape) == len(made.shape) and all(map(equal, shape, made.shape)):
            return step
        return self.step(ops.Reshape(step), shape, names)

    def ungroup(self, step: int, wires: Sequence[str]) -> Value:
        """Axes split into wires."""
        return Value(self.reshape(step, self.shape(wires), wires), tuple(wires))

    def einsum(self, left: Value, right: Value, out: Sequence[str], remark: str = "") -> Value:
        """A pairwise contraction."""
        labels = {w: n for n, w in enumerate(dict.fromkeys(left.wires + right.wires))}
        terms = tuple(tuple(labels[w] for w in v.wires) for v in (left, right))
        operation = ops.Einsum((left.step, right.step), terms, tuple(labels[w] for w in out))
        return self.value(operation, out, remark)

    def scale(self, x: Value, factor: Any) -> Value:
        """Multiplied by a scalar."""
        if factor == 1:
            return x
        shape = self.steps[x.step].shape
        return Value(self.step(ops.Scale(x.step, factor), shape, x.wires), x.wires)


def needed(program: ops.Program, steps: Sequence[ops.Step], results: Sequence[int]) -> ops.Program:
    """The program with other steps, without those that no result depends on; operands stay."""
    used = set(results)
    for at in reversed(range(len(steps))):
        if at in used or isinstance(steps[at].operation, ops.Operand):
            used.update({at, *steps[at].operation.inputs})
    if len(used) == len(steps):
        return replace(program, steps=tuple(steps), results=tuple(results))
    value: dict[int, int] = {}
    kept: list[ops.Step] = []
    for at in sorted(used):
        value[at] = len(kept)
        kept.append(replace(steps[at], operation=ops.reread(steps[at].operation, value)))
    return replace(program, steps=tuple(kept), results=tuple(value[at] for at in results))
