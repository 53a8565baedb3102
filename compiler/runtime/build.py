"""The stage that builds: from diagrams whose sizes are as known as they will be to a function.

Simplify, plan, choose (`plan.candidates`, `plan.memory`), emit (the backend of the options).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from diagrammar.backends.registry import Emitted
from diagrammar.cost.device import Device
from diagrammar.ir.diagram import Diagram
from diagrammar.ir.symbols import operands_of
from diagrammar.plan.candidates import Candidate, candidates
from diagrammar.plan.memory import Choice, Memory, chosen, chosen_for_open_sizes
from diagrammar.plan.planner import Planned, dense
from diagrammar.runtime.devices import device as device_of
from diagrammar.runtime.docstring import documentation
from diagrammar.runtime.options import CONTAINED, CompileOptions
from diagrammar.runtime.specialised import Specialised


def build(
    name: str,
    diagrams: Sequence[Diagram],
    options: CompileOptions,
    *,
    checked: bool = False,
    itemsize: int = 4,
    device: str = "cpu",
) -> Specialised:
    """Some diagrams as one function, for entries of `itemsize` bytes on a kind of device.

    `checked`: some sizes are open, and the function reads and compares them at each call. With a
    budget the cheapest program that keeps it, in parts where that is needed; `least` of the result
    is positive where none does.
    """
    target = options.target
    if not target.planned:
        planned = Planned(dense(name, diagrams, operands_of(diagrams)), ())
        function = target.emit(planned.program, checked)
        return Specialised(function, planned, (), tuple(diagrams), options)
    memory = Memory(options.memory, itemsize)
    planned_for = device_of(device)
    choice = choice_of(name, diagrams, options, memory, planned_for, checked=checked)
    function = target.emit(choice.candidate.planned.program, checked)
    return specialised(function, choice, options, memory, planned_for)


def choice_of(
    name: str,
    diagrams: Sequence[Diagram],
    options: CompileOptions,
    memory: Memory,
    device: Device,
    *,
    checked: bool,
) -> Choice:
    """The candidates for some diagrams, and the one that is taken."""

    def making(diagrams: Sequence[Diagram]) -> list[Candidate]:
        return candidates(
            name,
            diagrams,
            operands_of(diagrams),
            device,
            native=options.native,
            without=options.without,
            accumulate=options.accumulate,
            contained=options.nonfinite == CONTAINED,
            doc=partial(documentation, diagrams),
        )

    if checked:
        return chosen_for_open_sizes(memory, making(diagrams))
    return chosen(memory, diagrams, making, device)


def specialised(
    function: Emitted,
    choice: Choice,
    options: CompileOptions,
    memory: Memory,
    device: Device | None,
    seconds: Mapping[str, float] | None = None,
) -> Specialised:
    """An emitted candidate, the ones beside it, and the seconds of those that were timed."""
    candidate = choice.candidate
    return Specialised(
        function,
        candidate.planned,
        tuple(s.trace for s in candidate.start),
        tuple(s.diagram for s in candidate.start),
        options,
        tuple(choice.candidates),
        candidate.recipe,
        seconds or {},
        choice.least,
        memory,
        device,
    )
