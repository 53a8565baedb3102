"""Every layer operation against independent references, for random hyper-parameters, in float64.

Each of many seeded cases draws a method of `diagrammar.layers.Conv`, its options, a layer of one to
five dimensions (stride, padding in every form, padding mode, dilation, groups, depthwise,
transposed, output padding, bias), sizes, and how operands are laid out (strided, channels last,
unbatched, no examples at all). Expected numbers are those of `tests.reference_layers`.

Also recorded is the extra memory of each call: what its program allocates at its peak beyond
operands and result, over what the documentation allows it; more than that is a failure.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

from benchmarks import results
from benchmarks.memory import extra
from benchmarks.progress import tracked
from benchmarks.results import Sheet
from benchmarks.sweep_cases import TAKES, Case, case
from benchmarks.sweep_libraries import LIBRARIES, NotAsked, asked
from diagrammar.layers import Conv
from tests.reference import relative_error

TOLERANCE = 1e-10
SHOWN = 20
KEPT = 100
"""How many of another library's cases are written, beside the tables."""
CHUNK = 50
SUMMARY = ("right", "raised", "wrong", "worst error", "memory")

Call = Callable[[Case], Any]


@dataclass(frozen=True)
class Outcome:
    """One case: its error against the reference, or what was raised; and its extra memory, over
    the most that is allowed."""

    number: int
    method: str
    dims: int
    kind: str
    what: str
    error: float
    memory: float
    failure: str = ""

    @property
    def good(self) -> bool:
        """Right to the tolerance, with no more memory than allowed."""
        return not self.failure and self.error <= TOLERANCE and self.memory <= 1


def kind_of(c: Case) -> str:
    """What is special about a case's layer, for the table."""
    layer = c.layer
    if layer.transposed:
        return "transposed"
    if layer.padding_mode != "zeros" and any(map(any, layer.sides())):
        return layer.padding_mode
    return "groups" if layer.groups > 1 else "plain"


def layer_of(c: Case, **options: Any) -> Conv:
    """Our layer for a case; `options` are the compiler's."""
    return Conv(**{"kernel_size": c.layer.kernel_size, **c.hyper, **options})


def deviation(ours: Any, expected: Any) -> float:
    """The largest relative error of a result or a pair of results; infinite for another shape."""
    pairs = [x if isinstance(x, tuple) else (x,) for x in (ours, expected)]
    if len(pairs[0]) != len(pairs[1]):
        return float("inf")
    return max(_apart(a, b) for a, b in zip(*pairs, strict=True))


def _apart(a: torch.Tensor, b: torch.Tensor) -> float:
    if a.shape == b.shape and not a.numel():
        return 0.0
    return relative_error(a.detach(), b.detach())


def outcome(seed: int, number: int) -> Outcome:
    """Run a case; an exception is an outcome, too."""
    c = case(seed, number)
    about = (number, c.method, c.layer.dims, kind_of(c), str(c))
    expected = c.expected()
    conv = layer_of(c)
    try:
        ours = c.call(conv)
    except Exception as failure:  # a sweep reports all failures
        return Outcome(*about, float("inf"), 0.0, f"{type(failure).__name__}: {failure}")
    beyond, held = extra(conv)
    return Outcome(*about, deviation(ours, expected), beyond / c.arrays(held).allowed(c.method))


def library_outcome(library: str, seed: int, number: int) -> Outcome | None:
    """Another library's answer to a case; None where it has no words for it."""
    methods = tuple(LIBRARIES[library])
    c = case(seed, number, methods[number % len(methods)])
    about = (number, c.method, c.layer.dims, special(c), str(c))
    try:
        c, theirs = asked(library, c)
    except NotAsked:
        return None
    except ImportError:  # not a refusal: the library is not there
        raise
    except Exception as failure:  # a refusal is told by its words
        return Outcome(*about, float("inf"), 0.0, f"{type(failure).__name__}: {failure}")
    return Outcome(*about, deviation(theirs, c.expected()), 0.0)


def special(c: Case) -> str:
    """All that is special about a case's layer."""
    layer = c.layer
    words = ["transposed"] if layer.transposed else []
    if layer.padding_mode != "zeros" and any(map(any, layer.sides())):
        words.append(layer.padding_mode)
    if layer.padding == "same":
        words.append("'same'")
    if layer.groups > 1:
        words.append("groups")
    if any(d > 1 for d in layer.each(layer.dilation)):
        words.append("dilation")
    if any(layer.each(layer.output_padding)):
        words.append("output padding")
    return ", ".join([*words, f"{layer.dims}-d"])


def _chunk(seed: int, numbers: Sequence[int]) -> list[Outcome]:
    torch.set_num_threads(1)
    return [outcome(seed, n) for n in numbers]


def outcomes(seed: int, numbers: Sequence[int], processes: int) -> Iterator[list[Outcome]]:
    """All outcomes, in chunks, in any order."""
    chunks = [numbers[n : n + CHUNK] for n in range(0, len(numbers), CHUNK)]
    if processes <= 1:
        for part in chunks:
            yield _chunk(seed, part)
        return
    with ProcessPoolExecutor(processes) as pool:
        yield from pool.map(_chunk, [seed] * len(chunks), chunks)


# -- the report ------------------------------------------------------------------------------------


def sheet(found: Sequence[Outcome], seed: int) -> Sheet:
    """Methods against numbers of dimensions: right of all, the worst error, the worst memory."""
    dims = sorted({o.dims for o in found})
    rows: list[tuple[str, ...]] = []
    bad: set[int] = set()
    for method in TAKES:
        mine = [o for o in found if o.method == method]
        if not mine:
            continue
        if not all(o.good for o in mine):
            bad.add(len(rows))
        parts = [[o for o in mine if o.dims == d] for d in dims]
        rows.append((method, *map(_cell, parts), *_summary(mine)))
    parts = [[o for o in found if o.dims == d] for d in dims]
    rows.append(("all", *map(_cell, parts), *_summary(found)))
    columns = ("method", *(f"{d}-d" for d in dims), *SUMMARY)
    return Sheet(
        f"cases that are right of all, {len(found)} random pairs, seed {seed}, float64",
        columns,
        tuple(rows),
        notes=(
            f"right: within {TOLERANCE:g}, relative to the largest entry",
            "memory: the largest extra memory, over what docs/operations/README.md allows",
        ),
        bad=frozenset(bad),
    )


def _cell(part: Sequence[Outcome]) -> str:
    return f"{sum(o.good for o in part)}/{len(part)}" if part else "–"


def _summary(part: Sequence[Outcome]) -> tuple[str, ...]:
    raised = [o for o in part if o.failure]
    ran = [o for o in part if not o.failure]
    right = sum(o.good for o in part)
    worst = max((o.error for o in ran), default=0.0)
    memory = max((o.memory for o in ran), default=0.0)
    return (
        str(right), str(len(raised)), str(len(part) - right - len(raised)), f"{worst:.0e}",
        f"{memory:.2f}",
    )  # fmt: skip


def kinds(found: Sequence[Outcome]) -> Sheet:
    """The same by what is special about the layer."""
    rows = []
    for kind in sorted({o.kind for o in found}):
        rows.append((kind, *_summary([o for o in found if o.kind == kind])))
    columns = ("layer", *SUMMARY)
    return Sheet("the same by kind of layer", columns, tuple(rows))


def library_sheets(library: str, found: Sequence[Outcome]) -> list[Sheet]:
    """Where a library agrees, refuses and is wrong: by method, and by what the layer has."""
    columns = ("right", "refused", "wrong", "worst error")
    rows = []
    for method in LIBRARIES[library]:
        rows.append((method, *_summary([o for o in found if o.method == method])[:4]))
    words = sorted({word for o in found for word in o.kind.split(", ")})
    by_word = []
    for word in words:
        by_word.append((word, *_summary([o for o in found if word in o.kind.split(", ")])[:4]))
    return [
        Sheet(f"{library}: {len(found)} cases", ("method", *columns), tuple(rows)),
        Sheet("the same by what the layer has", ("layer", *columns), tuple(by_word)),
    ]


def row(o: Outcome) -> dict[str, Any]:
    """An outcome for a JSON file, which knows no infinity."""
    return {**asdict(o), "error": o.error if isfinite(o.error) else None}


def ask_library(console: Console, library: str, pairs: int, seed: int, save: bool) -> None:
    """Put the cases to another library and print where it agrees, refuses and is wrong."""
    made: list[Outcome] = []
    with tracked(console) as progress:
        for n in progress.track(range(pairs), description=library):
            try:
                found = library_outcome(library, seed, n)
            except ImportError as missing:
                raise typer.BadParameter(
                    f"{missing}; pip install 'diagrammar[libraries]'", param_hint="--library"
                ) from None
            made += [found] if found else []
    tables = library_sheets(library, made)
    for table in tables:
        console.print(table.rich())
    wrong = [o for o in made if not o.good and not o.failure]
    for o in wrong[:SHOWN]:
        console.print(f"{o.error:8.1e}  {o.what}", markup=False, highlight=False)
    reasons: dict[str, int] = {}
    for o in made:
        if o.failure:
            reasons[o.failure[:80]] = reasons.get(o.failure[:80], 0) + 1
    for reason, count in sorted(reasons.items(), key=lambda item: -item[1])[:SHOWN]:
        console.print(f"refused {count}: {reason}", markup=False, highlight=False)
    if save:
        command = f"python -m benchmarks.sweep --library {library} --pairs {pairs} --save"
        bad = [row(o) for o in made if not o.good][:KEPT]
        console.print("written:", *results.save(f"sweep_{library}", command, tables, bad))


def report(console: Console, bad: Sequence[Outcome], seed: int) -> None:
    """Failures as what to run again."""
    for o in bad[:SHOWN]:
        why = o.failure or f"relative error {o.error:.1e}, {o.memory:.2f} of the memory allowed"
        console.print(f"{o.number}: {why}", style="red", markup=False, highlight=False)
        console.print(f"   {o.what}", markup=False, highlight=False)
    if bad:
        numbers = ",".join(str(o.number) for o in bad[:SHOWN])
        console.print(f"again: python -m benchmarks.sweep --seed {seed} --only {numbers}")


def memory_report(console: Console, found: Sequence[Outcome]) -> None:
    """The cases that come closest to the memory that is allowed."""
    worst = sorted(found, key=lambda o: -o.memory)[:5]
    console.print("most extra memory, over what is allowed:")
    for o in worst:
        console.print(f"  {o.memory:6.2f}  {o.number}: {o.what}", markup=False, highlight=False)


def main(
    pairs: Annotated[int, typer.Option(help="How many cases.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Other seeds draw other cases.")] = 0,
    only: Annotated[str, typer.Option(help="Numbers of cases, with commas.")] = "",
    processes: Annotated[int, typer.Option(help="How many run side by side.")] = 1,
    out: Annotated[Path | None, typer.Option("--json", help="Write all outcomes here.")] = None,
    save: Annotated[bool, typer.Option(help="Write results/sweep.md.")] = False,
    library: Annotated[str, typer.Option(help="Ask einconv, backpack or curvlinops.")] = "",
) -> None:
    """Draw layers and operations, and compare with references that share no code with us.

    For example `python -m benchmarks.sweep --pairs 500 --seed 3`. Exits with 1 when a case is wrong
    or raises. `--library backpack` puts the same cases to another installed library.
    """
    console = results.console()
    if library:
        return ask_library(console, library, pairs, seed, save)
    numbers = [int(n) for n in only.split(",")] if only else list(range(pairs))
    made: list[Outcome] = []
    start = perf_counter()
    with tracked(console) as progress:
        task = progress.add_task("cases", total=len(numbers))
        for part in outcomes(seed, numbers, processes):
            made += part
            progress.update(task, advance=len(part))
    tables, bad = [sheet(made, seed), kinds(made)], [o for o in made if not o.good]
    for table in tables:
        console.print(table.rich())
    memory_report(console, made)
    report(console, bad, seed)
    if out:
        out.write_text(json.dumps([row(o) for o in made], indent=1), encoding="utf-8")
    if save:
        command = f"python -m benchmarks.sweep --pairs {len(numbers)} --seed {seed} --save"
        console.print("written:", *results.save("sweep", command, tables, map(row, bad)))
    console.print(
        f"{len(made) - len(bad)} of {len(made)} right to {TOLERANCE:g}, "
        f"{perf_counter() - start:.0f} s, {processes} processes"
    )
    sys.exit(1 if bad or not made else 0)


if __name__ == "__main__":
    typer.run(main)
