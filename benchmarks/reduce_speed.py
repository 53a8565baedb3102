"""KFAC-reduce against unfold + mean + matmul, on the general layers.

Batch 16, float32, one thread, both in turn in one process. On the programs: nothing is unfolded (no
`Window`, no native call), each dimension with several output positions costs one product with its
window matrix, and one Gram product follows.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Annotated

import torch
import typer

from benchmarks import baselines, operations, results
from benchmarks.layers import Layer, every, layers
from benchmarks.progress import tracked
from benchmarks.results import Sheet
from benchmarks.timing import Clock, geometric_mean, shown
from diagrammar import program as ops
from diagrammar.program import Program
from tests.reference import relative_error

BATCH = 16
LIMIT = 5.0
UNFOLDING = (ops.Window, ops.Convolution, ops.TransposedConvolution, ops.WeightGradient)


@dataclass(frozen=True)
class Measured:
    """One layer: the median seconds of both, and what the program consists of."""

    layer: str
    geometry: str
    ours: float
    baseline: float
    error: float
    positions: int
    unfolds: int
    window_products: int
    gram_products: int

    @property
    def ratio(self) -> float:
        """How many times faster than the baseline."""
        return self.baseline / self.ours

    @property
    def as_stated(self) -> bool:
        """Nothing unfolded, a product for each dimension with several outputs, a Gram product."""
        found = (self.unfolds, self.window_products, self.gram_products)
        return found == (0, self.positions, 1)


def census(program: Program) -> tuple[int, int, int]:
    """Of a program: steps that unfold, products with a window matrix, other products."""
    steps = program.steps
    unfolds = sum(isinstance(s.operation, UNFOLDING) for s in steps)
    products = [s.operation for s in steps if isinstance(s.operation, ops.Einsum)]
    windows = sum(
        any(isinstance(steps[v].operation, ops.Indicator) for v in p.values) for p in products
    )
    return unfolds, windows, len(products) - windows


def measured(layer: Layer, clock: Clock) -> Measured:
    """Both ways on one layer."""
    op, h = operations.operation("KFAC-reduce"), operations.hyper(layer)
    given = operations.operands(layer, BATCH, torch.float32)
    function = operations.compiled(layer, op)
    x = given["X"]
    ((_, baseline),) = baselines.ways(op.name, h, given).items()
    error = relative_error(function(x), baseline())
    times = clock.times({"ours": lambda: function(x), "baseline": baseline})
    found = census(operations.specialised(layer, op, BATCH, function).program)
    several = sum(o > 1 for o in layer.output_size)
    seconds = times["ours"], times["baseline"]
    return Measured(layer.label, layer.geometry, *seconds, error, several, *found)


def summary(found: Sequence[Measured]) -> Sheet:
    """The distribution of the ratios."""
    ratios = [m.ratio for m in found]
    large = [m.ratio for m in found if m.baseline >= 2e-4]
    rows = tuple(
        (
            name,
            str(len(r)),
            *(f"{v:.2f}" for v in (median(r), geometric_mean(r), min(r), max(r))),
        )
        for name, r in (("all general layers", ratios), ("baseline takes 200 µs or more", large))
        if r
    )
    stated = sum(m.as_stated for m in found)
    return Sheet(
        f"KFAC-reduce: (unfold + mean + matmul) / ours, batch {BATCH}, float32, one thread",
        ("layers", "count", "median", "geometric mean", "least", "most"),
        rows,
        notes=(
            f"{stated} of {len(found)} unfold nothing: a product a dimension, a Gram product.",
            f"Largest relative error (float32): {max(m.error for m in found):.1e}.",
        ),
    )


def listing(title: str, found: Sequence[Measured]) -> Sheet:
    """Layers with their times."""
    rows = tuple(
        (m.layer, m.geometry, shown(m.baseline), shown(m.ours), f"{m.ratio:.2f}") for m in found
    )
    return Sheet(title, ("layer", "geometry", "baseline", "ours", "ratio"), rows, labels=2)


def main(
    quick: Annotated[bool, typer.Option(help="Every fourth layer, fewer turns.")] = False,
    save: Annotated[bool, typer.Option(help="Write results/reduce_speed.md and .json.")] = False,
) -> None:
    """Measure KFAC-reduce against unfold + mean + matmul on the general layers.

    Exits with 1 when the median is below 5 or a program unfolds.
    """
    torch.set_num_threads(1)
    console = results.console()
    general = [layer for layer in layers() if layer.kind == "general"]
    clock = Clock(15, least=3, seconds=1.0) if quick else Clock(51, least=7, seconds=4.0)
    with tracked(console) as progress:
        chosen = every(general, 4) if quick else tuple(general)
        found = [measured(layer, clock) for layer in progress.track(chosen, description="layers")]
    ranked = sorted(found, key=lambda m: m.ratio)
    sheets = [summary(found), listing("the five least ratios", ranked[:5])]
    for sheet in sheets:
        console.print(sheet.rich())
    if save:
        kept = [sheets[0], listing("all layers, by ratio", ranked)]
        rows = [{**asdict(m), "ratio": m.ratio} for m in found]
        command = f"python -m benchmarks.reduce_speed{' --quick' if quick else ''}"
        console.print("written:", *results.save("reduce_speed", command, kept, rows))
    good = median(m.ratio for m in found) >= LIMIT and all(m.as_stated for m in found)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    typer.run(main)
