"""What each rule and each lowering is worth: switched off in turn, on the paper's layers.

A rule is switched off as users do it, `compile(without=[NAME])`; a lowering by leaving out the
candidates that use it. The cost model chooses among the rest. A program that stays the same counts
as 1 and is not timed; the others take turns with the full planner's choice.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from time import perf_counter, process_time
from typing import Annotated

import torch
import typer

from benchmarks import operations, results
from benchmarks.layers import Layer, chosen, every, layers
from benchmarks.progress import tracked
from benchmarks.results import Sheet
from benchmarks.timing import geometric_mean
from diagrammar import program as ops
from diagrammar.backends.torch import emit as backend
from diagrammar.plan.candidates import Candidate, choose
from diagrammar.plan.measure import RESERVED, reserved, timed
from diagrammar.program.passes.matmul_as_conv import matmul_as_conv

NAMES = ("forward", "weight VJP", "input VJP", "KFAC-expand", "KFAC-reduce")
BATCH = 16

Uses = Callable[[Candidate], bool]


def has(*kinds: type) -> Uses:
    """Whether a candidate has a step of one of these kinds."""
    return lambda c: any(isinstance(s.operation, kinds) for s in c.planned.program.steps)


LOWERINGS: dict[str, Uses] = {
    "library calls": has(
        ops.Convolution, ops.TransposedConvolution, ops.WeightGradient, ops.WindowGram
    ),
    "PyTorch's own call": lambda c: c.recipe.strategy.one_call,
    "products as convolutions": lambda c: c.recipe.uses(matmul_as_conv),
    "windows row by row": lambda c: c.recipe.strategy.options.paired is not None,
    "windows by stretches of rows": has(ops.WindowGram),
    "sums of rows": has(ops.WindowSums),
    "diagrams as written": lambda c: c.recipe.as_written,
    "parts along the batch": lambda c: bool(c.planned.program.cuts),
}


@dataclass(frozen=True)
class Effect:
    """One layer, operation and switch: seconds with and without."""

    layer: str
    kind: str
    operation: str
    switch: str
    on: float
    off: float

    @property
    def ratio(self) -> float:
        """How many times longer it takes without."""
        return self.off / self.on


def without(layer: Layer, name: str) -> tuple[Candidate, dict[str, Candidate]]:
    """The planner's choice, and its choice with each switch off."""
    op = operations.operation(name)

    def best(**options: object) -> list[Candidate]:
        function = operations.compiled(layer, op, **options)
        return list(operations.specialised(layer, op, BATCH, function).candidates)

    found = best()
    others: dict[str, Candidate] = {}
    for switch, uses in LOWERINGS.items():
        rest = [c for c in found if not uses(c)]
        others[switch] = choose(rest or found)
    fired = {s.rule.name for start in found[0].start for s in start.trace}
    fired |= {s.rule.name for c in found for start in c.start for s in start.trace}
    for rule in sorted(fired):
        others[f"rule: {rule}"] = choose(best(without=[rule]))
    return choose(found), others


def effects(layer: Layer, name: str, seconds: float) -> list[Effect]:
    """The effect of every switch on one layer and operation."""
    op = operations.operation(name)
    full, others = without(layer, name)
    sources = {s: _source(c) for s, c in others.items()}
    own = _source(full)
    different = list(dict.fromkeys(t for t in sources.values() if t != own))
    given = operations.operands(layer, BATCH, torch.float32)
    values = [given[n] for n in op.operands]
    function = full.planned.program.name
    calls = [partial(backend.load_one(t, function), *values) for t in (own, *different)]
    clock = process_time if torch.get_num_threads() == 1 else perf_counter
    took = [1.0]
    if different:
        with torch.no_grad(), reserved(RESERVED):
            took = timed(calls, clock, rounds=7, budget=seconds)
    times = dict(zip((own, *different), took, strict=True))
    return [
        Effect(layer.label, layer.kind, name, s, times[own], times[text])
        for s, text in sources.items()
    ]


def _source(candidate: Candidate) -> str:
    program = candidate.planned.program
    plain = ops.Program(**{**{f: getattr(program, f) for f in program.__slots__}, "doc": ""})
    return backend.emit_module([plain], "", checked=False)


def sheet(found: Sequence[Effect]) -> Sheet:
    """Geometric means by switch, operation and kind of layer."""
    lines = []
    for switch in dict.fromkeys(e.switch for e in found):
        own = [e for e in found if e.switch == switch]
        if all(e.on == e.off for e in own):
            continue
        cells = []
        for name in NAMES:
            part = [e.ratio for e in own if e.operation == name]
            changed = sum(r != 1 for r in part)
            text = f"{geometric_mean(part):.2f} ({max(part):.1f})" if changed else "1"
            cells.append(text if part else "—")
        lines.append((switch, *cells))
    return Sheet(
        f"seconds without / with, geometric mean (most), batch {BATCH}, float32",
        ("switched off", *NAMES),
        tuple(lines),
    )


def by_kind(found: Sequence[Effect]) -> Sheet:
    """The same by kind of layer, all operations together."""
    kinds = list(dict.fromkeys(e.kind for e in found))
    lines = []
    for switch in dict.fromkeys(e.switch for e in found):
        own = [e for e in found if e.switch == switch]
        if all(e.on == e.off for e in own):
            continue
        parts = ([e.ratio for e in own if e.kind == kind] for kind in kinds)
        lines.append((switch, *(f"{geometric_mean(p):.2f}" if p else "—" for p in parts)))
    return Sheet("by kind of layer, all operations", ("switched off", *kinds), tuple(lines))


def main(
    nth: Annotated[int, typer.Option("--every", help="Every nth layer of each family.")] = 8,
    only: Annotated[list[str] | None, typer.Option(help="Layers whose label has this.")] = None,
    threads: Annotated[int, typer.Option(help="Threads of the CPU.")] = 1,
    seconds: Annotated[float, typer.Option(help="To measure each pair for.")] = 0.5,
    save: Annotated[bool, typer.Option(help="Write results/ablation.md and .json.")] = False,
) -> None:
    """Switch each rule and lowering off in turn; print what that costs."""
    torch.set_num_threads(threads)
    console = results.console()
    jobs = [(layer, n) for layer in chosen(every(layers(), nth), only or ()) for n in NAMES]
    with tracked(console) as progress:
        found = [
            e for job in progress.track(jobs, description="pairs") for e in effects(*job, seconds)
        ]
    sheets = [sheet(found), by_kind(found)]
    for table in sheets:
        console.print(table.rich())
    if save:
        command = f"python -m benchmarks.ablation --every {nth} --save"
        rows = [asdict(e) for e in found if e.on != e.off]
        console.print("written:", *results.save("ablation", command, sheets, rows))


if __name__ == "__main__":
    sys.exit(typer.run(main))
