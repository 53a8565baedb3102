"""Where the entries of a program's values lie: strides, and which values are written.

As torch does it, for operands that come row-major. Sizes are numbers here, typical ones where a
program leaves them open. Each operation says what it does (`Base.strides`, `Base.written`).
"""

from __future__ import annotations

from diagrammar import program as ops
from diagrammar.ir.estimate import estimate
from diagrammar.program.operations.placed import Placed, row_major


def placed(program: ops.Program) -> list[Placed]:
    """Every value of a program."""
    found: list[Placed] = []
    whole = {p.name: p.shape for p in program.parameters} if program.cuts else {}
    for step in program.steps:
        op = step.operation
        shape = tuple(estimate(s) for s in step.shape)
        strides = op.strides([found[v] for v in op.reads], shape)
        if isinstance(op, ops.Operand) and op.name in whole:  # a part of it
            strides = row_major(tuple(estimate(s) for s in whole[op.name]))
        copied = strides is None
        found.append(Placed(shape, op.written(shape) if strides is None else strides, copied))
    return found
