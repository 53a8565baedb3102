"""A trace as text: the law of each step, and what changed as `-` and `+` lines."""

from __future__ import annotations

from difflib import unified_diff
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diagrammar.pipeline import Step, Trace


def step_text(step: Step) -> str:
    """One step: rule and law, why it holds, and the changed lines of the diagram's text."""
    before, after = (str(d).splitlines() for d in (step.before, step.after))
    changed = [
        line
        for line in list(unified_diff(before, after, lineterm="", n=0))[2:]
        if not line.startswith("@@")
    ]
    where = ", ".join(step.at)
    head = [f"{step.rule.name} at {where}:  {step.rule.law}", f"  because {step.because}"]
    return "\n".join(head + [f"  {line[0]} {line[1:]}".rstrip() for line in changed])


def trace_text(trace: Trace) -> str:
    """All steps, numbered."""
    if not trace:
        return "nothing to simplify"
    return "\n\n".join(f"{n}. {step_text(step)}" for n, step in enumerate(trace, start=1))
