"""The study of the paper on its 132 layers: five operations against two baselines.

*Paper*: PyTorch's operator, or the faster of two ways that unfold. *Best*: the fastest of those and
of hand-written code without unfolding. Ours are compiled with `plan="measure"`; the times of the
candidates also say how far the cost model's choice is from the best. All take turns in one process,
and a ratio counts where the baseline takes 200 µs or more.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Annotated

import torch
import typer
from rich.console import Console

from benchmarks import baselines, operations, results
from benchmarks.layers import Layer, chosen, every, layers
from benchmarks.progress import tracked
from benchmarks.results import Sheet
from benchmarks.timing import Clock, geometric_mean
from tests.reference import relative_error

NAMES = ("forward", "weight VJP", "input VJP", "KFAC-expand", "KFAC-reduce")
BATCH = 16
COUNTED = 2e-4


@dataclass(frozen=True)
class Row:
    """One layer and operation: median seconds, and what the planner took."""

    layer: str
    geometry: str
    kind: str
    operation: str
    ours: float
    paper: float
    best: float
    best_way: str
    candidate: str
    cost_choice: float
    first_call: float
    error: float

    @property
    def counted(self) -> bool:
        """Whether the baseline takes long enough for a ratio."""
        return self.best >= COUNTED


def row(layer: Layer, name: str, clock: Clock, device: str) -> Row:
    """One operation on one layer."""
    from time import perf_counter

    op, h = operations.operation(name), operations.hyper(layer)
    given = operations.operands(layer, BATCH, torch.float32)
    given = {n: t.to(device) for n, t in given.items()}
    function = operations.compiled(layer, op, plan="measure")
    arguments = [given[n] for n in op.operands]
    start = perf_counter()
    result = function(*arguments)
    first = perf_counter() - start
    paper = baselines.ways(name, h, given)
    known = baselines.best_known(name, h, given)
    expected = next(iter(paper.values()))()
    error = relative_error(result, expected.reshape(result.shape))
    special = operations.specialised(layer, op, BATCH, function)
    times = clock.times({"ours": lambda: function(*arguments), **known})
    way = min(known, key=lambda n: times[n])
    seconds = special.seconds
    cheapest = special.candidates[0].name
    penalty = seconds[cheapest] / min(seconds.values()) if cheapest in seconds else 1.0
    return Row(
        layer.label, layer.geometry, layer.kind, name, times["ours"],
        min(times[n] for n in paper), times[way], way, special.chosen or cheapest, penalty, first,
        error,
    )  # fmt: skip


def summary(rows: Sequence[Row], against: str) -> Sheet:
    """Ratios by operation and kind of layer."""
    lines = []
    for name in NAMES:
        for kind in ("all", *dict.fromkeys(r.kind for r in rows)):
            found = [r for r in rows if r.operation == name and kind in ("all", r.kind)]
            ratios = [getattr(r, against) / r.ours for r in found if r.counted]
            if ratios:
                numbers = (geometric_mean(ratios), median(ratios), min(ratios), max(ratios))
                lines.append((name, kind, str(len(ratios)), *(f"{n:.2f}" for n in numbers)))
    small = [r.ours - r.best for r in rows if not r.counted]
    notes = [f"Largest relative error (float32): {max(r.error for r in rows):.1e}."]
    if small:
        added = max(small) * 1e6
        notes.append(
            f"{len(small)} pairs with a baseline below 200 µs: at most {added:.0f} µs slower."
        )
    columns = ("operation", "layers", "count", "geometric mean", "median", "least", "most")
    return Sheet(
        f"{against} / ours, batch {BATCH}, float32", columns, tuple(lines), 2, tuple(notes)
    )


def worst(rows: Sequence[Row], count: int = 12) -> Sheet:
    """The pairs with the least ratios against the best baseline."""
    counted = sorted((r for r in rows if r.counted), key=lambda r: r.best / r.ours)[:count]
    lines = tuple(
        (r.layer, r.geometry, r.operation, r.best_way, r.candidate, f"{r.best / r.ours:.2f}")
        for r in counted
    )
    columns = ("layer", "geometry", "operation", "baseline", "candidate", "ratio")
    return Sheet("the least ratios (best / ours)", columns, lines, 5)


def planner(rows: Sequence[Row]) -> Sheet:
    """How often the cost model's choice is within 10 % of the best measured candidate."""
    lines = []
    for name in ("all", *NAMES):
        found = [r for r in rows if name in ("all", r.operation)]
        if found:
            good = sum(r.cost_choice <= 1.1 for r in found)
            lines.append((name, str(len(found)), f"{100 * good / len(found):.0f} %"))
    return Sheet(
        "cost model within 10 % of the best candidate",
        ("operation", "pairs", "share"),
        tuple(lines),
    )


def plot(rows: Sequence[Row], path: str) -> None:
    """Box plots of the ratios, as the paper has them."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True)
    for axis, against in zip(axes, ("paper", "best"), strict=True):
        data = [
            [getattr(r, against) / r.ours for r in rows if r.operation == n and r.counted]
            for n in NAMES
        ]
        axis.boxplot(data, tick_labels=NAMES)
        axis.set_yscale("log")
        axis.axhline(1, color="grey", linewidth=0.8)
        axis.set_title(f"{against} / ours")
        axis.tick_params(axis="x", rotation=25)
    figure.tight_layout()
    figure.savefig(path)


def main(
    quick: Annotated[bool, typer.Option(help="Every tenth layer, fewer turns.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Layers whose label has this.")] = None,
    threads: Annotated[int, typer.Option(help="Threads of the CPU.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda (timed by CUDA events).")] = "cpu",
    save: Annotated[bool, typer.Option(help="Write results/study.md and .json.")] = False,
    picture: Annotated[str, typer.Option(help="Write box plots here (needs matplotlib).")] = "",
) -> None:
    """Measure five operations on the paper's layers against two baselines, and print tables."""
    torch.set_num_threads(threads)
    console = Console()
    with tempfile.TemporaryDirectory() as cache, tracked(console) as progress:
        os.environ["DIAGRAMMAR_CACHE"] = cache  # nothing is remembered from earlier runs
        clock = Clock(7, least=3, seconds=0.4) if quick else Clock(21, least=5, seconds=2.0)
        found = layers()
        found = chosen(every(found, 10) if quick else found, only or ())
        pairs = [(layer, name) for layer in found for name in NAMES]
        rows = [row(*p, clock, device) for p in progress.track(pairs, description="layers")]
    sheets = [summary(rows, "paper"), summary(rows, "best"), worst(rows), planner(rows)]
    for sheet in sheets:
        console.print(sheet.rich())
    if picture:
        plot(rows, picture)
    if save:
        flags = [
            *(["--quick"] if quick else []),
            *(f"--only {word}" for word in only or ()),
            *([f"--device {device}"] if device != "cpu" else []),
            "--save",
        ]
        command = " ".join(["python -m benchmarks.study", *flags])
        kept = "study_quick" if quick else "study"
        console.print("written:", *results.save(kept, command, sheets, [asdict(r) for r in rows]))


if __name__ == "__main__":
    sys.exit(typer.run(main))
