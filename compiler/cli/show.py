"""`diagrammar show`: one diagram and how it is simplified, as text, as a picture or as a report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from diagrammar.cli.inputs import Misuse, chosen, load, settings, shapes
from diagrammar.cli.output import note, print_changes, write_output
from diagrammar.grammar.errors import DiagramError
from diagrammar.transform.values import at_rank

if TYPE_CHECKING:
    from diagrammar.ir.diagram import Diagram
    from diagrammar.rewrite.engine import Simplified
    from diagrammar.runtime.specialised import Specialised


@dataclass(frozen=True)
class Showing:
    """How to show a diagram: the format, with steps or not, for which shapes, and the file to write
    (- is standard output)."""

    format: str = "text"
    steps: bool = False
    picture: bool = False
    raw: bool = False
    shape: tuple[str, ...] = ()
    output: str = "-"


def run(file: str, name: str, wish: Showing, given: Sequence[str]) -> int:
    """Show a diagram; the exit status."""
    _check(wish, given)
    values, known = settings(given), shapes(wish.shape)
    spec = load(file)
    diagram = spec[chosen(spec, [name])[0]]
    if diagram.family:
        diagram, values = at_rank(diagram, values)
    if wish.format == "html" and not wish.raw:
        text = _report(diagram, values, known)
    elif wish.raw:
        text = _shown(wish, diagram, None)
    else:
        simplified = diagram.simplify(**values)
        text = _shown(wish, simplified.diagram, simplified if wish.steps else None)
    if wish.steps and wish.format == "text" and wish.output == "-" and sys.stdout.isatty():
        print_changes(text.rstrip("\n"))
        return 0
    write_output(wish.output, text if text.endswith("\n") else f"{text}\n", file, spec)
    if wish.output != "-":
        note(f"wrote {wish.output}")
    return 0


def _check(wish: Showing, given: Sequence[str]) -> None:
    """Raise Misuse for options that contradict one another."""
    if wish.raw and (wish.steps or given or wish.shape):
        other = "--steps" if wish.steps else "--set" if given else "--shape"
        way = "leave one of them out"
        raise Misuse(f"--raw shows the diagram as it is written, so {other} has no effect", way)
    if wish.shape and wish.format != "html":
        raise Misuse("--shape is for reports", "add --format html, or use diagrammar compile")
    if wish.picture and wish.format != "text":
        raise Misuse(f"--picture is for text, and {wish.format} is a picture", "leave it out")
    if PurePath(wish.output).suffix.lower() == ".tn" and (wish.format != "text" or wish.picture):
        raise Misuse(f"'{wish.output}' would be overwritten with a picture", "name another file")


def _shown(wish: Showing, diagram: Diagram, derivation: Simplified | None) -> str:
    """Draw or write the diagram, or its derivation, in the wanted format."""
    from diagrammar.draw import render

    drawn = diagram if derivation is None else derivation
    if wish.format != "text":
        return render(drawn, wish.format)
    picture = f"{render(drawn, 'text').rstrip()}\n\n" if wish.picture else ""
    if derivation is None:
        return f"{picture}{diagram}"
    trace = derivation.trace
    return f"{picture}{trace.start}\n{trace}\n\n{diagram}"


def _report(diagram: Diagram, values: dict[str, Any], known: dict[str, tuple[int, ...]]) -> str:
    """The report of the compiled function; of the derivation alone where a function needs
    shapes."""
    from diagrammar.draw import render

    function = diagram.compile(**values)
    if known:
        return render(function.specialise(**known), "html")
    simplified = diagram.simplify(**values)
    compiled: Specialised | None = None
    try:
        compiled = function.generic()
    except DiagramError as error:
        note(f"this report has no plan and no source: {error.errors[0].message}")
        note("give --shape for each operand, or what is missing with --set")
    return render(compiled or simplified, "html")
