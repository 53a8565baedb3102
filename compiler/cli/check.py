"""`diagrammar check`: every error of every file, else a line for each definition."""

from __future__ import annotations

from collections.abc import Sequence

from diagrammar.cli.inputs import Misuse, read
from diagrammar.cli.output import complain, note
from diagrammar.grammar.errors import DiagramError, Problem
from diagrammar.grammar.source import Source
from diagrammar.ir.diagram import Axes, Diagram
from diagrammar.ir.scalar import Dim, size, text
from diagrammar.ir.sizes import base
from diagrammar.language.spec import Spec
from diagrammar.language.spec import read as read_spec
from diagrammar.plan.planner import axis_names
from diagrammar.transform.values import resolve_values


def run(files: Sequence[str]) -> int:
    """Check files; the exit status."""
    errors = 0
    misuse = False
    for name in dict.fromkeys(files):
        try:
            problems, lines = check(name)
        except Misuse as problem:
            complain([problem.problem])
            misuse = True
            continue
        complain(problems)
        errors += sum(problem.severity == "error" for problem in problems)
        print("".join(f"{line}\n" for line in lines), end="")
    if errors:
        note(f"{errors} error{'s' * (errors > 1)}")
    return 2 if misuse else min(errors, 1)


def check(name: str) -> tuple[tuple[Problem, ...], list[str]]:
    """The problems of a file, and its summary unless one of them is an error."""
    try:
        return check_source(read(name))
    except DiagramError as error:
        return error.errors, []


def check_source(source: Source) -> tuple[tuple[Problem, ...], list[str]]:
    """The problems of a text, and its summary unless one of them is an error."""
    spec, problems = read_spec(source)
    diagrams = []
    clashes: dict[str, Problem] = {}
    for diagram in spec.sound():
        values, clash = resolve_values(diagram, {})
        clashes.update({str(problem): problem for problem in clash})
        diagrams.append(diagram.substitute(values))
    everything = (*problems, *clashes.values())
    if any(problem.severity == "error" for problem in everything):
        return everything, []
    return everything, _summary(spec, diagrams)


def _summary(spec: Spec, diagrams: Sequence[Diagram]) -> list[str]:
    """A line for each definition, in columns."""
    count = f"{len(diagrams)} definition{'s' * (len(diagrams) != 1)}"
    rows = [_row(diagram, spec.axes_as_written(diagram)) for diagram in diagrams]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)) for row in rows]
    return [f"{spec.source.name}: {count}", *(f"  {line}".rstrip() for line in lines)]


def _row(diagram: Diagram, axes: Axes) -> tuple[str, str, str, str]:
    """Describe a definition: name with axes as written, operands, summed wires, and sizes at the
    file's own values."""
    head = f"{diagram.name}[{', '.join(axis_names(axes))}]"
    summed = dict.fromkeys(w for term in diagram.terms for w in term.inner(diagram.open))
    sizes: dict[str, Dim] = {}
    for term in diagram.terms:
        sizes.update({base(w): s for w, s in term.sizes.items()})
    stated = [f"{w} = {text(s)}" for w, s in sizes.items() if s != size(w)]
    return (
        head,
        f"of {', '.join(o.name for o in diagram.operands)}" if diagram.operands else "",
        f"sums {', '.join(summed)}" if summed else "",
        ", ".join(stated),
    )
