"""Results that own their memory.

A result that is a view of an operand, a constant or another result changes when that is written
into, and writing into it changes that. So a copy stands where nothing writes between an operand or
an indicator and a result, and where a later result shares memory with an earlier one. What may be a
view for some strides or sizes counts as one, so that neither decides whether memory is shared.
"""

from __future__ import annotations

from dataclasses import replace

from diagrammar import program as ops
from diagrammar.program.operations.base import Role
from diagrammar.program.operations.sharing import Overlap
from diagrammar.program.writer import needed


def owned(program: ops.Program) -> ops.Program:
    """The program with copies where results would share memory. Results of a program in parts are
    put into memory of their own anyway."""
    if program.cuts:
        return program
    memory, overlaps = _memory(program)
    steps, results = list(program.steps), []
    taken: set[int] = set()
    for result in program.results:
        root = memory[result]
        given = program.steps[root].operation.role in (Role.OPERAND, Role.PATTERN)
        if given or overlaps[result] or root in taken:
            result = _copied(steps, result)
        taken.add(root)
        results.append(result)
    return needed(program, steps, results)


def _memory(program: ops.Program) -> tuple[list[int], list[Overlap]]:
    """For each value, the one in whose memory it may lie, its own or that of what it views; and
    whether entries of it may lie in one place."""
    memory: list[int] = []
    overlaps: list[Overlap] = []
    for at, step in enumerate(program.steps):
        op = step.operation
        shapes = [program.steps[v].shape for v in op.reads]
        before = overlaps[op.reads[0]] if op.reads else Overlap.NONE
        overlap = op.shares(before, shapes, step.shape)
        memory.append(at if overlap is None else memory[op.reads[0]])
        overlaps.append(overlap or Overlap.NONE)
    return memory, overlaps


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
