"""Where the entries of a program's values lie: strides, and which reshapes have to copy.

As torch does it, for operands that come row-major. Sizes are numbers here, typical ones where a
program leaves them open.
"""

from __future__ import annotations

from dataclasses import dataclass

from diagrammar import program as ops
from diagrammar.ir.estimate import estimate

Numbers = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """A value's shape and strides in entries; `copied` if its step writes it."""

    shape: Numbers
    strides: Numbers
    copied: bool

    @property
    def contiguous(self) -> bool:
        """Whether it lies row-major without gaps."""
        return self.strides == row_major(self.shape)


def row_major(shape: Numbers) -> Numbers:
    """The strides of a freshly written value."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def placed(program: ops.Program) -> list[Placed]:
    """Every value of a program."""
    found: list[Placed] = []
    whole = {p.name: p.shape for p in program.parameters} if program.cuts else {}
    for step in program.steps:
        shape = tuple(estimate(s) for s in step.shape)
        view = _view(step.operation, shape, found)
        if isinstance(step.operation, ops.Operand) and step.operation.name in whole:
            around = tuple(estimate(s) for s in whole[step.operation.name])
            view = Placed(shape, row_major(around), False)  # a part of it
        found.append(Placed(shape, _written(step.operation, shape), True) if view is None else view)
    return found


def _written(op: ops.Operation, shape: Numbers) -> Numbers:
    """The strides of a value that its step writes: a product of matrices comes as [batch, of the
    left side, of the right side], and the axes are moved without a copy."""
    if not isinstance(op, ops.Einsum) or len(op.values) != 2:
        return row_major(shape)
    left, right = op.terms
    if not any(n in right and n not in op.out for n in left):
        return row_major(shape)
    sides = [0 if n in left and n in right else 1 if n in left else 2 for n in op.out]
    if max(map(sides.count, (1, 2))) < 2 and sides == sorted(sides, key=lambda s: -s if s else 3):
        return row_major(shape)  # written with the sides exchanged
    order = sorted(range(len(shape)), key=lambda n: (sides[n], n))
    strides = row_major(tuple(shape[n] for n in order))
    return tuple(strides[order.index(n)] for n in range(len(shape)))


def _view(op: ops.Operation, shape: Numbers, found: list[Placed]) -> Placed | None:
    """The value as a view of an earlier one; None where it is written."""
    if isinstance(op, ops.Operand):
        return Placed(shape, row_major(shape), False)
    if not isinstance(
        op, ops.Permute | ops.Slice | ops.Window | ops.Diagonal | ops.Expand | ops.Reshape
    ):
        return None
    x = found[op.x]
    strides = list(x.strides)
    match op:
        case ops.Permute():
            strides = [strides[n] for n in op.order]
        case ops.Slice():
            strides[op.axis] *= estimate(op.step)
        case ops.Window():
            step = strides[op.axis]
            strides[op.axis] = step * estimate(op.stride)
            strides.append(step * estimate(op.dilation))
        case ops.Diagonal():
            both = strides[op.first] + strides[op.second]
            rest = [s for n, s in enumerate(strides) if n not in (op.first, op.second)]
            strides = [*rest, both]
        case ops.Expand():
            strides = [0] * (len(shape) - len(strides)) + strides
            sizes = (*[1] * (len(shape) - len(x.shape)), *x.shape)
            strides = [
                0 if have == 1 != n else s for s, have, n in zip(strides, sizes, shape, strict=True)
            ]
        case ops.Reshape():
            regrouped = reshaped(x.shape, x.strides, shape)
            if regrouped is None:
                return None
            strides = list(regrouped)
    return Placed(shape, tuple(strides), False)


def reshaped(old: Numbers, strides: Numbers, new: Numbers) -> Numbers | None:
    """The strides after a reshape without a copy; None if there are none."""
    if 0 in new:  # without entries any strides will do
        return (1,) * len(new)
    runs: list[tuple[int, int]] = []  # entries and step of each stretch of axes that lie together
    for n, s in zip(old, strides, strict=True):
        if n == 1:
            continue
        if runs and runs[-1][1] == n * s:
            runs[-1] = (runs[-1][0] * n, s)
        else:
            runs.append((n, s))
    found: list[int] = []
    at = len(runs) - 1
    left, step = runs[at] if runs else (1, 1)
    for n in reversed(new):
        if n == 1:
            found.append(step)
            continue
        while left == 1 and at > 0:
            at -= 1
            left, step = runs[at]
        if left % n:
            return None
        found.append(step)
        left, step = left // n, step * n
    return tuple(reversed(found))
