"""Peak memory of a program by liveness: what it allocates beyond its operands."""

from __future__ import annotations

import re
from collections.abc import Sequence

from diagrammar import program as ops
from diagrammar.ir.diagram import product
from diagrammar.ir.estimate import estimate
from diagrammar.program.operations.base import Role
from diagrammar.program.operations.placed import Placed
from diagrammar.program.strides import placed

UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
}


def parse_bytes(text: str | int) -> int:
    """`"2GiB"` as a number of bytes; raises ValueError for anything else."""
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(text))
    if not isinstance(text, str) or match is None or match[2].upper() not in UNITS:
        raise ValueError(f"no number of bytes: {text!r}; write it like '2GiB' or '500MB'")
    return int(float(match[1]) * UNITS[match[2].upper()])


def show_bytes(count: int) -> str:
    """A number of bytes for people."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def owners(program: ops.Program) -> list[int]:
    """For each value, the step whose memory it stands in (its own, or that of what it views)."""
    return _owners(program, placed(program))


def _owners(program: ops.Program, places: Sequence[Placed]) -> list[int]:
    made: list[int] = []
    for at, step in enumerate(program.steps):
        views = not places[at].copied and step.operation.role is not Role.OPERAND
        made.append(made[step.operation.reads[0]] if views else at)
    return made


def elements(step: ops.Step) -> int:
    """Entries of a step's value."""
    return int(product(estimate(s) for s in step.shape))


def numbers(program: ops.Program, step: ops.Step) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
    """The shapes of what a step reads, and of its value."""
    read = [program.steps[value].shape for value in step.operation.reads]
    shapes = [tuple(estimate(n) for n in shape) for shape in (*read, step.shape)]
    return shapes[:-1], shapes[-1]


def peak_bytes(program: ops.Program, itemsize: int = 4) -> int:
    """The most bytes allocated at once beyond the operands, results included, with what library
    calls need on the side (`Base.scratch`); entries have `itemsize` bytes."""
    return _peak(program, itemsize) * itemsize


def peak_elements(program: ops.Program) -> int:
    """The most entries of values that are alive at once beyond the operands, results included."""
    return _peak(program, None)


def result_elements(program: ops.Program) -> int:
    """Entries of all results."""
    shapes = (program.result_shape(n) for n in range(len(program.results)))
    return sum(int(product(estimate(s) for s in shape)) for shape in shapes)


def _peak(program: ops.Program, itemsize: int | None) -> int:
    places = placed(program)
    owner = _owners(program, places)
    last = list(program.last_use())
    for value, own in enumerate(owner):
        last[own] = max(last[own], last[value])
    ending: dict[int, list[int]] = {}
    for value, own in enumerate(owner):
        if own == value and program.steps[value].operation.role is not Role.OPERAND:
            ending.setdefault(last[value], []).append(value)
    alive = peak = 0
    if itemsize not in (None, 4):  # constants stay in float32 beside the values that they become
        alive = program.constants // int(itemsize or 1)
    for at, step in enumerate(program.steps):
        if owner[at] == at and step.operation.role is not Role.OPERAND:
            alive += elements(step)
        aside = step.operation.workspace(*numbers(program, step))
        if itemsize is not None:
            read = [places[value] for value in step.operation.reads]
            aside += step.operation.scratch(read, places[at].shape, itemsize)
        peak = max(peak, alive + aside)
        alive -= sum(elements(program.steps[value]) for value in ending.get(at, ()))
    if program.cuts:  # results are put together beside the part that is being computed
        for n in range(len(program.results)):
            size = int(product(estimate(s) for s in program.result_shape(n)))
            halves = itemsize == 2 and program.adds(n)  # they are added in float32
            peak += 3 * size if halves else size
    return peak
