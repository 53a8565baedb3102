"""How long the front end takes: a file of a thousand definitions, and hostile ones.

Each text is read and checked as `diagrammar check` does it, its problems written out; seconds of
CPU time, the median of some runs in one process. Status 1 where one takes more than two.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import results
from benchmarks.results import Sheet
from diagrammar.grammar.source import Source
from diagrammar.language.spec import read

LIMIT = 2.0
"""Seconds that one file may take."""

HEAD = """
size k = 3
param s = 1, p = 1
tensor X[b, ci, i]
tensor W[co, ci, k]
pattern P[i, o, k] = conv(stride=s, padding=p)
"""
FOUR = """
Y#[b, co, o] = X[b, ci, i] * P[i, o, k] * W[co, ci, k]
D# = vjp(Y#, W)
U#[b, (ci k), o] = X[b, ci, i] * P[i, o, k]
A#[(ci k), (ci' k')] = 1/|b| * U#[b, (ci k), o] * U#[b, (ci' k'), o]
"""


def definitions(count: int) -> str:
    """A file of so many definitions: convolutions, gradients, unfolded inputs and factors."""
    return HEAD + "".join(FOUR.replace("#", str(n)) for n in range(count // 4))


def texts(folder: Path) -> Mapping[str, Source]:
    """The files by what they are."""
    (folder / "self.tn").write_text('use "self.tn" as me\nY[] = me.Y[]\n', encoding="utf-8")
    for n in range(200):
        text = f'use "chain{n + 1}.tn" as next\nY[] = next.Y[]\n'
        (folder / f"chain{n}.tn").write_text(text, encoding="utf-8")
    power = "Y0[] = X[]\n" + "".join(f"Y{n + 1}[] = Y{n}[] * Y{n}[]\n" for n in range(8))
    made = {
        "1,000 definitions": definitions(1000),
        "100,000 statements": "tensor X[b, i]\n" * 100_000,
        "100,000 lines of comments": "# why\n\n" * 50_000 + "rank 2\n",
        "100,000 wrong lines": "tensor X[b, i\n" * 100_000,
        "one statement over 100,000 lines": "Y[] =\n" + "    + X[]\n" * 100_000,
        "10,000 nested parentheses": "size k = " + "(" * 10_000 + "1" + ")" * 10_000,
        "10,000 nested brackets": "Y" + "[" * 10_000 + "b" + "]" * 10_000 + " = X[b]",
        "10,000 signs in a scalar": "size k = " + "-" * 10_000 + "1",
        "10,000 names that are no ASCII": "tensor größe[b]\n" * 10_000,
        "an integer of a million digits": "size k = " + "9" * 1_000_000,
        "a name of a million letters": f"tensor {'X' * 1_000_000}[b]",
        "a power of 64 of 64 wires": "tensor X[i]\nY[i] = X[i]^64 * X[i]^64",
        "a definition used 256 times": "tensor X[]\n" + power,
    }
    sources = {name: Source(text, "hostile.tn") for name, text in made.items()}
    for name, path in (("a file that uses itself", "self"), ("200 files in a row", "chain0")):
        file = folder / f"{path}.tn"
        sources[name] = Source(file.read_text(encoding="utf-8"), str(file))
    return sources


def seconds(source: Source, rounds: int) -> tuple[float, int]:
    """The median of some readings, and the number of problems."""
    taken, count = [], 0
    for _ in range(rounds):
        start = time.process_time()
        _, problems = read(source)
        count = len([str(problem) for problem in problems])
        taken.append(time.process_time() - start)
    return statistics.median(taken), count


def main(
    rounds: Annotated[int, typer.Option(help="Runs of which the median is taken.")] = 3,
    save: Annotated[bool, typer.Option(help="Write results/front_end.md and .json.")] = False,
) -> None:
    """Time the front end on a thousand definitions and on hostile files."""
    read(Source(HEAD))  # imports
    with tempfile.TemporaryDirectory() as folder:
        found = {n: seconds(s, rounds) for n, s in texts(Path(folder)).items()}
    sheet = Sheet(
        "reading and checking a file, seconds of CPU time",
        ("file", "seconds", "problems"),
        tuple((name, f"{spent:.2f}", f"{count:,}") for name, (spent, count) in found.items()),
        notes=(f"limit: {LIMIT:.0f} s; median of {rounds}",),
        bad=frozenset(n for n, (spent, _) in enumerate(found.values()) if spent > LIMIT),
    )
    results.console().print(sheet.rich())
    if save:
        rows = [{"file": n, "seconds": s, "problems": c} for n, (s, c) in found.items()]
        results.save("front_end", "python -m benchmarks.front_end --save", [sheet], rows)
    sys.exit(1 if sheet.bad else 0)


if __name__ == "__main__":
    typer.run(main)
