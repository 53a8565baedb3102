"""How long planning takes: every operation of a layer, in one to five dimensions.

Planning is what happens once for a new shape between the diagram and its source: simplifying,
searching for contraction trees, writing all candidate programs and pricing them. Seconds are of
processor time, since nothing is computed meanwhile.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Annotated, Any
from unittest.mock import patch

import torch
import typer

from benchmarks import results
from benchmarks.progress import tracked
from benchmarks.results import Sheet
from benchmarks.sweep_cases import TAKES, Case
from diagrammar.layers import Conv
from diagrammar.runtime import build
from tests.reference_layer import Layer

LIMIT = 0.030
"""Seconds that a common layer's operation may take: one and two dimensions."""
DIMS = (1, 2, 3, 4, 5)
CHANNELS = (2, 3, 4)
"""Input channels of a group: each number is a new shape, so planned anew; the first warms up."""
SIZES = {1: 8, 2: 6, 3: 4, 4: 2, 5: 2}
"""The spatial size: what is quadratic in the input stays small."""


@contextmanager
def planned() -> Iterator[list[float]]:
    """The seconds that each planning within the block takes."""
    found: list[float] = []

    def timed(plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            start = time.process_time()
            made = plain(*arguments, **named)
            found.append(time.process_time() - start)
            return made

        return call

    with patch.object(build, "choice_of", timed(build.choice_of)):
        yield found


def case(method: str, dims: int, channels: int, transposed: bool) -> Case:
    """A grouped, padded layer of 3ᴺ kernels whose first stride is two."""
    stride = (2,) + (1,) * (dims - 1)
    layer = Layer((3,) * dims, stride=stride, padding=1, groups=2, transposed=transposed)
    size = (SIZES[dims],) * dims
    kind = torch.float32
    return Case(0, 0, method, {}, layer, 2, (channels, 2), size, 2, True, "plain", kind)


def seconds(method: str, dims: int, transposed: bool) -> float:
    """What a call plans, the median over some shapes."""
    times = []
    for channels in CHANNELS:
        made = case(method, dims, channels, transposed)
        conv = Conv(**made.hyper)
        gc.collect()
        with planned() as found:
            made.call(conv)
        times.append(sum(found))
    return median(times[1:])


def sheet(found: dict[tuple[str, int], float], name: str) -> Sheet:
    """Milliseconds, a line for each operation, the slowest first."""
    methods = sorted(TAKES, key=lambda m: -found[m, 2])
    rows = tuple((method, *(f"{1e3 * found[method, d]:.1f}" for d in DIMS)) for method in methods)
    slow = frozenset(
        n for n, m in enumerate(methods) if max(found[m, d] for d in DIMS if d < 3) > LIMIT
    )
    return Sheet(
        f"planning, {name}: milliseconds of processor time",
        ("operation", *(f"{d}-d" for d in DIMS)),
        rows,
        notes=(f"Marked: more than {1e3 * LIMIT:.0f} ms in one or two dimensions.",),
        bad=slow,
    )


def main(
    save: Annotated[bool, typer.Option(help="Write results/planning.md and .json.")] = False,
) -> None:
    """Time planning; status 1 where an operation in one or two dimensions takes too long."""
    torch.set_num_threads(1)
    console = results.console()
    sheets, rows = [], []
    jobs = [(m, d, t) for t in (False, True) for m in TAKES for d in DIMS]
    times: dict[tuple[str, int, bool], float] = {}
    with tracked(console) as progress:
        for job in progress.track(jobs, description="planning"):
            times[job] = seconds(*job)
            of = dict(zip(("operation", "dims", "transposed"), job, strict=True))
            rows.append({**of, "seconds": times[job]})
    for transposed, name in ((False, "convolutions"), (True, "transposed convolutions")):
        sheets.append(sheet({(m, d): s for (m, d, t), s in times.items() if t == transposed}, name))
    for made in sheets:
        console.print(made.rich())
    if save:
        paths = results.save("planning", "python -m benchmarks.planning", sheets, rows)
        console.print("written:", *paths)
    sys.exit(any(made.bad for made in sheets))


if __name__ == "__main__":
    typer.run(main)
