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
from diagrammar.ir.diagram import Declared, Diagram, product
from diagrammar.ir.symbols import operands_of
from diagrammar.ir.text import axes_syntax, diagram_file
from diagrammar.plan.candidates import Candidate, candidates, choose
from diagrammar.plan.parts import parted
from diagrammar.plan.planner import Planned, dense
from diagrammar.plan.slicing import MOST, sliced
from diagrammar.program import Program
from diagrammar.program.liveness import peak_bytes
from diagrammar.runtime.options import CONTAINED, Options
from diagrammar.runtime.specialised import Specialised
from diagrammar.search.search import EXACT

SUMMARY = 80
"""The most letters of a definition that is the first line of a docstring."""
USUAL = 2**29
"""Bytes that a call may always take before it runs in parts."""


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
    operands = operands_of(diagrams)
    if options.backend == "numpy":
        program = dense(name, diagrams, operands)
        call = _oracle(program)
        return Specialised(call, "", Planned(program, ()), (), tuple(diagrams), options)
    rates = machine(device)
    making = partial(_candidates, name, options, rates)
    found = making(diagrams) if checked else _with_parts(making(diagrams), operands, rates)
    if checked:
        chosen = choose(found, None)
        if options.memory is not None:
            said = "the sizes are open, so no budget is kept"
            chosen = _with_fact(chosen, "Memory", said)
        return emitted(name, chosen, found, options, checked=checked)
    budget = options.memory if options.memory is not None else _usual(diagrams, found, itemsize)
    fitting = [c for c in found if _peak(c, itemsize) <= budget]
    least = 0
    if not fitting and (options.memory is not None or _is_small(diagrams)):
        most = MOST if options.memory is not None else 1
        parts = sliced(diagrams, making, rates, budget, itemsize, most=most)
        fitting, least = ([parts.candidate] if parts.candidate else []), parts.least
        found = [*fitting, *found]
    if options.memory is not None:
        fitting = [freeing(c) for c in fitting]
    if not fitting and options.memory is None:
        fitting = list(found)
    chosen = choose(fitting, None) if fitting else min(found, key=lambda c: c.peak)
    made = emitted(name, chosen, found, options, checked=checked)
    return replace(made, least=0 if fitting else least, itemsize=itemsize)


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


def _with_parts(
    found: Sequence[Candidate], operands: Sequence[Declared], rates: Machine
) -> list[Candidate]:
    """Candidates, and some of them in parts."""
    return sorted([*found, *parted(found, operands, rates)], key=lambda c: c.cost)


def _is_small(diagrams: Sequence[Diagram]) -> bool:
    """Whether planning anew for several parts takes no time to speak of."""
    return all(len(t.tensors) <= EXACT for d in diagrams for t in d.terms)


def _peak(candidate: Candidate, itemsize: int) -> int:
    """The bytes at the peak, which candidates know for float32."""
    return 4 * candidate.peak if itemsize == 4 else peak_bytes(candidate.planned.program, itemsize)


def _with_fact(candidate: Candidate, name: str, fact: str) -> Candidate:
    program = candidate.planned.program
    program = replace(program, facts={**program.facts, name: fact})
    return replace(candidate, planned=replace(candidate.planned, program=program))


def _usual(diagrams: Sequence[Diagram], found: Sequence[Candidate], itemsize: int) -> int:
    """The bytes that a call without a budget may take before it runs in parts: half a GiB, and
    twice the operands and results."""
    program = found[0].planned.program
    given = sum(int(product(p.shape)) for p in program.parameters)
    made = sum(int(product(d.shape())) for d in diagrams)
    return max(USUAL, 2 * itemsize * (given + made))


def freeing(candidate: Candidate) -> Candidate:
    """The candidate with values let go as soon as nothing reads them."""
    program = replace(candidate.planned.program, frees=True)
    return replace(candidate, planned=replace(candidate.planned, program=program))


def emitted(
    name: str,
    chosen: Candidate,
    found: Sequence[Candidate],
    options: Options,
    *,
    checked: bool = False,
) -> Specialised:
    """A candidate as a function."""
    planned, simplified = chosen.planned, chosen.start
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
        tuple(found),
        chosen.recipe,
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
