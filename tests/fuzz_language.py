"""Random files, parameters and calls: a result or a DiagramError, nothing else, by bounded work.

    python -m tests.fuzz_language --cases 20000 --seed 0

A case is a file (a shipped or random one with a few changes, or a random one of the grammar), a
definition of it, values for its sizes and parameters of all types, and operands that fit them or
nearly do. It is checked, written as text, compiled for shapes and for all shapes, and called; small
results are held against the dense oracle. Work is counted in calls of functions.

`outcome(case)` runs a case of `tests.fuzz_cases`.
"""

from __future__ import annotations

import argparse
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

import diagrammar as dg
from benchmarks import results
from benchmarks.progress import tracked
from benchmarks.results import Sheet
from diagrammar.cli.check import check_source
from diagrammar.grammar.source import Source
from diagrammar.ir.diagram import Diagram
from diagrammar.ir.symbols import names_of
from diagrammar.language.spec import read
from tests.fuzz_cases import ENTRIES, Case, case, drawn, entries_of, value
from tests.work import counted

BOUND = 20_000_000
"""The most calls of functions that a case may take."""
LATE = 300
"""Seconds after which a case that does not end is given up, so that a sweep ends."""
CHUNK = 50
SHOWN = 20


@dataclass(frozen=True)
class Outcome:
    """How a case ended: "refused", "checked", "compiled", "called", "right", or a failure."""

    seed: int
    number: int
    kind: str
    end: str
    calls: int = 0
    failure: str = ""
    text: str = ""


# -- running ---------------------------------------------------------------------------------------


class Late(BaseException):
    """A case that does not end."""


@contextmanager
def ended(seconds: int) -> Iterator[None]:
    """Raises Late in what takes so long; on systems with alarms."""

    def late(*_: Any) -> None:
        raise Late

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(given: Case) -> Outcome:
    """Run a case; whatever is raised but DiagramError is a failure, and so is too much work."""
    about = (given.seed, given.number, given.kind)
    with counted() as work:
        try:
            with ended(LATE):
                end, failure = _run(given), ""
        except Late:
            end, failure = "no end", f"no end after {LATE} s"
        except Exception as error:  # a sweep reports all failures
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{place.filename.rpartition('/')[2]}:{place.lineno}"
            end, failure = "wrong", f"{type(error).__name__} at {where}: {error}"[:300]
    if not failure and work.calls > BOUND:
        end, failure = "too much", f"{work.calls:,} calls"
    return Outcome(*about, end, work.calls, failure, given.text if failure else "")


def _run(given: Case) -> str:
    source = Source(given.text, "fuzz.tn")
    try:
        if given.number % 4 == 0:
            check_source(source)
        spec, problems = read(source, given.rank)
        if not all(str(p) for p in problems):
            raise RuntimeError("a problem without words")
    except dg.DiagramError:
        return "refused"
    sound = list(spec.sound())
    if not sound:
        return "refused"
    chosen = given.chance.choice(sound)
    try:
        diagram = spec[chosen.name]
        end = "checked"
        assert str(diagram)
        values = _known(diagram, given)
        function = diagram.compile(**values)
        end = "compiled"
        if given.called and len(chosen.terms) < 30:
            end = _called(diagram, function, values, given)
    except dg.DiagramError:
        return end if end != "checked" else "checked, then refused"
    return end


def _known(diagram: Diagram, given: Case) -> dict[str, Any]:
    """The values of a case, most of them of names that there are."""
    names = sorted(names_of(diagram))
    kept = {n: v for n, v in given.values.items() if n in names or given.number % 7 == 0}
    if names and given.number % 2:
        kept[given.chance.choice(names)] = value(given.chance)
    return kept


def _called(diagram: Diagram, function: Any, values: dict[str, Any], given: Case) -> str:
    """Call a function for operands that fit, or nearly do; small ones against the oracle."""
    operands = drawn(function, given)
    made = function.diagrams_for(operands)
    entries = [entries_of(t.sizes.values()) for d in made for t in d.terms]
    entries += [entries_of(d.sizes.values()) for d in made]
    if max(entries, default=0) > ENTRIES or any(len(t.tensors) > 30 for d in made for t in d.terms):
        return "compiled"  # the oracle's einsum takes 32 tensors
    got = function(**operands)
    arrays = {name: x.numpy() for name, x in operands.items()}
    expected = torch.tensor(np.asarray(diagram.compile(**{**values, "backend": "numpy"})(**arrays)))
    assert got.shape == expected.shape, f"shape {tuple(got.shape)}, not {tuple(expected.shape)}"
    assert torch.allclose(got, expected.to(got), rtol=1e-9, atol=1e-9), "wrong numbers"
    if given.generic:
        try:
            every = function.generic()
        except dg.DiagramError:
            return "right"
        got = every(*(operands[p.name] for p in every.program.parameters))
        assert torch.allclose(got, expected.to(got), rtol=1e-9, atol=1e-9), "wrong for all shapes"
    return "right"


# -- the command -----------------------------------------------------------------------------------


def run(seed: int, numbers: range) -> list[Outcome]:
    """Some cases, one after the other."""
    torch.set_num_threads(1)
    return [outcome(case(seed, number)) for number in numbers]


def sweep(cases: int, seed: int, first: int = 0, jobs: int = 1) -> list[Outcome]:
    """All cases, in chunks."""
    console = results.console()
    chunks = [range(n, min(n + CHUNK, first + cases)) for n in range(first, first + cases, CHUNK)]
    found: list[Outcome] = []
    with tracked(console) as bar, ProcessPoolExecutor(jobs) as pool:
        task = bar.add_task("cases", total=cases)
        for made in pool.map(partial(run, seed), chunks):
            found += made
            bar.advance(task, len(made))
            for o in made:
                if o.failure:
                    console.print(f"case {o.number}: {o.failure}", highlight=False, markup=False)
    return found


def table(found: list[Outcome]) -> Sheet:
    """How cases ended, by kind."""
    ends = sorted({o.end for o in found})
    kinds = sorted({o.kind for o in found})
    seen = Counter((o.kind, o.end) for o in found)
    most = {k: max(o.calls for o in found if o.kind == k) for k in kinds}
    rows = tuple((k, *(f"{seen[k, e]:,}" for e in ends), f"{most[k]:,}") for k in kinds)
    note = f"'most calls': of functions, for one case; at most {BOUND:,} are allowed."
    return Sheet(
        "random files, values and calls", ("kind", *ends, "most calls"), rows, notes=(note,)
    )


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--show", action="store_true", help="print the files that fail")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results")
    given = parser.parse_args()
    found = sweep(given.cases, given.seed, given.first, given.jobs)
    console, sheet = results.console(), table(found)
    console.print(sheet.rich())
    wrong = [o for o in found if o.failure]
    for o in wrong[:SHOWN] if given.show else ():
        console.print(f"\n{o.number}: {o.failure}\n{o.text}", highlight=False, markup=False)
    if given.save:
        command = f"python -m tests.fuzz_language --cases {given.cases} --seed {given.seed}"
        results.save("fuzz_language", command, [sheet], [asdict(o) for o in wrong])
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
