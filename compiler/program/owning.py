"""Results that own their memory.

A result that is a view of an operand, a constant or another result changes when that is written
into, and writing into it changes that. So a copy stands where nothing writes between an operand or
an indicator and a result, and where a later result shares memory with an earlier one. What may be a
view for some strides or sizes counts as one, so that neither decides whether memory is shared.
"""

from __future__ import annotations

from dataclasses import replace

from diagrammar import program as ops
from diagrammar.ir.scalar import equal
from diagrammar.program.writer import needed


def owned(program: ops.Program) -> ops.Program:
    """The program with copies where results would share memory. Results of a program in parts are
    put into memory of their own anyway."""
    if program.cuts:
        return program
    memory, repeated = _memory(program)
    steps, results = list(program.steps), []
    taken: set[int] = set()
    for result in program.results:
        root = memory[result]
        given = isinstance(program.steps[root].operation, ops.Operand | ops.Indicator)
        if given or repeated[result] or root in taken:
            result = _copied(steps, result)
        taken.add(root)
        results.append(result)
    return needed(program, steps, results)


def _memory(program: ops.Program) -> tuple[list[int], list[bool]]:
    """For each value, the one in whose memory it may lie, its own or that of what it views; and
    whether entries of it may lie in one place."""
    memory: list[int] = []
    repeated: list[bool] = []
    for at, step in enumerate(program.steps):
        op = step.operation
        view = bool(op.inputs) and not isinstance(op, ops.Indicator) and _may_view(program, step)
        memory.append(memory[op.inputs[0]] if view else at)
        again = isinstance(op, ops.Expand) and not _is_alike(program, step)
        again |= isinstance(op, ops.Window) and not _are_apart(op)
        repeated.append(view and (again or repeated[op.inputs[0]]))
    return memory, repeated


def _may_view(program: ops.Program, step: ops.Step) -> bool:
    """Whether a step may return what it reads, or a part of it."""
    op = step.operation
    match op:
        case ops.Permute() | ops.Slice() | ops.Window() | ops.Diagonal() | ops.Expand():
            return True
        case ops.Contiguous() | ops.Cast():
            return True
        case ops.Reshape():
            return not _is_written(program, op)
        case ops.Scale():
            return equal(op.factor, 1)
        case ops.Pad():
            return all(isinstance(n, int) and n <= 0 for pair in op.padding for n in pair)
        case ops.Sum():
            return all(equal(program.steps[op.x].shape[n], 1) for n in op.axes)
        case ops.Gather():
            return len(op.runs) == 1
        case ops.Dilate() | ops.Place():
            return _is_alike(program, step)
        case ops.Einsum() | ops.Add() | ops.Concat():
            return len(op.values) == 1
    return False


def _is_alike(program: ops.Program, step: ops.Step) -> bool:
    """Whether a step's value has the axes of what it reads, those of size one aside."""
    before, after = (
        [n for n in shape if not equal(n, 1)]
        for shape in (program.steps[step.operation.inputs[0]].shape, step.shape)
    )
    return len(before) == len(after) and all(map(equal, before, after))


def _are_apart(op: ops.Window) -> bool:
    """Whether no two windows share an entry."""
    if equal(op.count, 1) or equal(op.size, 1):
        return True
    return (
        equal(op.dilation, 1)
        and isinstance(op.stride, int)
        and isinstance(op.size, int)
        and (op.stride >= op.size)
    )


def _is_written(program: ops.Program, op: ops.Reshape) -> bool:
    """Whether a reshape copies, whatever strides operands have: one of windows that overlap."""
    at = op.x
    while isinstance(made := program.steps[at].operation, ops.Permute | ops.Window):
        if isinstance(made, ops.Window):
            numbers = (made.count, made.size, made.stride, made.dilation)
            known = all(isinstance(n, int) for n in numbers)
            if known and int(made.count) > 1 and int(made.size) > 1 and not _are_apart(made):
                return True
        at = made.x
    return False


def _copied(steps: list[ops.Step], result: int) -> int:
    """A copy of a value, which is appended; below a reshape, which would copy by itself."""
    step = steps[result]
    made = step.operation
    if not isinstance(made, ops.Reshape | ops.Contiguous):
        steps.append(replace(step, operation=ops.Copy(result)))
        return len(steps) - 1
    copy = ops.Copy(made.x, ordered=True)
    steps.append(replace(steps[made.x], operation=copy, origins=step.origins))
    if isinstance(made, ops.Reshape):
        steps.append(replace(step, operation=replace(made, x=len(steps) - 1)))
    return len(steps) - 1
