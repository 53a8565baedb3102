"""A trace as text: the law of each step, and its changes as `-` and `+` lines."""

from __future__ import annotations

from difflib import unified_diff
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diagrammar.ir.diagram import Diagram
    from diagrammar.rewrite.engine import Step, Trace


def changed_lines(before: Diagram, after: Diagram) -> list[str]:
    """The lines of a diagram's text that differ from another's, each with `-` or `+` in front.

    Sizes that only stand in another order are left out.
    """
    old, new = str(before).splitlines(), str(after).splitlines()
    if _sizes(old) == _sizes(new):
        old, new = ([t for t in lines if not t.startswith("size ")] for lines in (old, new))
    changes = list(unified_diff(old, new, lineterm="", n=0))[2:]
    return [f"{line[0]} {line[1:]}".rstrip() for line in changes if not line.startswith("@@")]


def _sizes(lines: list[str]) -> set[str]:
    """The entries of the `size` statement, if it stands on one line."""
    return {e for line in lines if line.startswith("size ") for e in line[5:].split(", ")}


def step_text(step: Step) -> str:
    """Write one step: rule and law, why it holds, and the changed lines of the diagram's text."""
    where = ", ".join(step.at)
    head = [f"{step.rule.name} at {where}:  {step.rule.law}", f"  because {step.because}"]
    return "\n".join(head + [f"  {line}" for line in changed_lines(step.before, step.after)])


def trace_text(trace: Trace) -> str:
    """Write all steps, numbered, and the conditions that other sizes would break; a sentence for an
    empty trace."""
    if not len(trace):
        return "nothing to simplify"
    parts = [f"{n}. {step_text(step)}" for n, step in enumerate(trace, 1)]
    if trace.guards:
        parts.append(f"for these sizes only: {', '.join(trace.guards)}")
    return "\n\n".join(parts)
