"""A function for fixed operand shapes, with its source, plan and derivation to look at."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diagrammar.backends.registry import Emitted
from diagrammar.cost.device import Device
from diagrammar.ir.diagram import Diagram
from diagrammar.plan.candidates import Candidate
from diagrammar.plan.memory import Memory
from diagrammar.plan.planner import Planned
from diagrammar.plan.report import Plan
from diagrammar.plan.strategies import Recipe
from diagrammar.program import Origin, Program
from diagrammar.rewrite.engine import Simplified, Trace
from diagrammar.runtime.options import CompileOptions
from diagrammar.services import verb

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SourceLine:
    """A line of emitted source: the tensors of the simplified diagrams that it brings in, and all
    that its value is made from, each as (diagram, term, place in the term)."""

    text: str
    brings: frozenset[Origin]
    within: frozenset[Origin]


@dataclass(frozen=True)
class Specialised:
    """A function for fixed operand shapes: callable, with its `source`, `plan`, `program` and
    the traces of its diagrams.

    `least` is zero, or the bytes that any program would need where the budget is too small for
    all; `memory` the budget, and the bytes of an entry that it is for; `device` what it was planned
    for.
    """

    emitted: Emitted
    planned: Planned
    traces: tuple[Trace, ...]
    diagrams: tuple[Diagram, ...]
    options: CompileOptions
    candidates: tuple[Candidate, ...] = ()
    recipe: Recipe | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    least: int = 0
    memory: Memory = field(default_factory=Memory)
    device: Device | None = None

    def __call__(self, *operands: Tensor) -> Any:
        """The result, or a tuple of results."""
        return self.emitted.call(*operands)

    @property
    def call(self) -> Callable[..., Any]:
        """The function of the operands by position, as it was emitted."""
        return self.emitted.call

    @property
    def source(self) -> str:
        """Its source; empty where the backend writes none."""
        return self.emitted.source

    @property
    def constants(self) -> int:
        """The bytes that it holds between calls."""
        return self.planned.program.constants

    @property
    def program(self) -> Program:
        """The linear program that was emitted."""
        return self.planned.program

    @property
    def chosen(self) -> str:
        """The name of the candidate that was chosen; empty where there was no choice."""
        return "" if self.recipe is None else str(self.recipe)

    @cached_property
    def derivations(self) -> tuple[Simplified, ...]:
        """The derivations to show: of what the program starts from, or where that is the diagram
        as written, because a library has it as a call, what the rules make of it nevertheless."""
        if self.as_written:
            for other in self.candidates:
                if not other.recipe.as_written:
                    return other.start
        return tuple(map(Simplified, self.diagrams, self.traces))

    @property
    def as_written(self) -> bool:
        """Whether the program starts from the diagrams as they were written."""
        return self.recipe is not None and self.recipe.as_written

    @cached_property
    def plan(self) -> Plan:
        """The contraction tree with multiplications, bytes and peak memory; `print` it."""
        said = [(c.name, c.cost, self.seconds.get(c.name), c.peak) for c in self.candidates]
        return Plan(self.planned, said, self.chosen, self.device)

    @cached_property
    def lines(self) -> tuple[SourceLine, ...]:
        """The lines of the source, each with the tensors of `diagrams` that it deals with."""
        if not self.source:
            return ()
        steps = self.emitted.origins()
        own, within = [step.origins for step in self.program.steps], self.program.within()
        return tuple(
            SourceLine(
                text,
                frozenset[Origin]().union(*(own[n] for n in done)),
                frozenset[Origin]().union(*(within[n] for n in done)),
            )
            for text, done in zip(self.source.splitlines(), steps, strict=True)
        )

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the report of this function, one file that needs no network, and return the path:
        the derivation of each result with what every step costs, the plan, and the source, linked
        with the pictures. Raises OSError if it cannot be written."""
        return verb(Specialised.to_html)(self, path)

    def _repr_html_(self) -> str:
        return verb(Specialised._repr_html_)(self)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{p.name}={tuple(p.shape)}" for p in self.program.parameters)
        return f"<{self.program.name} for {shapes}>"
