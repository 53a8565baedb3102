"""The dense oracle: a plain interpreter of linear programs in numpy, float64 or complex128.

The code is neither clever nor fast: it uses loops and index arithmetic wherever they make it
obvious that an operation means what `diagrammar.program` says. Casts are ignored.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import opt_einsum

from diagrammar import program as ops
from diagrammar.backends.binding import bind, integer, scalar
from diagrammar.backends.numpy_windows import Windows, flat, grouped, picked
from diagrammar.backends.registry import interpreter
from diagrammar.program import Dim, Program, Step

Array = np.ndarray[Any, np.dtype[Any]]


@interpreter("numpy", planned=False)
def evaluate(program: Program, operands: Mapping[str, Array]) -> tuple[Array, ...]:
    """Compute the program's results for operands of the shapes that its parameters state.

    Raises ValueError where an operand is missing or disagrees with a size.
    """
    missing = [p.name for p in program.parameters if p.name not in operands]
    if missing:
        raise ValueError(f"{program.name}: no value for {', '.join(missing)}")
    arrays = {p.name: np.asarray(operands[p.name]) for p in program.parameters}
    kind = np.complex128 if any(np.iscomplexobj(a) for a in arrays.values()) else np.float64
    arrays = {name: a.astype(kind) for name, a in arrays.items()}
    if program.cuts:
        return _in_parts(program, arrays)
    run = _Run(arrays, bind(program, {name: a.shape for name, a in arrays.items()}), kind)
    for step in program.steps:
        run.step(step)
    return tuple(run.values[value] for value in program.results)


def _in_parts(program: Program, arrays: Mapping[str, Array]) -> tuple[Array, ...]:
    """Evaluate a program that is cut, one part after the other, and put the results together."""
    results: list[Array] = []
    for turn in itertools.product(*(range(cut.turns) for cut in program.cuts)):
        pieces = dict(arrays)
        for cut, index in zip(program.cuts, turn, strict=True):
            for name, (axis, entries) in cut.operands.items():
                pieces[name] = pieces[name].take(
                    range(index * entries, (index + 1) * entries), axis
                )
        for number, part in enumerate(evaluate(program.part, pieces)):
            if len(results) == number:
                shape = tuple(integer(n, {}) for n in program.result_shape(number))
                results.append(np.zeros(shape, part.dtype))
            place = results[number]
            for cut, index in zip(program.cuts, turn, strict=True):
                along = cut.results[number]
                if along is not None:
                    axis, entries = along
                    place = place[(slice(None),) * axis + (slice(index * entries, None),)]
            place[tuple(slice(n) for n in part.shape)] += part
    return tuple(results)


class _Run:
    """One evaluation: the values computed so far, and one method for each operation."""

    def __init__(self, operands: Mapping[str, Array], sizes: Mapping[str, int], kind: Any) -> None:
        self.operands, self.sizes, self.kind = operands, sizes, kind
        self.values: list[Array] = []

    def step(self, step: Step) -> None:
        """Compute the next value and compare its shape with the shape that the step states."""
        shape = tuple(self.size_of(dim) for dim in step.shape)
        value = METHODS[type(step.operation)](self, step.operation, shape)
        if value.shape != shape:
            number = len(self.values)
            raise ValueError(
                f"step {number}: {step.operation} has shape {value.shape}, not {shape}"
            )
        self.values.append(value)

    def size_of(self, value: Dim) -> int:
        """Evaluate one size."""
        return integer(value, self.sizes)

    def sizes_of(self, values: Sequence[Dim]) -> tuple[int, ...]:
        """Evaluate several sizes."""
        return tuple(self.size_of(value) for value in values)

    def operand(self, op: ops.Operand, shape: tuple[int, ...]) -> Array:
        return self.operands[op.name]

    def indicator(self, op: ops.Indicator, shape: tuple[int, ...]) -> Array:
        """Count the pieces whose conditions all hold: Σ_k a_k·i_k + c = 0, ≥ 0, or ≡ 0 modulo m."""
        total = np.zeros(shape, self.kind)
        index = np.indices(shape)
        for piece in op.pieces:
            holds = np.ones(shape, bool)
            for condition in piece:
                value = np.full(shape, self.size_of(condition.constant))
                for axis, coefficient in enumerate(self.sizes_of(condition.coefficients)):
                    value = value + coefficient * index[axis]
                if condition.modulus is not None:
                    value = value % self.size_of(condition.modulus)
                holds &= (value >= 0) if condition.nonnegative else (value == 0)
            total += holds
        return total

    def reshape(self, op: ops.Reshape, shape: tuple[int, ...]) -> Array:
        return self.values[op.x].reshape(shape)

    def contiguous(self, op: ops.Contiguous, shape: tuple[int, ...]) -> Array:
        return self.values[op.x]

    def copy(self, op: ops.Copy, shape: tuple[int, ...]) -> Array:
        return self.values[op.x].copy()

    def permute(self, op: ops.Permute, shape: tuple[int, ...]) -> Array:
        return self.values[op.x].transpose(op.order)

    def slice(self, op: ops.Slice, shape: tuple[int, ...]) -> Array:
        start, length, step = self.sizes_of((op.start, op.length, op.step))
        return self.values[op.x].take([start + step * n for n in range(length)], op.axis)

    def pad(self, op: ops.Pad, shape: tuple[int, ...]) -> Array:
        x = self.values[op.x]
        padding = [self.sizes_of(pair) for pair in op.padding]
        x = np.pad(x, [(max(left, 0), max(right, 0)) for left, right in padding])
        for axis, (left, right) in enumerate(padding):
            x = x.take(range(max(-left, 0), x.shape[axis] - max(-right, 0)), axis)
        return x

    def window(self, op: ops.Window, shape: tuple[int, ...]) -> Array:
        count, size, stride, dilation = self.sizes_of((op.count, op.size, op.stride, op.dilation))
        indices = [[stride * o + dilation * k for k in range(size)] for o in range(count)]
        taken = self.values[op.x].take(np.array(indices, int).reshape(count, size), op.axis)
        return np.moveaxis(taken, op.axis + 1, -1)

    def fold(self, op: ops.Fold, shape: tuple[int, ...]) -> Array:
        """Add windows up where they overlap: y[i] = Σ x[o, k] over i = S·o + D·k − P."""
        stride, dilation, padding = self.sizes_of((op.stride, op.dilation, op.padding))
        x = np.moveaxis(self.values[op.x], (op.windows, op.entries), (-2, -1))
        out = np.zeros(shape, self.kind)
        for o, k in itertools.product(*map(range, x.shape[-2:])):
            i = stride * o + dilation * k - padding
            if 0 <= i < shape[-1]:
                out[..., i] += x[..., o, k]
        return out

    def diagonal(self, op: ops.Diagonal, shape: tuple[int, ...]) -> Array:
        return np.diagonal(self.values[op.x], 0, op.first, op.second)

    def flip(self, op: ops.Flip, shape: tuple[int, ...]) -> Array:
        return np.flip(self.values[op.x], op.axis)

    def dilate(self, op: ops.Dilate, shape: tuple[int, ...]) -> Array:
        out = np.zeros(shape, self.kind)
        np.moveaxis(out, op.axis, 0)[:: self.size_of(op.step)] = np.moveaxis(
            self.values[op.x], op.axis, 0
        )
        return out

    def place(self, op: ops.Place, shape: tuple[int, ...]) -> Array:
        out = np.zeros(shape, self.kind)
        x = self.values[op.x]
        for index in np.ndindex(x.shape):
            axes = zip(self.sizes_of(op.start), self.sizes_of(op.step), index, strict=True)
            out[tuple(start + step * n for start, step, n in axes)] = x[index]
        return out

    def picked(self, runs: Sequence[tuple[Dim, Dim, Dim]]) -> list[int]:
        """List the positions that the runs (start, length, step) go through."""
        numbers = [self.sizes_of(run) for run in runs]
        return [start + step * n for start, length, step in numbers for n in range(length)]

    def gather(self, op: ops.Gather, shape: tuple[int, ...]) -> Array:
        return self.values[op.x].take(self.picked(op.runs), op.axis)

    def scatter(self, op: ops.Scatter, shape: tuple[int, ...]) -> Array:
        out = np.zeros(shape, self.kind)
        x = np.moveaxis(self.values[op.x], op.axis, 0)
        for j, i in enumerate(self.picked(op.runs)):
            np.moveaxis(out, op.axis, 0)[i] += x[j]
        return out

    def expand(self, op: ops.Expand, shape: tuple[int, ...]) -> Array:
        return np.broadcast_to(self.values[op.x], shape)

    def sum(self, op: ops.Sum, shape: tuple[int, ...]) -> Array:
        return np.asarray(self.values[op.x].sum(op.axes))

    def scale(self, op: ops.Scale, shape: tuple[int, ...]) -> Array:
        return self.values[op.x] * float(scalar(op.factor, self.sizes))

    def cast(self, op: ops.Cast, shape: tuple[int, ...]) -> Array:
        return self.values[op.x]

    def add(self, op: ops.Add, shape: tuple[int, ...]) -> Array:
        total = np.zeros((), self.kind)
        for value in op.values:
            total = total + self.values[value]
        return total

    def concat(self, op: ops.Concat, shape: tuple[int, ...]) -> Array:
        return np.concatenate([self.values[value] for value in op.values], op.axis)

    def stack(self, op: ops.Stack, shape: tuple[int, ...]) -> Array:
        return np.stack([self.values[value] for value in op.values], op.axis)

    def blocks(self, op: ops.Blocks, shape: tuple[int, ...]) -> Array:
        grid = np.stack([self.values[value] for value in op.values])
        grid = grid.reshape(-1, op.columns, *grid.shape[1:])
        return np.moveaxis(grid, (0, 1), op.axes)

    def einsum(self, op: ops.Einsum, shape: tuple[int, ...]) -> Array:
        """Sum products of entries, by numpy; by opt_einsum for more labels than numpy has
        letters."""
        arrays = [self.values[value] for value in op.values]
        used = sorted({label for term in (*op.terms, op.out) for label in term})
        dense = {label: n for n, label in enumerate(used)}
        terms = [[dense[label] for label in term] for term in op.terms]
        arguments = [part for pair in zip(arrays, terms, strict=True) for part in pair]
        out = [dense[label] for label in op.out]
        if not arrays:
            return np.ones((), self.kind)
        if len(used) > 52:  # the letters that numpy's einsum knows
            return np.asarray(opt_einsum.contract(*arguments, out))
        return np.asarray(np.einsum(*arguments, out, optimize=len(arrays) > 2))

    def convolution(self, op: ops.Convolution, shape: tuple[int, ...]) -> Array:
        """y[b, g, d, o] = Σ_{c,k} x[b, g, c, S·o + D·k − P]·w[g, d, c, k], plus a bias."""
        x, weight, groups = self.values[op.x], self.values[op.weight], self.size_of(op.groups)
        geometry = self.geometry(op, shape[2:], weight.shape[2:])
        x = grouped(np.pad(x, geometry.padding), 1, groups)
        weight = grouped(weight, 0, groups)
        out = np.zeros((shape[0], groups, shape[1] // groups, *shape[2:]), self.kind)
        for k, inputs in geometry.entries():
            out += np.einsum("bgc...,gdc->bgd...", x[inputs], weight[k])
        out = out.reshape(shape)
        if op.bias is not None:
            out = out + self.values[op.bias].reshape(-1, *[1] * len(op.stride))
        return out

    def transposed(self, op: ops.TransposedConvolution, shape: tuple[int, ...]) -> Array:
        """x[b, g, c, S·o + D·k − P] = Σ_{d,o,k} v[b, g, d, o]·w[g, d, c, k]."""
        v, weight, groups = self.values[op.x], self.values[op.weight], self.size_of(op.groups)
        geometry = self.geometry(op, v.shape[2:], weight.shape[2:])
        v, weight = grouped(v, 1, groups), grouped(weight, 0, groups)
        padded = [
            n + left + right for n, (left, right) in zip(shape, geometry.padding, strict=True)
        ]
        out = np.zeros((shape[0], groups, shape[1] // groups, *padded[2:]), self.kind)
        for k, inputs in geometry.entries():
            out[inputs] += np.einsum("bgd...,gdc->bgc...", v, weight[k])
        inside = (
            slice(left, left + n) for n, (left, _) in zip(shape, geometry.padding, strict=True)
        )
        return out.reshape(*shape[:2], *padded[2:])[tuple(inside)]

    def weight_gradient(self, op: ops.WeightGradient, shape: tuple[int, ...]) -> Array:
        """w[g, d, c, k] = Σ_{b,o} x[b, g, c, S·o + D·k − P]·v[b, g, d, o]."""
        x, v, groups = self.values[op.x], self.values[op.cotangent], self.size_of(op.groups)
        geometry = self.geometry(op, v.shape[2:], shape[2:])
        x, v = grouped(np.pad(x, geometry.padding), 1, groups), grouped(v, 1, groups)
        out = np.zeros((groups, shape[0] // groups, *shape[1:]), self.kind)
        for k, inputs in geometry.entries():
            out[k] = np.einsum("bgcp,bgdp->gdc", flat(x[inputs]), flat(v))
        return out.reshape(shape)

    def masked(self, op: ops.Masked, shape: tuple[int, ...]) -> Array:
        """Sum products with a pattern; where the pattern is zero, x may be NaN."""
        pattern, x = (self.values[v] for v in op.values)
        pattern, x = (
            np.expand_dims(
                np.transpose(v, [term.index(n) for n in op.every if n in term]),
                tuple(axis for axis, n in enumerate(op.every) if n not in term),
            )
            for v, term in zip((pattern, x), op.terms, strict=True)
        )
        products = np.where(pattern != 0, pattern * x, 0)
        return np.asarray(products.sum(tuple(range(len(op.out), len(op.every)))), self.kind)

    def finite(self, op: ops.Finite, shape: tuple[int, ...]) -> Array:
        x = self.values[op.x]
        return np.where(np.isfinite(x), x, 0)

    def marked(self, op: ops.Marked, shape: tuple[int, ...]) -> Array:
        x = self.values[op.x]
        return np.asarray(x.real > 0.5 if op.present else ~np.isfinite(x), self.kind)

    def spoiled(self, op: ops.Spoiled, shape: tuple[int, ...]) -> Array:
        x, counts = (self.values[v] for v in op.values)
        return np.where(counts.real > 0.5, np.nan, x)

    def gram(self, op: ops.Gram, shape: tuple[int, ...]) -> Array:
        x = self.values[op.x]
        return x @ np.swapaxes(x, -1, -2)

    def window_sums(self, op: ops.WindowSums, shape: tuple[int, ...]) -> Array:
        """For each kernel entry, sum the rows of its stretches."""
        x = self.values[op.x]
        for axis, stretches, step in zip(op.axes, op.stretches, op.stride, strict=True):
            window = np.zeros((x.shape[axis], shape[axis]))
            for start, stop, has in stretches:
                window[start:stop:step, list(has)] += 1
            x = np.moveaxis(np.tensordot(x, window, (axis, 0)), -1, axis)
        return np.asarray(x)

    def window_gram(self, op: ops.WindowGram, shape: tuple[int, ...]) -> Array:
        """Σ_o of products of all pairs of kernel entries' inputs: [g, c, *k, d, *m]."""
        x = grouped(self.values[op.x], 1, op.groups)
        out = np.zeros(shape, self.kind)
        positions = list(itertools.product(*map(range, op.kernel)))
        for k, m in itertools.product(positions, positions):
            rows = [
                [i for start, stop, has in stretch if a in has for i in range(start, stop, step)]
                for stretch, step, a in zip(op.stretches, op.stride, k, strict=True)
            ]
            apart = [d * (b - a) for d, a, b in zip(op.dilation, k, m, strict=True)]
            rows = [
                [i for i in own if 0 <= i + d < n]
                for own, d, n in zip(rows, apart, x.shape[3:], strict=True)
            ]
            near = [[i + d for i in own] for own, d in zip(rows, apart, strict=True)]
            first, second = (flat(picked(x, indices)) for indices in (rows, near))
            entry: Any = (slice(None), slice(None), *k, slice(None), *m)
            out[entry] = np.einsum("bgcp,bgdp->gcd", first, second)
        return out * float(scalar(op.scale, self.sizes))

    def geometry(
        self,
        op: ops.Convolution | ops.TransposedConvolution | ops.WeightGradient,
        outputs: tuple[int, ...],
        entries: tuple[int, ...],
    ) -> Windows:
        """Describe where the entries of a kernel touch the padded input."""
        pads = tuple((p, p) for p in self.sizes_of(op.padding))
        return Windows(
            self.sizes_of(op.stride),
            self.sizes_of(op.dilation),
            ((0, 0), (0, 0), *pads),
            outputs,
            entries,
        )


METHODS: dict[type, Callable[[_Run, Any, tuple[int, ...]], Array]] = {
    ops.Operand: _Run.operand,
    ops.Indicator: _Run.indicator,
    ops.Reshape: _Run.reshape,
    ops.Contiguous: _Run.contiguous,
    ops.Copy: _Run.copy,
    ops.Permute: _Run.permute,
    ops.Slice: _Run.slice,
    ops.Pad: _Run.pad,
    ops.Window: _Run.window,
    ops.Fold: _Run.fold,
    ops.Place: _Run.place,
    ops.Gather: _Run.gather,
    ops.Scatter: _Run.scatter,
    ops.Diagonal: _Run.diagonal,
    ops.Flip: _Run.flip,
    ops.Dilate: _Run.dilate,
    ops.Expand: _Run.expand,
    ops.Sum: _Run.sum,
    ops.Scale: _Run.scale,
    ops.Cast: _Run.cast,
    ops.Add: _Run.add,
    ops.Concat: _Run.concat,
    ops.Stack: _Run.stack,
    ops.Blocks: _Run.blocks,
    ops.Einsum: _Run.einsum,
    ops.Masked: _Run.masked,
    ops.Finite: _Run.finite,
    ops.Marked: _Run.marked,
    ops.Spoiled: _Run.spoiled,
    ops.Convolution: _Run.convolution,
    ops.TransposedConvolution: _Run.transposed,
    ops.WeightGradient: _Run.weight_gradient,
    ops.Gram: _Run.gram,
    ops.WindowSums: _Run.window_sums,
    ops.WindowGram: _Run.window_gram,
}
