"""The study of the paper on its 132 layers: five operations against two baselines.

*Paper*: PyTorch's operator, or the faster of two ways that unfold. *Best*: the fastest of those and
of hand-written code without unfolding. Ours are compiled with `plan="measure"`; the times of the
candidates also say how far the cost model's choice is from the best. All take turns in one process,
and a ratio counts where the baseline takes 200 µs or more. With one thread on a CPU, seconds are
the processor's.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
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
from diagrammar.plan.candidates import choose
from diagrammar.plan.measure import RESERVED, reserved, timed
from tests.plan.peaks import measured
from tests.reference import relative_error

NAMES = ("forward", "weight VJP", "input VJP", "KFAC-expand", "KFAC-reduce")
BATCH = 16
COUNTED = 2e-4


@dataclass(frozen=True)
class Row:
    """One layer and operation: median seconds, and what the planner took.

    Of KFAC-expand the bytes beyond the result at the peak: ours, of unfolding, and of the leaner of
    the two ways that unfold. Of KFAC-reduce its floor: reading the input once, and the final
    product.
    """

    layer: str
    geometry: str
    kind: str
    operation: str
    ours: float
    again: float
    paper: float
    best: float
    best_way: str
    candidate: str
    cost_choice: float
    first_call: float
    error: float
    extra: int = 0
    unfolding: int = 0
    leanest: int = 0
    floor: float = 0.0

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
    expected = next(iter(paper.values()))()
    error = relative_error(result, expected.reshape(result.shape))
    known = {**baselines.best_known(name, h, given), **baselines.peers(name, h, given)}
    known = promising(known, clock.clock)
    known.update(paper)
    special = operations.specialised(layer, op, BATCH, function)
    twice = {"ours": lambda: function(*arguments), "again": lambda: function(*arguments)}
    least = {"floor": baselines.floor(h, given["X"])} if name == "KFAC-reduce" else {}
    with reserved(RESERVED) if device == "cpu" else nullcontext():  # or the heap decides
        times = clock.times({**twice, **known, **least})
    way = min(known, key=lambda n: times[n])
    seconds = special.seconds
    cheapest = choose(special.candidates).name
    penalty = seconds[cheapest] / min(seconds.values()) if cheapest in seconds else 1.0
    extra = unfolding = leanest = 0
    if device == "cpu" and name == "KFAC-expand":
        held = result.numel() * result.element_size()
        extra = measured(twice["ours"]) - held
        others = [measured(call) - held for call in paper.values()]
        unfolding, leanest = others[0], min(others)
    return Row(
        layer.label, layer.geometry, layer.kind, name, times["ours"], times["again"],
        min(times[n] for n in paper), times[way], way, special.chosen or cheapest, penalty, first,
        error, extra, unfolding, leanest, times.get("floor", 0.0),
    )  # fmt: skip


def promising(
    ways: dict[str, baselines.Way], clock: Callable[[], float]
) -> dict[str, baselines.Way]:
    """Those that take less than four times as long as the fastest, called once or twice."""
    first = timed(list(ways.values()), clock, rounds=1, hopeless=4.0)
    return {n: w for (n, w), s in zip(ways.items(), first, strict=True) if s <= 4 * min(first)}


def noise(rows: Sequence[Row]) -> Sheet:
    """How far apart two runs of one and the same program are."""
    ratios = sorted(r.again / r.ours for r in rows if r.counted)
    lines = []
    for share in (0.5, 0.8, 0.95, 1.0):
        cut = round((1 - share) / 2 * (len(ratios) - 1))
        lines.append((f"{share:.0%}", f"{ratios[cut]:.3f}", f"{ratios[-1 - cut]:.3f}"))
    columns = ("share of pairs", "from", "to")
    return Sheet("the same program twice: ratio of the two times", columns, tuple(lines))


def bars(rows: Sequence[Row]) -> Sheet:
    """The project's bars: what is asked, what was found."""
    dense = {"dense", "downsampling"}
    plain = {
        x.label for x in layers() if x.groups == 1 and max(x.stride) == 1 and min(x.kernel_size) > 2
    }

    def mean(name: str, against: str, of: Callable[[Row], bool] = lambda _r: True) -> str:
        found = [
            getattr(r, against) / r.ours
            for r in rows
            if r.operation == name and r.counted and of(r)
        ]
        return f"{geometric_mean(found):.2f}" if found else "—"

    def least(name: str, against: str) -> str:
        found = [getattr(r, against) / r.ours for r in rows if r.operation == name and r.counted]
        return f"{min(found):.2f}" if found else "—"

    asked: list[tuple[str, str, str, str]] = [
        ("KFAC-reduce, paper, general", "geometric mean", "9",
         mean("KFAC-reduce", "paper", lambda r: r.kind == "general")),
        ("KFAC-reduce, paper, all", "geometric mean", "5", mean("KFAC-reduce", "paper")),
        ("KFAC-reduce, best, general", "geometric mean", "3",
         mean("KFAC-reduce", "best", lambda r: r.kind == "general")),
        ("KFAC-reduce, best, all", "geometric mean", "2.2", mean("KFAC-reduce", "best")),
        ("KFAC-reduce, best", "least", "0.95", least("KFAC-reduce", "best")),
        ("KFAC-expand, paper, stride 1, K ≥ 3, one group", "geometric mean", "2.5",
         mean("KFAC-expand", "paper", lambda r: r.layer in plain)),
        ("KFAC-expand, paper, all", "geometric mean", "1.5", mean("KFAC-expand", "paper")),
        ("KFAC-expand, best, all", "geometric mean", "1.3", mean("KFAC-expand", "best")),
        ("KFAC-expand, best", "least", "0.9", least("KFAC-expand", "best")),
        ("input VJP, paper, dense and downsampling", "geometric mean", "1.2",
         mean("input VJP", "paper", lambda r: r.kind in dense)),
    ]  # fmt: skip
    for name in NAMES[:3]:
        asked.append((f"{name}, paper", "geometric mean", "1", mean(name, "paper")))
        asked.append((f"{name}, paper", "least", "0.9", least(name, "paper")))
    above = [r.ours / r.floor for r in rows if r.floor and r.counted]
    asked.append(("KFAC-reduce, ours / its floor", "median",
                  "at most 1.5", f"{median(above):.2f}" if above else "—"))  # fmt: skip
    for way, limit in (("unfolding", "at most 0.4"), ("leanest", "")):
        taken = [(r.extra, getattr(r, way)) for r in rows if r.operation == "KFAC-expand"]
        share = f"{median(a / b for a, b in taken if b):.2f}" if any(b for _, b in taken) else "—"
        words = {"unfolding": "unfold + matmul", "leanest": "the leaner of the two that unfold"}
        asked.append((f"KFAC-expand, extra memory / {words[way]}", "median", limit, share))
    columns = ("ratio", "of all counted", "asked", "found")
    return Sheet("the bars", columns, tuple(asked), 2)


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
    nth: Annotated[int, typer.Option("--every", help="Every nth layer of each family.")] = 1,
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
        alone = threads == 1 and device == "cpu"
        clock = Clock(7 if quick else 9, alone, least=3, seconds=0.3 if quick else 0.5)
        found = layers()
        nth = 10 if quick else nth
        found = chosen(every(found, nth) if nth > 1 else found, only or ())
        if not found:
            raise typer.BadParameter("no layer's name has one of these words", param_hint="--only")
        pairs = [(layer, name) for layer in found for name in NAMES]
        rows = [row(*p, clock, device) for p in progress.track(pairs, description="layers")]
    sheets = [bars(rows), summary(rows, "paper"), summary(rows, "best"), worst(rows)]
    sheets += [planner(rows), noise(rows)]
    for sheet in sheets:
        console.print(sheet.rich())
    if picture:
        plot(rows, picture)
    if save:
        flags = [
            *(["--quick"] if quick else [f"--every {nth}"] if nth > 1 else []),
            *(f"--only {word}" for word in only or ()),
            *([f"--device {device}"] if device != "cpu" else []),
            "--save",
        ]
        command = " ".join(["python -m benchmarks.study", *flags])
        kept = "study_quick" if quick else "study"
        console.print("written:", *results.save(kept, command, sheets, [asdict(r) for r in rows]))


if __name__ == "__main__":
    sys.exit(typer.run(main))
