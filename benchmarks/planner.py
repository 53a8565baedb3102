"""How good the cost model's choices are: all candidates of each (layer, operation) pair, timed.

A choice is good where it takes at most 10 % longer than the fastest candidate. `--keep FILE` stores
the times by the candidates' sources, so that a changed cost model is judged without measuring
again; a pair with a candidate that has no time is measured anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from math import log
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Annotated, Any

import torch
import typer

from benchmarks import operations, results
from benchmarks.layers import Layer, chosen, every, layers
from benchmarks.progress import tracked
from benchmarks.results import Sheet
from diagrammar.backends.torch import emit as backend
from diagrammar.plan.candidates import Candidate, best
from diagrammar.plan.measure import RESERVED, digest, reserved, timed

NAMES = ("forward", "weight VJP", "input VJP", "KFAC-expand", "KFAC-reduce")
BATCH = 16
GOOD = 1.1

Times = dict[str, float]


@dataclass(frozen=True)
class Pair:
    """One layer and operation: the candidates, cheapest first by the cost model, and seconds; the
    number of the one that would be taken."""

    layer: str
    geometry: str
    operation: str
    names: tuple[str, ...]
    predicted: tuple[float, ...]
    seconds: tuple[float, ...]
    taken: int

    @property
    def penalty(self) -> float:
        """How many times longer than the fastest candidate the cost model's choice takes."""
        return self.seconds[self.taken] / min(self.seconds)

    @property
    def fastest(self) -> int:
        """The number of the fastest candidate."""
        return self.seconds.index(min(self.seconds))


def found(layer: Layer, name: str) -> tuple[operations.Operation, tuple[Candidate, ...]]:
    """The candidates, cheapest first."""
    op = operations.operation(name)
    function = operations.compiled(layer, op)
    return op, operations.specialised(layer, op, BATCH, function).candidates


def pair(layer: Layer, name: str, kept: Times, device: str) -> Pair:
    """Price the candidates, and time those without a time."""
    op, candidates = found(layer, name)
    sources = [backend.emit_module([c.planned.program], "", checked=False) for c in candidates]
    keys = [digest(f"{layer.label} {source}") for source in sources]
    if any(key not in kept for key in keys):
        given = operations.operands(layer, BATCH, torch.float32)
        values = [given[operand].to(device) for operand in op.operands]
        calls = [
            partial(backend.load_one(s, c.planned.program.name), *values)
            for s, c in zip(sources, candidates, strict=True)
        ]
        # seconds of the processor, where there is one thread: other programs count for less
        clock = process_time if device == "cpu" and torch.get_num_threads() == 1 else perf_counter
        heap = reserved(RESERVED) if device == "cpu" else nullcontext()
        with torch.no_grad(), heap:
            kept.update(zip(keys, timed(calls, clock, rounds=9, budget=1.5), strict=True))
    return Pair(
        layer.label,
        layer.geometry,
        name,
        tuple(c.name for c in candidates),
        tuple(c.cost for c in candidates),
        tuple(kept[key] for key in keys),
        best([c.cost for c in candidates], candidates),
    )


def shares(pairs: Sequence[Pair]) -> Sheet:
    """How often the choice is good, and how far estimates are off."""
    lines = []
    for name in ("all", *NAMES):
        own = [p for p in pairs if name in ("all", p.operation)]
        if not own:
            continue
        good = sum(p.penalty <= GOOD for p in own)
        lost = sum(p.seconds[p.taken] for p in own) / sum(min(p.seconds) for p in own)
        off = [abs(log(a / b)) for p in own for a, b in zip(p.predicted, p.seconds, strict=True)]
        lines.append(
            (
                name,
                str(len(own)),
                f"{100 * good / len(own):.0f} %",
                f"{max(p.penalty for p in own):.2f}",
                f"{lost:.3f}",
                f"{2.718 ** median(off):.2f}",
            )
        )
    return Sheet(
        f"the cost model's choice against the fastest candidate, batch {BATCH}, float32",
        (
            "operation", "pairs", "within 10 %", "worst", "total time / best",
            "median estimate off by",
        ),
        tuple(lines),
        notes=(
            "seconds: of the processor, one thread",
            "the model and its rates were chosen by looking at these layers: no test on others",
        ),
    )  # fmt: skip


def misses(pairs: Sequence[Pair], count: int) -> Sheet:
    """The choices that lose most."""
    worst = sorted((p for p in pairs if p.penalty > GOOD), key=lambda p: -p.penalty)[:count]
    lines = tuple(
        (
            f"{p.layer} ({p.geometry})",
            p.operation,
            f"{p.names[p.taken]}: {_ms(p.predicted[p.taken])} → {_ms(p.seconds[p.taken])}",
            f"{p.names[p.fastest]}: {_ms(p.predicted[p.fastest])} → {_ms(p.seconds[p.fastest])}",
            f"{p.penalty:.2f}",
        )
        for p in worst
    )
    columns = ("layer", "operation", "chosen (estimate → measured, ms)", "fastest", "slower by")
    return Sheet("choices that lose more than 10 %", columns, lines, 4)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3g}"


def main(
    nth: Annotated[int, typer.Option("--every", help="Every nth layer of each family.")] = 4,
    only: Annotated[list[str] | None, typer.Option(help="Layers whose label has this.")] = None,
    operation: Annotated[list[str] | None, typer.Option(help="Only these operations.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Times are read from and stored here.")] = None,
    threads: Annotated[int, typer.Option(help="Threads of the CPU.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    count: Annotated[int, typer.Option(help="How many misses to list.")] = 25,
    save: Annotated[bool, typer.Option(help="Write results/planner.md and .json.")] = False,
) -> None:
    """Time all candidates on the paper's layers; say how often the cost model chose well."""
    torch.set_num_threads(threads)
    console = results.console()
    kept: Times = json.loads(keep.read_text()) if keep and keep.exists() else {}
    names = [n for n in NAMES if not operation or n in operation]
    jobs = [(layer, n) for layer in chosen(every(layers(), nth), only or ()) for n in names]
    pairs = []
    with tracked(console) as progress:
        for job in progress.track(jobs, description="pairs"):
            pairs.append(pair(*job, kept, device))
            if keep:
                keep.write_text(json.dumps(kept))
    sheets = [shares(pairs), misses(pairs, count)]
    for sheet in sheets:
        console.print(sheet.rich())
    if save:
        command = f"python -m benchmarks.planner --every {nth} --save"
        command += " --keep FILE (times from earlier runs)" if keep else ""
        rows: list[dict[str, Any]] = [asdict(p) for p in pairs]
        console.print("written:", *results.save("planner", command, sheets, rows))


if __name__ == "__main__":
    sys.exit(typer.run(main))
