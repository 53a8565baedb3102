"""Pictures in words, for screen readers."""

from __future__ import annotations

from collections import Counter

from diagrammar.draw.labels import caption, group, negative, scalar
from diagrammar.draw.story import Frame
from diagrammar.ir.diagram import Diagram
from diagrammar.rewrite.engine import Step

_MANY = 5


def signature(diagram: Diagram) -> str:
    """The name with its axes: Y[b, (g co), o1, o2]."""
    axes = ", ".join(group(axis) for axis in diagram.axes)
    return f"{diagram.name}[{axes}]" if axes else diagram.name


def description(diagram: Diagram) -> str:
    """Describe the diagram in sentences: tensors and wires of each term."""
    terms = []
    for term in diagram.terms:
        factor = scalar(term, diagram)
        head = ("minus " if negative(term) else "") + (f"{factor} times " if factor else "")
        tensors = [caption(t, term.sizes).title for t in term.tensors]
        summed = ", ".join(term.inner(diagram.open))
        over = f", summed over {summed}" if summed else ""
        terms.append(f"{head}{'; '.join(tensors) or 'one'}{over}")
    return f"{signature(diagram)} is " + (". Plus: ".join(terms) or "zero") + "."


def where(step: Step) -> str:
    """The tensors that a step applied to, each once; long lists are cut short."""
    counts = Counter(step.at)
    names = [name if n == 1 else f"{name} ({n}×)" for name, n in counts.items()]
    if len(names) > _MANY:
        names = [*names[: _MANY - 1], f"{len(names) - _MANY + 1} more"]
    return ", ".join(names)


def reasons(because: str) -> str:
    """The reasons of a step at several places; reasons that differ by primes only appear once."""
    different: dict[str, str] = {}
    for reason in because.split("; "):
        different.setdefault(reason.replace("'", ""), reason)
    return "; ".join(different.values())


def law(frame: Frame) -> str:
    """The law of the step that led to a frame, on one line."""
    return "" if frame.step is None else " ".join(frame.step.rule.law.split())
