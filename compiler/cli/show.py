"""`diagrammar show`: one diagram and how it is simplified, as text or as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from diagrammar.cli.inputs import Misuse, chosen, load, settings
from diagrammar.cli.output import print_changes

if TYPE_CHECKING:
    from diagrammar.diagram import Diagram
    from diagrammar.pipeline import Trace


def run(file: str, name: str, *, steps: bool, raw: bool, format: str, given: Sequence[str]) -> int:
    """Print a diagram, or with `steps` its derivation; the exit status."""
    if raw and (steps or given):
        other = "--steps" if steps else "--set"
        way = "leave one of them out"
        raise Misuse(f"--raw shows the diagram as it is written, so {other} has no effect", way)
    values = settings(given)
    spec = load(file)
    diagram = spec[chosen(spec, [name])[0]]
    if raw:
        _print(diagram, None, format)
        return 0
    simplified = diagram.simplify(**values)
    _print(simplified.diagram, simplified.trace if steps else None, format)
    return 0


def _print(diagram: Diagram, trace: Trace | None, format: str) -> None:
    if format != "text":
        picture = _render(diagram if trace is None else trace, format)
        print(picture, end="" if picture.endswith("\n") else "\n")
        return
    if trace is not None:
        print(str(trace.start), end="")
        print_changes(f"\n{trace}\n")
    print(str(diagram), end="")


def _render(drawn: Diagram | Trace, format: str) -> str:
    try:
        formats = import_module("diagrammar.draw.formats")
    except ImportError:
        formats = None
    if not hasattr(formats, format):
        raise Misuse(f"format '{format}' is not in this version", "use --format text")
    from diagrammar.draw import render

    return render(drawn, format)
