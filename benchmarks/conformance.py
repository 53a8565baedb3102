"""All 132 layers against PyTorch: seven operations each, in float64, to 1e-10 relative.

Forward with bias, both VJPs, both JVPs, KFAC-expand and KFAC-reduce per group, against operator,
autograd and unfold-based factors. Also: no emitted function builds an I×O×K array, that is, no
program has an `Indicator` step (the only source of 0/1 arrays) with three or more axes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated

import torch
import typer
from rich.console import Console

from benchmarks import operations, results
from benchmarks.layers import Layer, chosen, every, layers
from benchmarks.operations import OPERATIONS, Given, Operation
from benchmarks.progress import tracked
from benchmarks.results import Sheet
from tests.reference import relative_error

BATCH = 2
TOLERANCE = 1e-10
SHOWN = 5


@dataclass(frozen=True)
class Outcome:
    """One operation on one layer: its error, what it built, and what went wrong if it raised."""

    layer: str
    kind: str
    unequal: bool
    operation: str
    error: float
    dense_patterns: int
    failure: str = ""

    @property
    def good(self) -> bool:
        """Close enough, and no pattern was built."""
        return self.error <= TOLERANCE and not self.dense_patterns and not self.failure


def outcome(layer: Layer, op: Operation, given: Given, *, native: bool = True) -> Outcome:
    """Compile, run and compare; an exception is an outcome, too."""
    what = (layer.label, layer.kind, layer.unequal, op.name)
    try:
        function = operations.compiled(layer, op, native=native)
        ours = function(**{name: given[name] for name in op.operands})
        built = operations.dense_patterns(operations.specialised(layer, op, BATCH, function))
    except Exception as failure:  # a sweep reports all failures
        return Outcome(*what, float("inf"), 0, f"{type(failure).__name__}: {failure}")
    with torch.no_grad() if op.name.startswith("KFAC") else torch.enable_grad():
        expected = op.expected(operations.hyper(layer), given)
    return Outcome(*what, relative_error(ours, expected), built)


def outcomes(layer: Layer, *, native: bool = True) -> Iterator[Outcome]:
    """All operations on one layer, on the same operands."""
    given = operations.operands(layer, BATCH)
    for op in OPERATIONS:
        yield outcome(layer, op, given, native=native)


def sheet(found: Sequence[Outcome], native: bool) -> Sheet:
    """Operations against classes of layers: the worst error, and how many of how many are right."""
    kinds = list(dict.fromkeys(o.kind for o in found))
    rows: list[tuple[str, ...]] = []
    bad: set[int] = set()
    for op in dict.fromkeys(o.operation for o in found):
        mine = [o for o in found if o.operation == op]
        parts = [[o for o in mine if o.kind == kind] for kind in kinds]
        parts += [[o for o in mine if o.unequal], mine]
        built = str(sum(o.dense_patterns for o in mine))
        if not all(o.good for o in mine):
            bad.add(len(rows))
        rows.append((op, *map(_cell, parts), built))
    calls = "" if native else ", without native calls"
    return Sheet(
        f"largest relative error against PyTorch (right/all), float64, batch {BATCH}{calls}",
        ("operation", *kinds, "unequal", "all", "I×O×K arrays"),
        tuple(rows),
        notes=("unequal: those with another padding in each dimension, from conv2d_unequal.tn",),
        bad=frozenset(bad),
    )


def _cell(part: Sequence[Outcome]) -> str:
    if not part:
        return "–"
    return f"{max(o.error for o in part):.1e} ({sum(o.good for o in part)}/{len(part)})"


def report(console: Console, bad: Sequence[Outcome]) -> None:
    """What is wrong, where: the same reason once, with the places it was seen."""
    reasons: dict[str, list[Outcome]] = {}
    for o in bad:
        what = o.failure or f"error {o.error:.2e}, {o.dense_patterns} I×O×K arrays"
        reasons.setdefault(what, []).append(o)
    for what, places in reasons.items():
        console.print(what, style="red", markup=False, highlight=False)
        for o in places[:SHOWN]:
            console.print(f"  {o.operation} on {o.layer}", markup=False, highlight=False)
        if len(places) > SHOWN:
            console.print(f"  … and {len(places) - SHOWN} more")


def main(
    nth: Annotated[int, typer.Option("--every", help="A representative nth of the layers.")] = 1,
    only: Annotated[
        list[str] | None, typer.Option("--layers", help="Layers whose name contains this.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--json", help="Write all outcomes here.")] = None,
    native: Annotated[bool, typer.Option(help="Whether library convolutions may be used.")] = True,
    save: Annotated[bool, typer.Option(help="Write results/conformance.md and .json.")] = False,
) -> None:
    """Check every operation on the layers of nine networks against PyTorch.

    For example `python -m benchmarks.conformance --every 10 --layers ResNet18`. Exits with 1 when
    an error is above 1e-10 or an I×O×K array is built.
    """
    console = results.console()
    found = chosen(every(layers(), nth) if nth > 1 else layers(), only or [])
    made: list[Outcome] = []
    start = perf_counter()
    with tracked(console) as progress:
        for layer in progress.track(found, description="layers"):
            made += outcomes(layer, native=native)
    table, bad = sheet(made, native), [o for o in made if not o.good]
    console.print(table.rich())
    report(console, bad)
    if out:
        out.write_text(json.dumps([asdict(o) for o in made], indent=1), encoding="utf-8")
    if save:
        name = "conformance" if native else "conformance_without_native"
        command = f"python -m benchmarks.conformance{'' if native else ' --no-native'}"
        console.print("written:", *results.save(name, command, [table], map(asdict, made)))
    console.print(
        f"{len(made) - len(bad)} of {len(made)} right to {TOLERANCE:g} on {len(found)} "
        f"layers, {perf_counter() - start:.0f} s, {torch.get_num_threads()} threads"
    )
    sys.exit(1 if bad or not made else 0)


if __name__ == "__main__":
    typer.run(main)
