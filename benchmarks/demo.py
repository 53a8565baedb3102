"""The main job on real layers: compile the shipped conv2d.tn for ResNet-18's convolutions.

Each function is checked against PyTorch in float64 and timed beside PyTorch's own way in float32.
The emitted code and the derivations are written where the last lines say.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer

from benchmarks import baselines, operations, results
from benchmarks.layers import Layer, chosen, layers
from benchmarks.operations import OPERATIONS, Operation
from benchmarks.progress import tracked
from benchmarks.results import Sheet
from benchmarks.timing import Clock, geometric_mean, shown
from diagrammar.draw import render
from diagrammar.rewrite.engine import Trace
from diagrammar.runtime.function import Function
from diagrammar.runtime.specialised import Specialised
from tests.reference import relative_error

CHECK_BATCH, TIME_BATCH = 2, 8
TOLERANCE = 1e-10


@dataclass(frozen=True)
class Result:
    """One operation on one layer."""

    layer: str
    operation: str
    error: float
    ours: float
    theirs: float
    way: str

    @property
    def ratio(self) -> float:
        """How many times faster than PyTorch's own way."""
        return self.theirs / self.ours


def result(layer: Layer, op: Operation, clock: Clock, out: Path) -> Result:
    """Compile an operation for a layer, check it, time it and write it down."""
    function, h = operations.compiled(layer, op), operations.hyper(layer)
    exact = operations.operands(layer, CHECK_BATCH)
    ours = function(**{name: exact[name] for name in op.operands})
    error = relative_error(ours, op.expected(h, exact))
    given = operations.operands(layer, TIME_BATCH, torch.float32)
    values = [given[operand.name] for operand in function.operands]
    ways = baselines.ways(op.name, h, given)
    times = clock.times({"ours": lambda: function(*values), **ways})
    best = min(ways, key=times.__getitem__)
    write(layer, op, function, out)
    return Result(layer.name, op.name, error, times["ours"], times[best], best)


def write(layer: Layer, op: Operation, function: Function, out: Path) -> None:
    """The emitted module and its derivation, in files named after layer and operation."""
    special = operations.specialised(layer, op, TIME_BATCH, function)
    stem = f"{layer.name}-{op.definition}".replace(".", "_")
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{stem}.py").write_text(special.source, encoding="utf-8")
    derivation = [f"{op.name} of {layer.label}: {layer.geometry}, batch {TIME_BATCH}"]
    for trace, diagram in zip(special.traces, special.diagrams, strict=True):
        derivation += [str(trace), f"simplified:\n\n{diagram}"]
        picture(trace, special, out / stem)
    derivation.append(f"plan:\n\n{special.plan}")
    (out / f"{stem}.txt").write_text("\n\n".join(derivation) + "\n", encoding="utf-8")


def picture(trace: Trace, special: Specialised, stem: Path) -> None:
    """The derivation drawn: as a page beside plan and code, and as a picture of all steps."""
    stem.with_suffix(".html").write_text(render(special, "html"), encoding="utf-8")
    stem.with_suffix(".svg").write_text(render(trace, "svg"), encoding="utf-8")


def sheet(found: Sequence[Result]) -> Sheet:
    """Every layer and operation."""
    rows = tuple(
        (
            r.layer,
            r.operation,
            f"{r.error:.1e}",
            shown(r.ours),
            shown(r.theirs),
            r.way,
            f"{r.ratio:.2f}",
        )
        for r in found
    )
    return Sheet(
        "conv2d.tn on ResNet-18",
        ("layer", "operation", "largest error", "ours", "PyTorch", "its way", "ratio"),
        rows,
        labels=2,
        notes=(
            f"error: relative, float64, batch {CHECK_BATCH}, against operator, autograd and unfold",
            f"times: float32, batch {TIME_BATCH}, one thread, in turn; ratio = PyTorch / ours",
            "weight JVP: from conv2d_unequal.tn, since conv2d.tn defines the input's alone",
        ),
        bad=frozenset(n for n, r in enumerate(found) if r.error > TOLERANCE),
    )


def summary(found: Sequence[Result]) -> Sheet:
    """One line an operation."""
    rows = []
    for op in OPERATIONS:
        part = [r for r in found if r.operation == op.name]
        ratios = [r.ratio for r in part]
        spread = (f"{v:.2f}" for v in (geometric_mean(ratios), min(ratios), max(ratios)))
        rows.append((op.name, f"{max(r.error for r in part):.1e}", *spread))
    columns = ("operation", "largest error", "geometric mean ratio", "least", "most")
    return Sheet("by operation", columns, tuple(rows))


def main(
    out: Annotated[Path, typer.Option(help="Where code and traces are written.")] = Path("out"),
    network: Annotated[str, typer.Option(help="Layers whose name contains this.")] = "ResNet18",
    seconds: Annotated[float, typer.Option(help="Time to measure each operation for.")] = 0.5,
    save: Annotated[bool, typer.Option(help="Write results/demo.md and .json.")] = False,
) -> None:
    """Compile conv2d.tn for ResNet-18's distinct convolutions; check, time and write it down."""
    torch.set_num_threads(1)
    console = results.console()
    folder = out / network.lower()
    jobs = [(layer, op) for layer in chosen(layers(), [network]) for op in OPERATIONS]
    clock = Clock(rounds=21, least=3, seconds=seconds)
    with tracked(console) as progress:
        task = progress.add_task("compiling, checking, timing", total=len(jobs))
        found = []
        for layer, op in jobs:
            progress.update(task, description=f"{layer.name} {op.name}")
            found.append(result(layer, op, clock, folder))
            progress.advance(task)
    sheets = [sheet(found), summary(found)]
    for table in sheets:
        console.print(table.rich())
    if save:
        rows = [{**asdict(r), "ratio": r.ratio} for r in found]
        results.save("demo", "python -m benchmarks.demo", sheets, rows)
    right = sum(r.error <= TOLERANCE for r in found)
    console.print(f"{right} of {len(found)} functions agree with PyTorch to {TOLERANCE:g}.")
    console.print(f"Emitted code:  {folder}/*.py   (needs torch only)", highlight=False)
    console.print(f"Derivations:   {folder}/*.txt  (rules, laws, changes, plan)", highlight=False)
    for kind in sorted({p.suffix for p in folder.iterdir()} & {".html", ".svg"}):
        console.print(f"Pictures:      {folder}/*{kind}", highlight=False)
    sys.exit(0 if found and right == len(found) else 1)


if __name__ == "__main__":
    typer.run(main)
