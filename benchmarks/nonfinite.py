"""A NaN or infinity in an operand: does it stay where the definition has it?

Each of many seeded configurations is a definition at small sizes: an operation of a layer (those of
`benchmarks.sweep`, with batches of up to 32), or a network of relations that no layer has. One
operand gets one to three entries that are NaN or infinite, and *every* candidate program is run. An
entry of the result must not be finite where its sum has such a term, and must be finite elsewhere,
but for what the option `nonfinite` and the candidate's plan state: with "contained", the default,
zeros of padding may be in sums (`benchmarks.nonfinite_sums`); with "spread", which every tenth
configuration is compiled with as well, a plan may state that a NaN reaches more.
"""

from __future__ import annotations

import json
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
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
from diagrammar.runtime.options import CONTAINED, SPREAD
from diagrammar.runtime.specialised import Specialised
from tests.random_relations import text

BATCHES = (1, 1, 2, 8, 32)
VALUES = (float("nan"), float("nan"), float("inf"), -float("inf"))
RELATIONS = "relations"
CHUNK = 10
OPTIONS = (CONTAINED, SPREAD)
SPREAD_EVERY = 10
SHOWN = 20
KEPT = 100


@dataclass(frozen=True)
class Outcome:
    """One candidate of one configuration. Entries that are not finite: in sums that have it by
    zeros of `padding` only, as `leaks` in sums that do not have it, `outside` of what the plan
    states; and those `lost`, which are finite and must not be. `stated` is what the plan says
    (`plan.nonfinite.Reach`)."""

    number: int
    what: str
    candidate: str
    about: str
    nonfinite: str = CONTAINED
    padding: int = 0
    leaks: int = 0
    outside: int = 0
    lost: int = 0
    stated: int = 0
    failure: str = ""

    @property
    def good(self) -> bool:
        """As the definition has it, or as the option and the plan state."""
        leaks = self.nonfinite == CONTAINED and (self.leaks or self.stated == Reach.MORE)
        return not (self.failure or self.outside or self.lost or leaks)

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


def outcomes(seed: int, number: int, nonfinite: str = CONTAINED) -> list[Outcome]:
    """All candidates of a configuration; an exception is an outcome, too."""
    random = Random(f"operands {seed} {number}")
    options = {} if nonfinite == CONTAINED else {"nonfinite": nonfinite}
    found: list[Outcome] = []
    try:
        for function in functions(seed, number, **options):
            found += _outcomes(number, function, random, nonfinite)
    except Exception:  # a sweep reports all failures
        last = traceback.format_exc().strip().splitlines()[-1]
        found.append(Outcome(number, "raised", "", last, nonfinite, failure=last))
    return found


def of_case(number: int, drawn: Case, random: Random) -> Iterator[Outcome]:
    """All candidates of an operation of a layer."""
    for function in _of_layer(drawn, {}):
        yield from _outcomes(number, function, random, CONTAINED)


def _outcomes(number: int, found: Found, random: Random, nonfinite: str) -> Iterator[Outcome]:
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
            number, found.what, candidate.name, f"{poisoned}, {dtype}; {found.about}", nonfinite,
            padding=sum(int((y & ~s & w).sum()) for y, s, w in got),
            leaks=sum(int((y & ~s & ~w).sum()) for y, s, w in got),
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


def _chunk(seed: int, numbers: Sequence[int]) -> list[Outcome]:
    torch.set_num_threads(1)
    found = [o for n in numbers for o in outcomes(seed, n)]
    return found + [o for n in numbers if n % SPREAD_EVERY == 0 for o in outcomes(seed, n, SPREAD)]


def all_outcomes(
    seed: int, numbers: Sequence[int], processes: int, keep: Path | None = None
) -> Iterator[tuple[int, list[Outcome]]]:
    """How many configurations, and their outcomes, chunk by chunk; `keep` has those of earlier
    runs, and gets the others."""
    chunks = [numbers[n : n + CHUNK] for n in range(0, len(numbers), CHUNK)]
    known = _kept(seed, keep)
    left = [part for part in chunks if tuple(part) not in known]
    yield from ((len(part), known[tuple(part)]) for part in chunks if part not in left)
    with ProcessPoolExecutor(processes) if processes > 1 else nullcontext() as pool:
        run = pool.map if pool else map
        for part, found in zip(left, run(_chunk, [seed] * len(left), left), strict=True):
            if keep:
                with keep.open("a") as file:
                    file.write(json.dumps((seed, list(part), [asdict(o) for o in found])) + "\n")
            yield len(part), found


def _kept(seed: int, keep: Path | None) -> dict[tuple[int, ...], list[Outcome]]:
    """The chunks of earlier runs with this seed."""
    if keep is None or not keep.exists():
        return {}
    rows = (json.loads(line) for line in keep.read_text().splitlines())
    return {tuple(n): [Outcome(**o) for o in found] for s, n, found in rows if s == seed}


# -- the report ------------------------------------------------------------------------------------

COLUMNS = ("functions", "candidates", "exact", "padding", "may leak", "leaks", "wrong", "failed")
NOTES = (
    "exact: not finite in the sums that have it by the definition, and in no others",
    "padding: beyond the definition only in products with zeros of padding, as the option and the"
    " plan state; PyTorch's own convolutions of padded inputs do the same",
    "may leak: the plan states that a NaN may reach other sums; leaks: it did (neither may be with"
    " nonfinite=contained)",
    "wrong: beyond what the plan states, or finite where a sum is not",
)


def sheets(found: Sequence[Outcome], count: int, seed: int, remark: str = "") -> list[Sheet]:
    """For each option, by operation and by kind of candidate; a remark stands below the first."""
    tables = []
    for option in OPTIONS:
        own = [o for o in found if o.nonfinite == option]
        share = f"every {SPREAD_EVERY}th of " if option == SPREAD else ""
        title = f'nonfinite="{option}": {share}{count:,} configurations, seed {seed}'
        for name, key in (("operation", "what"), ("candidate", "kind")):
            rows, bad = [], set()
            for word in sorted({getattr(o, key) for o in own}):
                mine = [o for o in own if getattr(o, key) == word]
                bad |= {len(rows)} if not all(o.good for o in mine) else set()
                rows.append((word, *_counts(mine)))
            rows.append(("all", *_counts(own)))
            notes = () if tables else (*NOTES, remark) if remark else NOTES
            tables.append(
                Sheet(title, (name, *COLUMNS), tuple(rows), notes=notes, bad=frozenset(bad))
            )
            title = f'nonfinite="{option}", by kind of candidate'
    return tables


def _counts(found: Sequence[Outcome]) -> tuple[str, ...]:
    functions = len({(o.number, o.about) for o in found})
    every = [
        (
            not (o.padding or o.leaks or o.outside or o.lost or o.failure),
            o.padding and not o.leaks,
            o.stated == Reach.MORE,
            o.leaks,
            o.outside or o.lost,
            o.failure,
        )
        for o in found
    ]
    counts = [sum(map(bool, column)) for column in zip(*every, strict=True)]
    return f"{functions:,}", f"{len(found):,}", *(f"{n:,}" for n in counts)


def report(console: Console, bad: Sequence[Outcome]) -> None:
    """What is wrong, as numbers to run again."""
    for o in bad[:SHOWN]:
        counts = f"{o.leaks} leaks, {o.outside} outside, {o.lost} lost"
        why = o.failure or f"{counts}, stated {Reach(o.stated).name}"
        console.print(
            f"{o.number}, {o.nonfinite}: {o.candidate}: {why}", markup=False, highlight=False
        )
        console.print(f"   {o.about}", markup=False, highlight=False)


def main(
    configurations: Annotated[int, typer.Option(help="How many.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Other seeds draw others.")] = 0,
    first: Annotated[int, typer.Option(help="The number of the first.")] = 0,
    processes: Annotated[int, typer.Option(help="How many run side by side.")] = 1,
    keep: Annotated[
        Path | None, typer.Option(help="Go on where a run with this file ended.")
    ] = None,
    remark: Annotated[str, typer.Option(help="What the table says of how it was made.")] = "",
    save: Annotated[bool, typer.Option(help="Write results/nonfinite.md.")] = False,
) -> None:
    """Put NaN and infinities into operands of small random definitions and run every candidate.

    Exits with 1 where one reaches more than definition, option and plan say, or is lost.
    """
    console, start = results.console(), perf_counter()
    numbers = range(first, first + configurations)
    made: list[Outcome] = []
    with tracked(console) as progress:
        task = progress.add_task("configurations", total=configurations)
        for done, part in all_outcomes(seed, numbers, processes, keep):
            made += part
            progress.update(task, advance=done)
    tables, bad = sheets(made, configurations, seed, remark), [o for o in made if not o.good]
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
