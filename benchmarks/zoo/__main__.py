"""The zoo as a command: `dg.curvature` on every network, beside explicit Jacobians.

    python -m benchmarks.zoo --only swin
    python -m benchmarks.zoo --network mine:network

where `mine.py` has a function `network()` that returns (model, (x, y), loss). Small networks only:
the reference has a gradient of every output of every example by every parameter.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from typing import Annotated

import torch
import typer

import benchmarks.zoo.families  # noqa: F401  # registers the networks
from benchmarks import results
from benchmarks.progress import tracked
from benchmarks.zoo import own
from benchmarks.zoo.judge import QUANTITIES, Verdict, verdicts
from benchmarks.zoo.network import ENTRIES, SOURCES, Entry, missing
from benchmarks.zoo.report import Line, about, sheets

ANY = "."
"""Reasons for which a network of the user's own may be refused: all, as nobody has said more."""


def chosen(only: list[str], source: list[str], light: bool) -> list[Entry]:
    """The networks whose names have one of the words, of these sources."""
    return [
        entry
        for entry in ENTRIES.values()
        if not only or any(word.lower() in entry.name.lower() for word in only)
        if not source or entry.source in source
        if entry.light or not light
    ]


def judged(entry: Entry, quantities: list[str], cut: int) -> Line:
    """A network's line of the table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the packages, about what they will change
        try:
            problem = replace(entry.problem(), cut=cut)
        except Exception as error:  # of a package in another version: the others go on
            words = f"cannot be made: {type(error).__name__}: {error}"
            found = tuple(Verdict(quantity, failure=words) for quantity in quantities)
        else:
            found = tuple(verdicts(problem, entry.refused, quantities))
    return Line(entry.name, entry.source, entry.about, found)


def main(
    only: Annotated[list[str] | None, typer.Option(help="Part of a network's name.")] = None,
    source: Annotated[list[str] | None, typer.Option(help=", ".join(SOURCES))] = None,
    quantity: Annotated[list[str] | None, typer.Option(help=", ".join(QUANTITIES))] = None,
    light: Annotated[bool, typer.Option(help="Those that the test suite runs.")] = False,
    network: Annotated[str, typer.Option(help="Your own: module:function.")] = "",
    cut: Annotated[int, typer.Option(help="Two batches, the first of so many examples.")] = 0,
    listed: Annotated[bool, typer.Option("--list", help="Print the networks' names.")] = False,
    save: Annotated[bool, typer.Option(help="Write results/zoo.md and .json.")] = False,
) -> None:
    """Put networks of many kinds to dg.curvature: each number right to 1e-8, or refused in words.

    Exits with 1 for a wrong number, an error that is not in words of diagrammar's own, or a refusal
    for a reason that is not true. Networks of packages that are not installed are left out with a
    word; `pip install -c constraints.txt '.[zoo]'` brings them.
    """
    torch.set_num_threads(1)
    console, quantities = results.console(), quantity or list(QUANTITIES)
    unknown = sorted({*quantities} - {*QUANTITIES})
    if unknown:
        raise typer.BadParameter(f"no quantity {unknown[0]!r}", param_hint="--quantity")
    if network:
        try:
            problem = own.loaded(network)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--network") from None
        entries = [Entry(network, "own", "own", lambda: problem, "", ANY)]
    else:
        entries = chosen(only or [], source or [], light)
    if not entries:
        raise typer.BadParameter("no network of this name", param_hint="--only")
    if listed:
        for entry in entries:
            console.print(f"{entry.name}: {entry.source}; {entry.about}", highlight=False)
        return
    absent = {entry.source: missing(entry.source) for entry in entries if entry.source in SOURCES}
    lines = []
    with tracked(console) as progress:
        task = progress.add_task("networks", total=len(entries))
        for entry in entries:
            progress.update(task, description=entry.name)
            if not absent.get(entry.source):
                lines.append(judged(entry, quantities, cut))
            progress.advance(task)
    tables = sheets(lines, quantities)
    for table in tables:
        console.print(table.rich())
    for name, words in absent.items():
        if words:
            left = sum(entry.source == name for entry in entries)
            console.print(f"{left} networks of {name} left out: {words}", markup=False)
    if save:
        rows = [row for line in lines for row in line.rows()]
        given = "python -m benchmarks.zoo --save"
        console.print("written:", *results.save("zoo", given, [*tables, about(lines)], rows))
    sys.exit(int(not lines or not all(line.good for line in lines)))


if __name__ == "__main__":
    typer.run(main)
