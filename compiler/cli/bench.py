"""`diagrammar bench`: the candidate programs of a definition, timed side by side."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

from diagrammar.cli.inputs import Misuse, chosen, load, settings, shapes
from diagrammar.grammar.errors import near
from diagrammar.plan.measure import timed
from diagrammar.program.liveness import show_bytes
from diagrammar.runtime.options import DTYPES

if TYPE_CHECKING:
    from diagrammar.plan.strategies import Recipe
    from diagrammar.runtime.function import Function
    from diagrammar.runtime.specialised import Specialised


@dataclass(frozen=True)
class Measuring:
    """How to measure: threads (0: torch's own number), dtype, device, and seconds for the whole."""

    threads: int = 0
    dtype: str = "float32"
    device: str = "cpu"
    seconds: float = 2.0


@dataclass(frozen=True)
class Contender:
    """A program: its name, the seconds that the cost model predicts, the measured seconds, its peak
    memory in bytes (None where that is not known), and a remark."""

    name: str
    predicted: float | None
    measured: float
    peak: int | None
    remark: str = ""


def run(file: str, name: str, shape: Sequence[str], given: Sequence[str], wish: Measuring) -> int:
    """Print the table of a definition's programs; the exit status."""
    import torch

    if wish.dtype not in DTYPES:
        raise Misuse(f"no dtype '{wish.dtype}'", near(wish.dtype, DTYPES) or ", ".join(DTYPES))
    if wish.device == "cuda" and not torch.cuda.is_available():
        raise Misuse("torch finds no GPU", "leave --device out")
    if wish.threads:
        torch.set_num_threads(wish.threads)
    spec = load(file)
    function = spec[chosen(spec, [name])[0]].compile(**settings(given))
    special = function.specialise(**shapes(shape))
    operands = [
        torch.randn(tuple(p.shape), dtype=getattr(torch, wish.dtype), device=wish.device)
        for p in special.program.parameters
    ]
    rows, notes = measured(function, special, operands, wish)
    _print(name, rows, notes, torch.get_num_threads(), wish)
    return 0


def measured(
    function: Function, special: Specialised, operands: Sequence[Any], wish: Measuring
) -> tuple[list[Contender], list[str]]:
    """Time all candidates and the naive einsum in turn; the rows, the fastest first, and notes."""
    import torch
    from rich.console import Console

    from diagrammar.backends.torch import emit as backend
    from diagrammar.plan.planner import dense
    from diagrammar.runtime.naive import TooLarge, naive

    name, notes = special.program.name, []
    calls: list[Callable[[], Any]] = []
    for candidate in special.candidates:
        source = backend.emit_module([candidate.planned.program], "", checked=False)
        calls.append(partial(backend.load_one(source, name), *operands))
    arguments = dict(zip((p.name for p in special.program.parameters), operands, strict=True))
    try:
        program = dense(name, function.diagrams_for(arguments), function.operands)
        calls.append(naive(program, arguments))
    except TooLarge as error:
        notes.append(f"The naive einsum is not run: {error}.")
    on_gpu = wish.device == "cuda"
    if on_gpu:
        calls = [partial(_waiting, call) for call in calls]
    alone = torch.get_num_threads() == 1 and not on_gpu
    with Console(stderr=True).status(f"{len(calls)} programs", spinner="dots"), torch.no_grad():
        clock = process_time if alone else perf_counter
        seconds = timed(calls, clock, rounds=25, budget=wish.seconds, hopeless=10.0, close=1.0)
    size = operands[0].element_size() if operands else 4
    rows = [
        Contender(
            c.name,
            c.cost,
            s,
            c.peak * size,
            _remark(c.recipe, special.recipe),
        )
        for c, s in zip(special.candidates, seconds, strict=False)
    ]
    if len(seconds) > len(rows):
        rows.append(
            Contender("einsum of dense patterns", None, seconds[-1], None, "opt_einsum's order")
        )
    return sorted(rows, key=lambda row: row.measured), notes


def _remark(recipe: Recipe, chosen: Recipe | None) -> str:
    """Say whether a program is the plan's choice, and whether it is one call of PyTorch's."""
    remarks = ["the plan's choice"] * (recipe == chosen)
    remarks += ["PyTorch's own"] * recipe.is_one_call
    return ", ".join(remarks)


def _waiting(call: Callable[[], Any]) -> None:
    """Call, and wait until the GPU has finished."""

    import torch

    call()
    torch.cuda.synchronize()


def _print(
    name: str, rows: Sequence[Contender], notes: list[str], threads: int, wish: Measuring
) -> None:
    """Print the table and the notes."""

    from rich.console import Console
    from rich.table import Table

    where = "on the GPU" if wish.device == "cuda" else f"{threads} thread{'s' * (threads > 1)}"
    table = Table(title=f"{name}, {wish.dtype}, {where}", title_justify="left")
    table.add_column("program")
    for column in ("predicted", "measured", "× fastest", "peak memory"):
        table.add_column(column, justify="right")
    table.add_column("")
    for row in rows:
        table.add_row(
            row.name,
            "" if row.predicted is None else _duration(row.predicted),
            _duration(row.measured),
            f"{row.measured / rows[0].measured:.2f}",
            "" if row.peak is None else show_bytes(row.peak),
            row.remark,
            style="bold" if row.remark.startswith("the plan") else "",
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    for note in notes:
        print(note)


def _duration(seconds: float) -> str:
    """Write seconds as milliseconds or microseconds."""
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"
