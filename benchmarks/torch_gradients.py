"""Weight gradients that PyTorch's own call has wrong on a CPU, and ours.

Each call of PyTorch has a process of its own, since some end it. What comes out depends on the
processor and on the library that PyTorch was built with.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Annotated

import typer

import diagrammar as dg
from benchmarks import results
from benchmarks.results import Sheet
from tests.weight_gradients import TOLERANCE, WRONG, Case, error


def of_torch(case: Case) -> float:
    """The error of PyTorch's own call."""
    x, v = case.operands()
    return error(case.of_torch(x, v), case.exact(x, v))


def told(case: Case) -> str:
    """PyTorch's error, as a word or number."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        try:
            return f"{process.submit(of_torch, case).result():.1e}"
        except BrokenProcessPool:
            return "the process ends"


def ours(case: Case) -> float:
    """The error of `dg.layers.Conv.weight_vjp`."""
    x, v = case.operands()
    layer = dg.layers.Conv(case.kernel, case.stride, case.padding, groups=case.groups)
    return error(layer.weight_vjp(x, v), case.exact(x, v))


def main(
    save: Annotated[bool, typer.Option(help="Write results/torch_gradients.md and .json.")] = False,
) -> None:
    """Compare PyTorch's weight gradients and ours with float64."""
    rows = []
    right = True
    for case in WRONG:
        image = "×".join(str(n) for n in case.operands()[0].shape)
        found = ours(case)
        right = right and found <= TOLERANCE[case.dtype]
        geometry = f"kernel {case.kernel}, stride {case.stride}, padding {case.padding}"
        dtype = str(case.dtype).removeprefix("torch.")
        said = f"{geometry}, groups {case.groups}"
        rows.append((image, str(case.size[0]), said, dtype, told(case), f"{found:.1e}"))
    sheet = Sheet(
        "errors of weight gradients, of the largest entry of those in float64",
        ("input", "channels out", "layer", "dtype", "PyTorch", "ours"),
        tuple(rows),
        labels=4,
    )
    console = results.console()
    console.print(sheet.rich())
    if save:
        named = [dict(zip(sheet.columns, row, strict=True)) for row in rows]
        command = "python -m benchmarks.torch_gradients --save"
        console.print("written:", *results.save("torch_gradients", command, [sheet], named))
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    typer.run(main)
