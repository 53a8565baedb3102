"""Going through a program with a pass, step by step, keeping the origins of each step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from diagrammar import program as ops
from diagrammar.program.passes.registry import Draft, ProgramPass, Replacement
from diagrammar.program.writer import Writer, needed
from diagrammar.rewrite.rule import Miss


def run(passes: Iterable[ProgramPass], program: ops.Program) -> ops.Program:
    """The program after some passes, one after the other."""
    for one in passes:
        program = rewritten(program, one)
    return program


def rewritten(program: ops.Program, one: ProgramPass) -> ops.Program:
    """The program with every step replaced that a pass replaces. What no result depends on goes;
    operands stay. New steps have the origins of the step that they replace."""
    reads = _reads(program)
    draft = Draft(program.steps, reads)
    tried = ((at, one.change(step, draft)) for at, step in enumerate(program.steps))
    match = next(((at, found) for at, found in tried if isinstance(found, Replacement)), None)
    if match is None:
        return needed(program, program.steps, program.results)
    first = match[0]
    writer = Writer(program.steps[:first])
    draft = draft.continued(writer.steps)
    value = {at: at for at in range(first)}
    for at, step in enumerate(program.steps[first:], first):
        writer.about = step.origins
        step = replace(step, operation=ops.reread(step.operation, value))
        found = match[1] if at == first else one.change(step, draft)
        if isinstance(found, Replacement):
            made = found.write(writer)
        else:
            made = writer.step(step.operation, step.shape, step.axes, step.remark)
        draft.count(made, reads[at])
        value[at] = made
    return needed(program, writer.steps, [value[at] for at in program.results])


def why_not(program: ops.Program, one: ProgramPass) -> tuple[str, ...]:
    """For each step that a pass does not replace, the reason, with the kind of the step."""
    draft = Draft(program.steps, _reads(program))
    found = [(step, one.change(step, draft)) for step in program.steps]
    return tuple(
        f"{type(step.operation).__name__}: {said.reason}"
        for step, said in found
        if isinstance(said, Miss)
    )


def _reads(program: ops.Program) -> Counter[int]:
    reads = Counter(v for step in program.steps for v in step.operation.inputs)
    reads.update(program.results)
    return reads
