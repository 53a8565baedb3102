"""Sums over many batches in half precision: how far means drift from the mean of one batch.

    python -m benchmarks.low_precision [--batches 2000] [--save]

One batch is given again and again, so that every mean must stay what the first one was. Sums in
bfloat16 would stop at 256 addends, and in float16 leave the range.
"""

from __future__ import annotations

import argparse
from itertools import repeat
from typing import Any

import torch
from torch import Tensor, nn

import diagrammar as dg
from benchmarks import results

KINDS = ("bfloat16", "float16", "autocast")
WHAT = ("kfac_expand", "kfac_reduce", "diag_ggn")


class Cast(nn.Module):
    """A network whose forward pass runs in bfloat16 by autocast."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """The output of the network, in float32."""
        with torch.autocast("cpu", torch.bfloat16):
            found: Tensor = self.inner(x)
        return found.float()


def network(kind: str) -> tuple[nn.Module, Tensor, Tensor]:
    """A small convolutional network of a kind, and a batch of eight for it."""
    torch.manual_seed(0)
    model: nn.Module = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4)
    )
    x, y = torch.randn(8, 2, 4, 4), torch.randint(4, (8,))
    if kind == "autocast":
        return Cast(model), x, y
    dtype = getattr(torch, kind)
    return model.to(dtype), x.to(dtype), y


def drift(kind: str, batches: int, **options: Any) -> dict[str, float]:
    """The relative error of each mean over equal batches, beside the mean of one."""
    model, x, y = network(kind)
    loss = nn.CrossEntropyLoss()
    one = dg.curvature(model, (x, y), loss, WHAT, **options)
    many = dg.curvature(model, repeat((x, y), batches), loss, WHAT, **options)
    assert many.examples == batches * one.examples
    found = {}
    for layer, sums in one.sums.items():
        for name, value in sums.items():
            first, mean = value.double(), many.sums[layer][name].double() / batches
            found[f"{layer} {name}"] = float((mean - first).norm() / first.norm())
    return found


def main() -> None:
    """Print, and maybe save, a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batches", type=int, default=2000, help="equal batches of eight examples")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/")
    given = parser.parse_args()
    rows = []
    for kind in KINDS:
        found = drift(kind, given.batches)
        worst = max(found, key=lambda name: found[name])
        rows.append({"network": kind, "largest error": found[worst], "of": worst})
    sheet = results.Sheet(
        f"Relative error of means over {given.batches} equal batches, beside the mean of one",
        ("network", "of", "largest error"),
        tuple((r["network"], r["of"], f"{r['largest error']:.1e}") for r in rows),
        labels=2,
        notes=(
            f"Batches of eight examples. {given.batches} additions in float32 may be off by "
            f"{given.batches * 2.0**-24:.1e}.",
        ),
    )
    console = results.console()
    console.print(sheet.rich())
    if given.save:
        command = f"python -m benchmarks.low_precision --batches {given.batches} --save"
        console.print("written:", *results.save("low_precision", command, [sheet], rows))


if __name__ == "__main__":
    main()
