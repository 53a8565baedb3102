"""What a NaN or infinity in an operand may reach.

By the definition it reaches the entries of the result whose sum has a term with it. A program
reaches more where it multiplies it by a zero that stands for no term: 0·NaN = NaN. There are two
kinds. At a *border*, zeros of padding are rows of an operand, as in PyTorch's own convolutions: a
NaN in the kernel reaches all windows that hang over the edge. In a *gap* (`ir.gaps`) a zero
stands where a relation leads nothing: in a window matrix, a Toeplitz matrix, between strides. A
product with those lets one NaN reach everything, so it is kept apart: a pattern masks what it meets
(`passes.mask_patterns`), and no other value with gaps is multiplied by an operand.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import prod

from diagrammar import program as ops
from diagrammar.ir.estimate import estimate
from diagrammar.ir.gaps import LARGEST, reaches, returns_everywhere
from diagrammar.ir.scalar import Dim, nonnegative


class Reach(IntEnum):
    """What a NaN or infinity reaches: the sums that have it, windows that hang over the edge of its
    operand, or more."""

    SUMS = 0
    BORDERS = 1
    MORE = 2


@dataclass(frozen=True, slots=True)
class Known:
    """Of a value: whether an operand is in it, the worst zeros that stand for no term, and what has
    been multiplied by such zeros."""

    given: bool
    zeros: Reach = Reach.SUMS
    reach: Reach = Reach.SUMS


def reach(program: ops.Program) -> Reach:
    """What a NaN or infinity in an operand of a program may reach."""
    known: dict[int, Known] = {}
    for at, step in enumerate(program.steps):
        known[at] = learn(step, program.steps, known)
    return max((known[n].reach for n in program.results), default=Reach.SUMS)


def is_given(step: ops.Step, steps: Sequence[ops.Step], known: Mapping[int, bool]) -> bool:
    """Whether an operand is in a step's value, from whether one is in what it reads."""
    if isinstance(step.operation, ops.Operand | ops.Indicator):
        return isinstance(step.operation, ops.Operand)
    if isinstance(step.operation, ops.Finite | ops.Marked):
        return False  # nothing in it spoils a product
    if isinstance(step.operation, ops.Spoiled):
        return True
    return any(known[v] for v in step.operation.inputs)


def learn(step: ops.Step, steps: Sequence[ops.Step], known: Mapping[int, Known]) -> Known:
    """What is known of a step's value, from what is known of those that it reads."""
    op = step.operation
    if isinstance(op, ops.Operand):
        return Known(True)
    if isinstance(op, ops.Indicator):
        return Known(False, Reach.SUMS if _is_full(step, ()) else Reach.MORE)
    parts = [known[v] for v in op.inputs]
    given = any(p.given for p in parts)
    zeros = max(p.zeros for p in parts)
    worst = max(p.reach for p in parts)
    match op:
        case ops.Pad():
            zeros = max(zeros, _of_padding(op))
        case ops.Dilate() | ops.Place():
            zeros = Reach.MORE
        case ops.Fold():
            x = steps[op.x].shape
            numbers = (op.size, x[op.windows], x[op.entries], op.stride, op.dilation, op.padding)
            zeros = max(zeros, _unless(_numbers(numbers) and reaches(*map(int, numbers))))
        case ops.Scatter():
            zeros = max(zeros, _unless(returns_everywhere(op.size, op.runs)))
        case ops.Add():
            zeros = min(p.zeros for p in parts)
        case ops.WindowSums():
            pairs = zip(op.axes, op.stretches, strict=True)
            full = all(
                len({k for _, _, has in runs for k in has}) == step.shape[axis]
                for axis, runs in pairs
            )
            zeros = max(zeros, _unless(full))
        case ops.Finite() | ops.Marked():
            given = False  # nothing in it spoils a product
        case ops.Spoiled():
            given, zeros = True, known[op.values[0]].zeros
        case ops.Masked():
            zeros = max(known[op.values[1]].zeros, _unless(_covers(op, steps)))
        case ops.Einsum() | ops.Gram() | ops.Convolution() | ops.WeightGradient():
            worst = max(worst, _crossed(op, known))
        case ops.TransposedConvolution():
            worst = max(worst, _crossed(op, known))
            zeros = max(zeros, _unless(_meets_all(op, step, steps)))
        case ops.WindowGram():
            worst = max(worst, zeros, Reach.BORDERS if _overhangs(op, steps) else Reach.SUMS)
    if isinstance(op, ops.Convolution | ops.WeightGradient) and not all(
        nonnegative(-p) for p in op.padding
    ):
        worst = max(worst, Reach.BORDERS)
    return Known(given, zeros, worst)


def _unless(holds: bool) -> Reach:
    return Reach.SUMS if holds else Reach.MORE


def _numbers(numbers: Sequence[Dim]) -> bool:
    return all(isinstance(n, int) for n in numbers)


def _of_padding(op: ops.Pad) -> Reach:
    """The zeros of a pad; one that only cuts off has none."""
    if all(nonnegative(-n) for pair in op.padding for n in pair):
        return Reach.SUMS
    return Reach.MORE if op.gaps else Reach.BORDERS


def _crossed(op: ops.Operation, known: Mapping[int, Known]) -> Reach:
    """The worst zeros of one factor that meet an operand in another."""
    factors = list(op.inputs[:2])
    if isinstance(op, ops.Gram):
        factors *= 2
    if len(factors) < 2:
        return Reach.SUMS
    pairs = (factors, factors[::-1])
    return max(known[a].zeros if known[b].given else Reach.SUMS for a, b in pairs)


def _meets_all(op: ops.TransposedConvolution, step: ops.Step, steps: Sequence[ops.Step]) -> bool:
    """Whether each entry of an input gradient has a window."""
    sizes = steps[op.x].shape[2:], steps[op.weight].shape[2:]
    every = zip(step.shape[2:], *sizes, op.stride, op.dilation, op.padding, strict=True)
    return all(_numbers(numbers) and reaches(*map(int, numbers)) for numbers in every)


def _overhangs(op: ops.WindowGram, steps: Sequence[ops.Step]) -> bool:
    """Whether rows are paired with some outside of the operand."""
    sizes = steps[op.x].shape[2:]
    every = zip(sizes, op.stretches, op.kernel, op.stride, op.dilation, strict=True)
    return any(
        start - dilation * max(has) < 0
        or stop - stride + dilation * (kernel - 1 - min(has)) >= int(size)
        for size, runs, kernel, stride, dilation in every
        for start, stop, has in runs
    )


def _covers(op: ops.Masked, steps: Sequence[ops.Step]) -> bool:
    """Whether each entry of a sum over masked values has a term."""
    term, step = op.terms[0], steps[op.values[0]]
    if isinstance(step.operation, ops.Permute):
        order = step.operation.order
        term, step = tuple(term[order.index(n)] for n in range(len(order))), steps[step.operation.x]
    return _is_full(step, [axis for axis, label in enumerate(term) if label not in op.out])


def _is_full(step: ops.Step, summed: Sequence[int]) -> bool:
    """Whether an indicator has no zero once some axes are summed."""
    op = step.operation
    if not isinstance(op, ops.Indicator):
        return False
    if any(not piece for piece in op.pieces):
        return True
    conditions = [c for piece in op.pieces for c in piece]
    numbers = [n for c in conditions for n in (*c.coefficients, c.constant, c.modulus or 1)]
    if not _numbers((*step.shape, *numbers)) or prod(map(estimate, step.shape)) > LARGEST:
        return False
    kept = [n for n in range(len(step.shape)) if n not in summed]
    found = {
        tuple(index[n] for n in kept)
        for index in itertools.product(*(range(estimate(n)) for n in step.shape))
        if any(all(_holds(c, index) for c in piece) for piece in op.pieces)
    }
    return len(found) == prod(estimate(step.shape[n]) for n in kept)


def _holds(c: ops.LinearCondition, index: Sequence[int]) -> bool:
    form = sum(int(a) * n for a, n in zip(c.coefficients, index, strict=True)) + int(c.constant)
    if c.nonnegative:
        return form >= 0
    return form % int(c.modulus) == 0 if c.modulus is not None else form == 0
