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
from rich.table import Table

from benchmarks import operations
from benchmarks.layers import Layer, chosen, every, layers
from benchmarks.operations import OPERATIONS, Given, Operation
from benchmarks.progress import tracked
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


def outcome(layer: Layer, op: Operation, given: Given) -> Outcome:
    """Compile, run and compare; an exception is an outcome, too."""
    what = (layer.label, layer.kind, layer.unequal, op.name)
    try:
        function = operations.compiled(layer, op)
        ours = function(**{name: given[name] for name in op.operands})
        built = operations.dense_patterns(operations.specialised(layer, op, BATCH, function))
    except Exception as failure:  # a sweep reports all failures
        return Outcome(*what, float("inf"), 0, f"{type(failure).__name__}: {failure}")
    with torch.no_grad() if op.name.startswith("KFAC") else torch.enable_grad():
        expected = op.expected(operations.hyper(layer), given)
    return Outcome(*what, relative_error(ours, expected), built)


def outcomes(layer: Layer, ops: Sequence[Operation] = OPERATIONS) -> Iterator[Outcome]:
    """All operations on one layer, on the same operands."""
    given = operations.operands(layer, BATCH)
    for op in ops:
        yield outcome(layer, op, given)


def table(found: Sequence[Outcome]) -> Table:
    """Operations against classes of layers: how many are right, and the worst error."""
    kinds = list(dict.fromkeys(o.kind for o in found))
    shown = Table(title=f"largest relative error, float64, batch {BATCH} (passed/all)")
    shown.add_column("operation")
    for kind in [*kinds, "unequal", "all"]:
        shown.add_column(kind, justify="right")
    shown.add_column("I×O×K arrays", justify="right")
    for op in dict.fromkeys(o.operation for o in found):
        rows = [o for o in found if o.operation == op]
        parts = [[o for o in rows if o.kind == kind] for kind in kinds]
        parts += [[o for o in rows if o.unequal], rows]
        built = str(sum(o.dense_patterns for o in rows))
        shown.add_row(op, *(_cell(part) for part in parts), built)
    return shown


def _cell(part: Sequence[Outcome]) -> str:
    if not part:
        return "–"
    worst = max(o.error for o in part)
    passed = sum(o.good for o in part)
    text = f"{worst:.1e} ({passed}/{len(part)})"
    return text if passed == len(part) else f"[bold red]{text}[/]"


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
) -> None:
    """Check every operation on the layers of nine networks against PyTorch.

    For example `python -m benchmarks.conformance --every 10 --layers ResNet18`.
    """
    console = Console()
    found = chosen(every(layers(), nth) if nth > 1 else layers(), only or [])
    results: list[Outcome] = []
    start = perf_counter()
    with tracked(console) as progress:
        for layer in progress.track(found, description="layers"):
            results += outcomes(layer)
    console.print(table(results))
    bad = [o for o in results if not o.good]
    report(console, bad)
    if out:
        out.write_text(json.dumps([asdict(o) for o in results], indent=1), encoding="utf-8")
    console.print(
        f"{len(results) - len(bad)} of {len(results)} right to {TOLERANCE:g} on {len(found)} "
        f"layers, {perf_counter() - start:.0f} s, {torch.get_num_threads()} threads"
    )
    sys.exit(1 if bad or not results else 0)


if __name__ == "__main__":
    typer.run(main)
