"""Whether what is known of libraries still holds: the calls of each fact, timed.

A fact says how many times as long a call takes as its multiplications say, compared with a plain
call. Here both are timed by turns. A fact is off where the measured factor is more than twice or
less than half of what it says: then a library, or the kind of processor, is another one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import torch
import typer

from benchmarks import results
from benchmarks.results import Sheet
from benchmarks.timing import Clock
from diagrammar.backends.torch.helpers.convolution import (
    _depthwise_gradient,
    _input_gradient,
    _weight_gradient,
)
from diagrammar.backends.torch.library import FACTS, Fact
from diagrammar.program.operations.work import LibraryCall

OFF = 2.0


def timed_call(call: LibraryCall) -> Callable[[], Any]:
    """The call on random operands, padded so that sizes stay as they are at stride 1."""
    n = len(call.kernel)
    pads = tuple(d * (k - 1) // 2 for k, d in zip(call.kernel, call.dilation, strict=True))
    rows = tuple(
        s * (o - 1) + 1 + d * (k - 1) - 2 * p
        for o, k, s, d, p in zip(
            call.positions, call.kernel, call.stride, call.dilation, pads, strict=True
        )
    )
    x = torch.randn(call.images, call.groups * call.inner, *rows)
    w = torch.randn(call.groups * call.outer, call.inner, *call.kernel)
    v = torch.randn(call.images, call.groups * call.outer, *call.positions)
    geometry = call.stride, pads, call.dilation, call.groups
    if call.kind == "convolution":
        return partial(getattr(torch.nn.functional, f"conv{n}d"), x, w, None, *geometry)
    if call.kind == "input gradient":
        return partial(_input_gradient, v, w, tuple(x.shape), *geometry)
    gradient = _depthwise_gradient if call.narrow else _weight_gradient
    return partial(gradient, x, v, tuple(w.shape), *geometry)


def factors(fact: Fact, seconds: float) -> tuple[float, float]:
    """What the fact says, and what is measured: the longer time a multiplication."""
    clock = Clock(seconds=seconds, processor=True)
    with torch.no_grad():
        taken = clock.times({"example": timed_call(fact.example), "plain": timed_call(fact.plain)})
    each = [
        taken[n] / c.multiplications for n, c in (("example", fact.example), ("plain", fact.plain))
    ]
    return fact.factor(fact.example) / fact.factor(fact.plain), each[0] / each[1]


def main(
    threads: Annotated[int, typer.Option(help="Threads of the CPU.")] = 1,
    seconds: Annotated[float, typer.Option(help="How long to time each fact.")] = 1.0,
    save: Annotated[bool, typer.Option(help="Write results/library.md and .json.")] = False,
) -> None:
    """Time the calls of each fact; exits with 1 where one is off by more than twice."""
    torch.set_num_threads(threads)
    console = results.console()
    rows, bad = [], set()
    for fact in FACTS:
        said, measured = factors(fact, seconds)
        if not 1 / OFF < measured / said < OFF:
            bad.add(len(rows))
        rows.append((fact.name, f"{said:.2f}", f"{measured:.2f}", fact.version))
    columns = ("fact", "said", "measured", "known of")
    note = (
        "times as long a multiplication as a plain call takes, all else that a call does included"
    )
    sheet = Sheet("facts of libraries", columns, tuple(rows), notes=(note,), bad=frozenset(bad))
    console.print(sheet.rich())
    if save:
        named = [{"fact": r[0], "said": r[1], "measured": r[2]} for r in rows]
        console.print(
            "written:",
            *results.save("library", "python -m benchmarks.library --save", [sheet], named),
        )
    sys.exit(bool(bad))


if __name__ == "__main__":
    typer.run(main)
