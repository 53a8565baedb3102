"""Rewriting by rules until none applies, and the trace of it.

The trace is always on and keeps every diagram in between. Which rules there are, and in which order
they are tried, stands in `rules`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

from diagrammar.ir.diagram import Diagram, Tensor
from diagrammar.rewrite.rule import Rule, apply, labels
from diagrammar.services import verb

STEP_LIMIT = 10_000


@dataclass(frozen=True)
class Step:
    """One law at every place where it applied: the rule, the tensors it applied to, the diagrams
    before and after, and the conditions that held.

    `at` names tensors; where the diagram has others of that name, with their wires. `guards` are
    the conditions that hold for these sizes only. `parts` are the single rewrites.
    """

    rule: Rule
    at: tuple[str, ...]
    before: Diagram
    after: Diagram
    because: str
    guards: tuple[str, ...] = ()
    parts: tuple[Step, ...] = ()

    def __str__(self) -> str:
        return verb(Step.__str__)(self)

    def __repr__(self) -> str:
        return f"<Step {self.rule.name} at {', '.join(self.at)}>"

    def _repr_svg_(self) -> str:
        return verb(Step._repr_svg_)(self)


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

    @property
    def rewrites(self) -> Trace:
        """The same derivation with every rewrite by itself, also those that only clean up."""
        single: list[Step] = []
        for step in self:
            if step.parts:
                single += [*step.parts[:-1], replace(step.parts[-1], after=step.after)]
            else:
                single.append(step)
        return Trace(self.start, single)

    @property
    def end(self) -> Diagram:
        """The diagram after the last step."""
        return self._steps[-1].after if self._steps else self.start

    @property
    def guards(self) -> tuple[str, ...]:
        """The conditions that other sizes would break, each once, in order: `|i1| = 2·|o1|`."""
        return tuple(dict.fromkeys(guard for step in self for guard in step.guards))

    def why_not(self, rule: str) -> tuple[str, ...]:
        """Why a rule does not apply to what is left, for each place where it was tried.

        Raises DiagramError for an unknown rule.
        """
        return verb(Trace.why_not)(self, rule)

    def __str__(self) -> str:
        return verb(Trace.__str__)(self)

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the report of this derivation, one file that needs no network, and return the path.

        Raises OSError if it cannot be written.
        """
        return verb(Trace.to_html)(self, path)

    def __repr__(self) -> str:
        return f"<Trace of {self.start.name}: {', '.join(s.rule.name for s in self) or 'no step'}>"

    def _repr_svg_(self) -> str:
        return verb(Trace._repr_svg_)(self)


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

    def __repr__(self) -> str:
        return f"<Simplified {self.diagram!r}, {self.trace!r}>"

    def _repr_svg_(self) -> str:
        return verb(Simplified._repr_svg_)(self)


def rewritten(diagram: Diagram, rules: Sequence[Rule], steps: list[Step]) -> Diagram:
    """Apply the first rule that matches, wherever it does, until none matches."""
    count = 0
    progress = True
    while progress:
        progress = False
        for rule in rules:
            step = _everywhere(diagram, rule)
            if step is None:
                continue
            _tell(steps, step)
            diagram, progress = step.after, True
            count += len(step.parts)
            break
        if count > STEP_LIMIT:
            raise RuntimeError(f"no end after {STEP_LIMIT} rewrites of {diagram.name}")
    return diagram


def _everywhere(before: Diagram, rule: Rule) -> Step | None:
    """A rule applied until it matches no more, as one step; None where it does not match."""
    diagram = before
    places: list[tuple[int, Tensor]] = []
    clauses: list[str] = []
    guards: list[str] = []
    parts: list[Step] = []
    said: list[str] = []
    while len(parts) <= STEP_LIMIT and (found := next(rule.matches(diagram), None)) is not None:
        number, place, match = found
        places += [(number, tensor) for tensor in place.tensors]
        clauses += match.because.split("; ")
        own = tuple(filter(None, [match.guard]))
        guards += own
        said += match.at
        at, earlier = match.at or labels(place.network, place.site), diagram
        diagram = apply(diagram, number, match.edit)
        parts.append(Step(rule, at, earlier, diagram, match.because, own))
    if not parts:
        return None
    because = "; ".join(dict.fromkeys(clauses))
    names = tuple(dict.fromkeys(said)) or _names(before, places)
    step = Step(rule, names, before, diagram, because, tuple(guards), tuple(parts))
    return step


def _names(before: Diagram, places: Sequence[tuple[int, Tensor]]) -> tuple[str, ...]:
    """What to call the tensors that a step dealt with, as they were before it.

    One that the step itself made on the way is called by the one that it came from.
    """
    found: list[str] = []
    for number, term in enumerate(before.terms):
        names = {tensor.name for n, tensor in places if n == number}
        touched = [tensor for n, tensor in places if n == number]
        known = [at for at, tensor in enumerate(term.tensors) if tensor in touched]
        kept = {term.tensors[at].name for at in known}
        known += [at for at, t in enumerate(term.tensors) if t.name in names - kept]
        found += labels(term, known)
    return tuple(dict.fromkeys(found)) or tuple(dict.fromkeys(t.name for _, t in places))


def _tell(steps: list[Step], step: Step) -> None:
    """Add a step to a derivation; one that only cleans up after the last one becomes part of it."""
    if step.rule.cosmetic and steps and _follows(steps[-1], step):
        last = steps[-1]
        because = "; ".join(dict.fromkeys([*last.because.split("; "), *step.because.split("; ")]))
        guards = (*last.guards, *step.guards)
        parts = (*last.parts, *step.parts)
        steps[-1] = replace(last, after=step.after, because=because, guards=guards, parts=parts)
    else:
        steps.append(step)


def _follows(last: Step, step: Step) -> bool:
    """Whether a step deals with nothing that was there before the last one."""
    dealt = {t for _, place, _ in step.rule.matches(step.before) for t in place.tensors}
    old = {t for term in last.before.terms for t in term.tensors}
    return not dealt & old
