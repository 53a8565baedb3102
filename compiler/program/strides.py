"""Where the entries of a program's values lie: strides, and which reshapes have to copy.

As torch does it, for operands that come row-major. Sizes are numbers here, typical ones where a
program leaves them open.
"""

from __future__ import annotations

from diagrammar import program as ops
from diagrammar.ir.estimate import estimate
from diagrammar.program.operations.placed import Numbers, Placed, reshaped, row_major


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
