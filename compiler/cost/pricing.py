"""What a program costs: the counted work of each step, and its seconds on a device."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from diagrammar import program as ops
from diagrammar.cost.device import Device
from diagrammar.ir.diagram import product
from diagrammar.ir.estimate import estimate
from diagrammar.program.operations.work import VIEW, Library, Work, moved, times, total
from diagrammar.program.strides import placed

PART = 10
"""Calls that a turn of a program in parts takes beside its steps."""


def price(program: ops.Program, device: Device) -> float:
    """The seconds of a call."""
    return device.seconds(work(program, device.library))


def prices(program: ops.Program, device: Device) -> list[float]:
    """The seconds of each step, in one part."""
    return [device.seconds(one) for one in works(program, device.library)]


def work(program: ops.Program, library: Library) -> Work:
    """The work of a call: of all parts, and of putting them into place."""
    steps = times(total(works(program, library)), program.turns)
    return total((steps, *_joined(program, library))) if program.cuts else steps


def works(program: ops.Program, library: Library) -> list[Work]:
    """The work of each step, in one part; with an empty batch, that of the calls."""
    if any(0 in step.shape for step in program.steps):
        return [VIEW for _ in program.steps]
    places = placed(program)
    return [
        step.operation.work([places[v] for v in step.operation.inputs], place, library)
        for step, place in zip(program.steps, places, strict=True)
    ]


def _joined(program: ops.Program, library: Library) -> Iterator[Work]:
    """The work of a loop over parts, and of putting the parts of each result into place."""
    yield Work(calls=PART * program.turns)
    for n in range(len(program.results)):
        written = int(product(estimate(s) for s in program.result_shape(n)))
        added = program.turns // prod(c.turns for c in program.cuts if c.results[n] is not None)
        read = (2 if program.adds(n) else 1) * written * added
        yield moved(read, written * added, library, scattered=False)
        yield Work(views=program.turns)
