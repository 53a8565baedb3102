"""What the check of `dg.curvature` costs: passes with it over passes without it, by quantity.

    python -m benchmarks.check_price [--batches 50] [--save]

Processor seconds of one process, one thread, medians; the passes with and without stand side by
side in each round. The check looks at the first batch; `every` looks at all.
"""

from __future__ import annotations

import argparse
from statistics import median
from time import process_time
from typing import Any

import torch
from torch import Tensor, nn

import diagrammar as dg
from benchmarks import results
from benchmarks.progress import tracked

WHAT = ("kfac_expand", "kfac_reduce", "ekfac", "diag_ggn")
VECTORS = {"mc": "one drawn vector", "exact": "one vector for each of ten classes"}


def network() -> nn.Module:
    """A convolutional network for images of 3×16×16 and ten classes."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip


def seconds(
    model: nn.Module, data: list[tuple[Tensor, Tensor]], what: str, **options: Any
) -> float:
    """Processor seconds of one pass over the data."""
    start = process_time()
    dg.curvature(model, data, nn.CrossEntropyLoss(), what, **options)
    return process_time() - start


def price(what: str, vectors: str, batches: int, rounds: int) -> dict[str, Any]:
    """Ratios of passes with the check to passes without."""
    model = network()
    data = [(torch.randn(32, 3, 16, 16), torch.randint(10, (32,))) for _ in range(batches)]
    options: dict[str, Any] = {"vectors": vectors}
    if what == "ekfac":
        options["basis"] = dg.curvature(model, data[:2], nn.CrossEntropyLoss(), "kfac_expand")
    for check in ("off", "every"):  # compiles everything
        seconds(model, data[:2], what, check=check, **options)
    first, every, off = [], [], []
    for _ in range(rounds):
        off.append(seconds(model, data, what, check="off", **options))
        first.append(seconds(model, data, what, check="first", **options))
        every.append(seconds(model, data, what, check="every", **options))
    pairs = [a / b for a, b in zip(first, off, strict=True)]
    all_pairs = [a / b for a, b in zip(every, off, strict=True)]
    return {
        "quantity": what, "vectors": vectors, "seconds": median(off),
        "first": median(pairs), "every": median(all_pairs),
    }  # fmt: skip


def main() -> None:
    """Print, and maybe save, a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batches", type=int, default=50, help="batches of 32 images a pass")
    parser.add_argument("--rounds", type=int, default=5, help="passes of each kind, interleaved")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cases = [(what, vectors) for vectors in VECTORS for what in WHAT]
    console, rows = results.console(), []
    with tracked(console) as progress:
        for what, vectors in progress.track(cases, description="check"):
            rows.append(price(what, vectors, given.batches, given.rounds))
    sheet = results.Sheet(
        f"The check of dg.curvature: a pass over {given.batches} batches with it, over one without",
        ("quantity", "vectors", "seconds without", "first batch", "every batch"),
        tuple(
            (
                r["quantity"],
                r["vectors"],
                f"{r['seconds']:.2f}",
                f"{r['first']:.3f}",
                f"{r['every']:.2f}",
            )
            for r in rows
        ),
        labels=2,
        notes=("Medians of ratios of processor seconds, one thread, batches of 32 images.",),
    )
    console.print(sheet.rich())
    if given.save:
        command = f"python -m benchmarks.check_price --batches {given.batches} --save"
        console.print("written:", *results.save("check_price", command, [sheet], rows))


if __name__ == "__main__":
    main()
