"""Passes, pipelines and the trace: which rules are tried in what order, and what happened.

A pipeline is data, a sequence of passes; a pass applies its rules until none applies. The trace is
always on and keeps every diagram in between.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from diagrammar.diagram import Diagram
from diagrammar.grammar.errors import DiagramError
from diagrammar.merge import merged
from diagrammar.rewrite import RULES, Rule, apply
from diagrammar.specialise import resolve_values

STEP_LIMIT = 10_000


@dataclass(frozen=True)
class Step:
    """One rewrite: the rule, the names of the tensors it applied to, the diagrams before and
    after, and the condition that held."""

    rule: Rule
    at: tuple[str, ...]
    before: Diagram
    after: Diagram
    because: str

    def __str__(self) -> str:
        from diagrammar.draw.steps import step_text

        return step_text(self)


class Trace(Sequence[Step]):
    """The steps of a simplification, in order."""

    def __init__(self, start: Diagram, steps: Sequence[Step]) -> None:
        self.start = start
        self._steps = tuple(steps)

    @overload
    def __getitem__(self, at: int) -> Step: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Step, ...]: ...
    def __getitem__(self, at: int | slice) -> Step | tuple[Step, ...]:
        return self._steps[at]

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self._steps)

    @property
    def laws(self) -> tuple[str, ...]:
        """The laws that were used, each once, in order."""
        return tuple(dict.fromkeys(step.rule.law for step in self))

    def __str__(self) -> str:
        from diagrammar.draw.steps import trace_text

        return trace_text(self)

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the report of this derivation, one file that needs no network, and return the path.

        Raises OSError if it cannot be written.
        """
        from diagrammar.draw import render
        from diagrammar.draw.files import write

        return write(path, render(self, "html"))

    def _repr_svg_(self) -> str:
        from diagrammar.draw import render

        return render(self, "svg")


@dataclass(frozen=True)
class Pass:
    """Rules that are applied, the first that matches first, until none does."""

    name: str
    rules: tuple[str, ...]


@dataclass(frozen=True)
class Simplified:
    """A simplified diagram and how it came about."""

    diagram: Diagram
    trace: Trace


PASSES: dict[str, Pass] = {
    p.name: p
    for p in (
        Pass("delta", ("delta elimination", "trivial relation", "empty relation")),
        Pass(
            "connectivity",
            (
                "delta elimination",
                "functional dependence",
                "composition",
                "common factor",
                "dead kernel entries",
                "pointwise",
                "dense",
                "dense swapped",
                "truncated dense",
                "digits",
                "summed end",
                "downsampling",
                "gram",
                "sliding view",
                "trivial relation",
                "empty relation",
            ),
        ),
    )
}
"""The passes that a pipeline may name."""


@dataclass(frozen=True)
class Pipeline:
    """Passes by name, run one after the other. `without` switches rules off (for ablations and
    tests)."""

    passes: tuple[str, ...] = ("delta", "connectivity")
    without: frozenset[str] = frozenset()

    def run(self, diagram: Diagram) -> Simplified:
        """Rewrite a diagram; its invariants are checked before and after each pass."""
        import diagrammar.rules  # noqa: F401  # registers the rules

        start = diagram
        steps: list[Step] = []
        diagram.verify()
        for name in self.passes:
            names = [r for r in PASSES[name].rules if r not in self.without]
            diagram = _run(diagram, [RULES[r] for r in names], steps)
            diagram.verify()
        return Simplified(merged(diagram), Trace(start, steps))


def _run(diagram: Diagram, rules: Sequence[Rule], steps: list[Step]) -> Diagram:
    progress = True
    while progress:
        progress = False
        for rule in rules:
            found = next(rule.matches(diagram), None)
            if found is None:
                continue
            number, place, match = found
            after = apply(diagram, number, match.edit)
            at = tuple(t.name for t in place.tensors)
            steps.append(Step(rule, at, diagram, after, match.because))
            diagram, progress = after, True
            break
        if len(steps) > STEP_LIMIT:
            raise RuntimeError(f"no end after {STEP_LIMIT} rewrites of {diagram.name}")
    return diagram


def simplify(diagram: Diagram, values: Mapping[str, Any]) -> Simplified:
    """Rewrite a diagram by the standard pipeline, at given sizes and parameters, defaults for
    the rest."""
    symbols, problems = resolve_values(diagram, values)
    if problems:
        raise DiagramError(problems)
    return Pipeline().run(diagram.substitute(symbols))
