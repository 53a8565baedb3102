"""From diagrams whose sizes are as known as they will be to a function: simplify, plan, choose,
emit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import sympy
from numpy import asarray

from diagrammar.backends.numpy import evaluate
from diagrammar.backends.torch import emit as backend
from diagrammar.cost.cost import Machine
from diagrammar.cost.device import machine
from diagrammar.grammar.errors import DiagramError, Problem
from diagrammar.grammar.formatter import format_axes, format_statement
from diagrammar.ir.diagram import Diagram
from diagrammar.ir.symbols import operands_of
from diagrammar.ir.text import axes_syntax, diagram_file
from diagrammar.plan.candidates import Candidate, candidates
from diagrammar.plan.memory import Choice, Memory, chosen, chosen_for_open_sizes
from diagrammar.plan.planner import Planned, dense
from diagrammar.program import Program
from diagrammar.runtime.options import CONTAINED, Options
from diagrammar.runtime.specialised import Specialised

SUMMARY = 80
"""The most letters of a definition that is the first line of a docstring."""


def build(
    name: str,
    diagrams: Sequence[Diagram],
    options: Options,
    *,
    checked: bool = False,
    itemsize: int = 4,
    device: str = "cpu",
) -> Specialised:
    """Simplify, plan and emit some diagrams as one function, for entries of `itemsize` bytes on a
    kind of device.

    With a budget the cheapest program that keeps it, in parts where that is needed; `least` of the
    result is positive where none does.
    """
    memory = Memory(options.memory, itemsize)
    if options.backend == "numpy":
        program = dense(name, diagrams, operands_of(diagrams))
        call = _oracle(program)
        return Specialised(call, "", Planned(program, ()), (), tuple(diagrams), options)
    choice = _planned(name, diagrams, options, memory, device, checked=checked)
    function = emitted(name, choice.candidate, choice.candidates, options, checked=checked)
    return replace(function, least=choice.least, memory=memory)


def _planned(
    name: str,
    diagrams: Sequence[Diagram],
    options: Options,
    memory: Memory,
    device: str,
    *,
    checked: bool,
) -> Choice:
    """The candidates for some diagrams on a kind of device, and the one that is taken."""
    rates = machine(device)
    making = partial(_candidates, name, options, rates)
    if checked:
        return chosen_for_open_sizes(memory, making(diagrams))
    return chosen(memory, diagrams, making, rates)


def _candidates(
    name: str, options: Options, rates: Machine, diagrams: Sequence[Diagram]
) -> list[Candidate]:
    return candidates(
        name,
        diagrams,
        operands_of(diagrams),
        rates,
        native=options.native,
        without=options.without,
        accumulate=options.accumulate,
        contained=options.nonfinite == CONTAINED,
        doc=lambda simplified: _doc(diagrams, simplified),
    )


def emitted(
    name: str,
    candidate: Candidate,
    candidates: Sequence[Candidate],
    options: Options,
    *,
    checked: bool = False,
) -> Specialised:
    """A candidate as a function."""
    planned, simplified = candidate.planned, candidate.start
    source = backend.emit_module([planned.program], "", checked=checked)
    loaded = _Loading(source, name, planned.program.constants)
    return Specialised(
        loaded,
        source,
        planned,
        tuple(s.trace for s in simplified),
        tuple(s.diagram for s in simplified),
        options,
        checked,
        tuple(candidates),
        candidate.recipe,
    )


class _Loading:
    """The emitted function, loaded (and torch imported) when it is first called."""

    def __init__(self, source: str, name: str, constants: int) -> None:
        self._source, self._name, self.constants = source, name, constants

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: the source, to be loaded again."""
        return {"_source": self._source, "_name": self._name, "constants": self.constants}

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The Python function itself. Loaded in a thread of its own: the constants that it holds
        are for all calls, and modes that the first call may be in, such as fake tensors, a default
        device or inference, are a thread's."""
        try:
            with ThreadPoolExecutor(1) as thread:
                return thread.submit(backend.load_one, self._source, self._name).result()
        except RuntimeError:  # no thread starts when the interpreter ends
            return backend.load_one(self._source, self._name)

    def __call__(self, *operands: Any) -> Any:
        return self.function(*operands)


def _doc(diagrams: Sequence[Diagram], simplified: Sequence[Any]) -> str:
    """The definitions' documentation, or else what they are, and the laws that were used."""
    parts = [d.doc or _summary(d) for d in diagrams]
    masks = {o.name: o.keep for d in diagrams for o in d.operands if o.keep is not None}
    for name, keep in masks.items():
        kept = f"1/{keep}" if isinstance(keep, str) else str(1 / sympy.sympify(keep))
        parts.append(f"{name} has entries 0 and {kept}, of mean one.")
    laws = dict.fromkeys(law for s in simplified for law in s.trace.laws)
    if laws:
        parts.append("Laws: " + ";\n      ".join(laws))
    return "\n\n".join(parts)


def _summary(diagram: Diagram) -> str:
    """The definition, if it fits on a line; else its axes and operands."""
    finite = all(sympy.sympify(t.scalar).is_finite is not False for t in diagram.terms)
    if finite and not any(t.scalar is sympy.nan for t in diagram.terms):
        text = format_statement(diagram_file(diagram).statements[-1])
        if "\n" not in text and len(text) <= SUMMARY:
            return text
    names = ", ".join(o.name for o in diagram.operands)
    return f"{diagram.name}{format_axes(axes_syntax(diagram.axes))} of {names or 'no operands'}."


def _no_array(name: str, given: Any) -> Problem | None:
    """A problem for what numpy makes no array of, such as a tensor of bfloat16."""
    try:
        asarray(given)
    except (TypeError, RuntimeError):
        kind = getattr(given, "dtype", type(given).__name__)
        way = f"give an array, or convert it: {name}.float()"
        return Problem(f"operand '{name}' is of {kind}, which numpy has no arrays of", help=way)
    return None


def _oracle(program: Program) -> Callable[..., Any]:
    def call(*operands: Any) -> Any:
        given = dict(zip((p.name for p in program.parameters), operands, strict=True))
        if problems := [p for name, x in given.items() if (p := _no_array(name, x)) is not None]:
            raise DiagramError(problems)
        results = evaluate(program, given)
        return results[0] if len(results) == 1 else results

    return call
