"""A NaN or infinity in an operand: does it stay where the definition has it?

Each of many seeded configurations is a definition at small sizes: an operation of a layer (those of
`benchmarks.sweep`, with batches of up to 32), or a network of relations that no layer has. One
operand gets one to three entries that are NaN or infinite, and *every* candidate program is run. An
entry of the result must not be finite where its sum has such a term, and must be finite elsewhere,
but for what the candidate's plan states: where it says so, zeros of padding are in sums
(`benchmarks.nonfinite_sums`).
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from random import Random
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console

import diagrammar as dg
from benchmarks import results
from benchmarks.nonfinite_sums import reached
from benchmarks.progress import tracked
from benchmarks.results import Sheet
from benchmarks.sweep import layer_of
from benchmarks.sweep_cases import TAKES, Case, case
from diagrammar.backends.torch import emit as backend
from diagrammar.ir.diagram import Diagram
from diagrammar.plan.candidates import Candidate
from diagrammar.program.nonfinite import Reach
from diagrammar.runtime.specialised import Specialised
from tests.random_relations import text

BATCHES = (1, 1, 2, 8, 32)
VALUES = (float("nan"), float("nan"), float("inf"), -float("inf"))
RELATIONS = "relations"
CHUNK = 10
SHOWN = 20
KEPT = 100


@dataclass(frozen=True)
class Outcome:
    """One candidate of one configuration. Entries that are not finite: `beyond` the definition,
    `outside` of what the plan states; and those `lost`, which are finite and must not be. `stated`
    is what the plan says (`plan.nonfinite.Reach`)."""

    number: int
    what: str
    candidate: str
    about: str
    beyond: int = 0
    outside: int = 0
    lost: int = 0
    stated: int = 0
    failure: str = ""

    @property
    def good(self) -> bool:
        """As the definition has it, or as the plan states."""
        return not (self.failure or self.outside or self.lost)

    @property
    def kind(self) -> str:
        """The candidate's name without numbers of parts."""
        return re.sub(r", \d+ parts? along .*", ", in parts", self.candidate)


@dataclass(frozen=True)
class Found:
    """A function with candidates, what it is, and the diagrams that it computes."""

    what: str
    about: str
    special: Specialised
    diagrams: tuple[Diagram, ...]


def functions(seed: int, number: int, **options: Any) -> Iterator[Found]:
    """The functions of a configuration."""
    random = Random(f"nonfinite {seed} {number}")
    if random.random() < 0.2:
        yield from _relations(random, options)
        return
    drawn = case(seed, number, random.choice(tuple(TAKES)))
    drawn = replace(drawn, batch=random.choice(BATCHES), batched=True, layout="plain")
    yield from _of_layer(drawn, options)


def _relations(random: Random, options: dict[str, Any]) -> Iterator[Found]:
    said = text(random)
    function = dg.parse(said)["Y"].compile(**options)
    shapes = {o.name: tuple(map(int, o.shape())) for o in function.operands}
    if shapes and all(n for shape in shapes.values() for n in shape):
        named = {name: np.empty(shape) for name, shape in shapes.items()}
        special = function.specialise(**shapes)
        yield Found(RELATIONS, said, special, function.diagrams_for(named))


def _of_layer(drawn: Case, options: dict[str, Any]) -> Iterator[Found]:
    """The functions that an operation of a layer compiles."""
    conv = layer_of(drawn, **options)
    drawn.call(conv)
    for compiled in conv.compiled():
        for special in compiled.function.specialised():
            shapes = {p.name: tuple(map(int, p.shape)) for p in special.program.parameters}
            if all(n for shape in shapes.values() for n in shape):
                named = {name: np.empty(shape) for name, shape in shapes.items()}
                diagrams = compiled.function.diagrams_for(named)
                about = f"{compiled.diagram.name} of {drawn}"
                yield Found(drawn.method, about, special, diagrams)


def outcomes(seed: int, number: int, **options: Any) -> list[Outcome]:
    """All candidates of a configuration; an exception is an outcome, too."""
    random = Random(f"operands {seed} {number}")
    found: list[Outcome] = []
    try:
        for function in functions(seed, number, **options):
            found += _outcomes(number, function, random)
    except Exception:  # a sweep reports all failures
        last = traceback.format_exc().strip().splitlines()[-1]
        found.append(Outcome(number, "raised", "", last, failure=last))
    return found


def _outcomes(number: int, found: Found, random: Random) -> Iterator[Outcome]:
    parameters = found.special.program.parameters
    poisoned = random.choice([p.name for p in parameters])
    dtype = random.choice((torch.float32, torch.float32, torch.float64))
    generator = torch.Generator().manual_seed(random.randrange(2**31))
    given, bad = [], {}
    for p in parameters:
        x = torch.randn(tuple(map(int, p.shape)), generator=generator, dtype=dtype)
        if p.name == poisoned:
            for _ in range(random.choice((1, 1, 1, 2, 3))):
                x.view(-1)[random.randrange(x.numel())] = random.choice(VALUES)
        given.append(x)
        bad[p.name] = ~x.isfinite().numpy()
    sums = [reached(d, bad) for d in found.diagrams]
    wider = [reached(d, bad, border=True) | s for d, s in zip(found.diagrams, sums, strict=True)]
    for candidate in found.special.candidates:
        got = list(zip(_not_finite(candidate, given), sums, wider, strict=True))
        stated = candidate.reach
        yield Outcome(
            number, found.what, candidate.name, f"{poisoned}, {dtype}; {found.about}",
            beyond=sum(int((y & ~s).sum()) for y, s, _ in got),
            outside=sum(int((y & ~(s, w, y)[stated]).sum()) for y, s, w in got),
            lost=sum(int((s & ~y).sum()) for y, s, _ in got),
            stated=int(stated),
        )  # fmt: skip


def _not_finite(candidate: Candidate, given: Sequence[torch.Tensor]) -> list[Any]:
    """Where the results of a candidate are not finite."""
    program = candidate.planned.program
    source = backend.emit_module([program], "", checked=False)
    made = backend.load(source, program.name)[program.name](*given)
    return [~y.isfinite().numpy() for y in (made if isinstance(made, tuple) else (made,))]


def _chunk(seed: int, numbers: Sequence[int], options: dict[str, Any]) -> list[Outcome]:
    torch.set_num_threads(1)
    return [o for n in numbers for o in outcomes(seed, n, **options)]


def all_outcomes(
    seed: int, numbers: Sequence[int], processes: int, options: dict[str, Any]
) -> Iterator[tuple[int, list[Outcome]]]:
    """The configurations of a chunk and their outcomes, chunk by chunk."""
    chunks = [numbers[n : n + CHUNK] for n in range(0, len(numbers), CHUNK)]
    if processes <= 1:
        for part in chunks:
            yield len(part), _chunk(seed, part, options)
        return
    with ProcessPoolExecutor(processes) as pool:
        made = pool.map(_chunk, [seed] * len(chunks), chunks, [options] * len(chunks))
        yield from zip(map(len, chunks), made, strict=True)


# -- the report ------------------------------------------------------------------------------------

COLUMNS = ("functions", "candidates", "beyond", "may", "outside", "lost", "failed")


def sheets(found: Sequence[Outcome], count: int, seed: int) -> list[Sheet]:
    """By operation, and by kind of candidate."""
    title = (
        f"candidates that are not finite where they must be, {count} configurations, seed {seed}"
    )
    notes = (
        "beyond: candidates with a NaN or infinity in sums that have none by the definition",
        "may: candidates whose plan states that a NaN may reach other sums",
        "outside: beyond what the plan states; lost: finite where a sum is not",
    )
    tables = []
    for name, key in (("operation", "what"), ("candidate", "kind")):
        rows, bad = [], set()
        for word in sorted({getattr(o, key) for o in found}):
            mine = [o for o in found if getattr(o, key) == word]
            bad |= {len(rows)} if not all(o.good for o in mine) else set()
            rows.append((word, *_counts(mine)))
        rows.append(("all", *_counts(found)))
        tables.append(Sheet(title, (name, *COLUMNS), tuple(rows), notes=notes, bad=frozenset(bad)))
        title, notes = "the same by kind of candidate", ()
    return tables


def _counts(found: Sequence[Outcome]) -> tuple[str, ...]:
    functions = len({(o.number, o.about) for o in found})
    every = ((o.beyond, o.stated == Reach.MORE, o.outside, o.lost, o.failure) for o in found)
    counts = [sum(map(bool, column)) for column in zip(*every, strict=True)]
    return str(functions), str(len(found)), *map(str, counts)


def report(console: Console, bad: Sequence[Outcome]) -> None:
    """What is wrong, as numbers to run again."""
    for o in bad[:SHOWN]:
        why = o.failure or f"{o.outside} outside, {o.lost} lost, stated {Reach(o.stated).name}"
        console.print(f"{o.number}: {o.candidate}: {why}", markup=False, highlight=False)
        console.print(f"   {o.about}", markup=False, highlight=False)


def main(
    configurations: Annotated[int, typer.Option(help="How many.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Other seeds draw others.")] = 0,
    first: Annotated[int, typer.Option(help="The number of the first.")] = 0,
    nonfinite: Annotated[str, typer.Option(help="'contained' or 'spread'.")] = "contained",
    processes: Annotated[int, typer.Option(help="How many run side by side.")] = 1,
    save: Annotated[bool, typer.Option(help="Write results/nonfinite.md.")] = False,
) -> None:
    """Put NaN and infinities into operands of small random definitions and run every candidate.

    Exits with 1 where one reaches more than the definition and its plan say, or is lost.
    """
    console, start = results.console(), perf_counter()
    options = {} if nonfinite == "contained" else {"nonfinite": nonfinite}
    numbers = range(first, first + configurations)
    made: list[Outcome] = []
    with tracked(console) as progress:
        task = progress.add_task("configurations", total=configurations)
        for done, part in all_outcomes(seed, numbers, processes, options):
            made += part
            progress.update(task, advance=done)
    tables, bad = sheets(made, configurations, seed), [o for o in made if not o.good]
    for table in tables:
        console.print(table.rich())
    report(console, bad)
    if save:
        command = f"python -m benchmarks.nonfinite --configurations {configurations} --save"
        rows = [asdict(o) for o in bad[:KEPT]]
        console.print("written:", *results.save("nonfinite", command, tables, rows))
    console.print(f"{len(made) - len(bad)} of {len(made)} right, {perf_counter() - start:.0f} s")
    sys.exit(1 if bad or not made else 0)


if __name__ == "__main__":
    typer.run(main)
