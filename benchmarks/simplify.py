"""How long a simplification takes: every shipped operation, and chains of up to 200 tensors.

An operation is simplified with its default hyper-parameters, once with open sizes and once with
those of a common layer. A chain alternates vectors' weights and relations, each of which a rule
removes; the time per pair of lengths tells how it grows.
"""

from __future__ import annotations

import gc
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated

import typer
from rich.console import Console

import diagrammar as dg
from benchmarks import results
from benchmarks.results import Sheet
from diagrammar.ir.diagram import Diagram
from diagrammar.library import names
from diagrammar.rules.passes import Pipeline

LIMIT = 0.050
"""Seconds that one operation may take."""

LENGTHS = (2, 5, 10, 20, 50, 100, 200)

LAYERS = {
    "3×3 p1": {"k1": 3, "k2": 3, "k.0": 3, "k.1": 3, "s": 1, "p": 1},
    "4×4 s4": {"k1": 4, "k2": 4, "s": 4, "p": 0},
    "3×3 s2 d2": {"k1": 3, "k2": 3, "s": 2, "p": 2, "d": 2},
}
SHAPE = {"i1": 32, "i2": 32, "b": 16, "ci": 64, "co": 64, "g": 1}


def seconds(run: Callable[[], object], rounds: int) -> float:
    """The median over some runs, after one to warm up."""
    run()
    found = []
    gc.collect()
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def taken(diagram: Diagram, values: dict[str, int]) -> dict[str, int]:
    """The values for which a diagram has a name, packs included (`s` for `s.0` and `s.1`)."""
    known = {*diagram.parameters, *diagram.defaults}
    known |= {w.rstrip("'") for w in diagram.sizes}
    known |= {w.rstrip("'") for o in diagram.operands for w in o.sizes}
    return {
        name: values[stem]
        for name in sorted(known)
        if (stem := name if name in values else name.split(".")[0].rstrip("12")) in values
    }


@dataclass(frozen=True)
class Single:
    """One operation on one layer; seconds with sizes open and with sizes known."""

    file: str
    operation: str
    layer: str
    steps: int
    open: float
    known: float

    def cells(self) -> tuple[str, ...]:
        """A line of the table, in milliseconds."""
        times = (f"{1e3 * t:.1f}" for t in (self.open, self.known))
        return self.file, self.operation, self.layer, str(self.steps), *times


@dataclass(frozen=True)
class Grown:
    """A chain of one length, and the power with which the time grew from the length before."""

    chain: str
    tensors: int
    rewrites: int
    seconds: float
    power: float | None

    def cells(self) -> tuple[str, ...]:
        """A line of the table, in milliseconds."""
        power = "" if self.power is None else f"{self.power:.2f}"
        numbers = (str(self.tensors), str(self.rewrites), f"{1e3 * self.seconds:.1f}")
        return self.chain, *numbers, power


def operations(rounds: int) -> list[Single]:
    """Every shipped operation on every layer, sizes open and known."""
    found = []
    for file in names():
        spec = dg.shipped(file)
        for name in spec:
            for layer, numbers in LAYERS.items():
                hyper = {**numbers, "k": numbers["k1"]}
                if "q" in spec[name].parameters:  # output padding; elsewhere a wire
                    hyper["q"] = 0
                free = taken(spec[name], hyper)
                known = taken(spec[name], {**SHAPE, **hyper, given(file): 32})
                diagram = spec[name]
                found.append(
                    Single(
                        file,
                        name,
                        layer,
                        len(diagram.simplify(**free).trace),
                        seconds(partial(diagram.simplify, **free), rounds),
                        seconds(partial(diagram.simplify, **known), rounds),
                    )
                )
    return found


def given(file: str) -> str:
    """The wire whose size is given: a transposed convolution's input is the pattern's output."""
    return "o" if file == "transposed" else "i"


def chain(length: int, *, kind: str) -> Diagram:
    """A chain of so many tensors: deltas, or one-entry kernels, each of which goes away."""
    lines = ["size w0 := 3", "tensor X[w0]"]
    factors = ["X[w0]"]
    for n in range(length - 1):
        if kind == "deltas":
            factors.append(f"delta[w{n}, w{n + 1}]")
        else:
            lines.append(f"size k{n} := 1")
            lines.append(f"pattern P{n}[w{n}, w{n + 1}, k{n}] = conv()")
            factors.append(f"P{n}[w{n}, w{n + 1}, k{n}]")
    opened = f"w{length - 1}"
    return dg.parse("\n".join([*lines, f"Y[{opened}] = {' * '.join(factors)}"]))["Y"]


def chains(rounds: int) -> list[Grown]:
    """Chains of growing length."""
    found: list[Grown] = []
    for kind in ("deltas", "patterns"):
        before: Grown | None = None
        for length in LENGTHS:
            diagram = chain(length, kind=kind)
            rewrites = len(Pipeline().run(diagram).trace.rewrites)
            made = seconds(partial(Pipeline().run, diagram), max(3, rounds // 2))
            power = None
            if before is not None:
                power = math.log(made / before.seconds) / math.log(length / before.tensors)
            before = Grown(kind, length, rewrites, made, power)
            found.append(before)
    return found


def sheets(single: Sequence[Single], grown: Sequence[Grown]) -> tuple[Sheet, Sheet]:
    """The tables."""
    slow = frozenset(n for n, row in enumerate(single) if max(row.open, row.known) > LIMIT)
    return (
        Sheet(
            "one operation, milliseconds",
            ("file", "operation", "layer", "steps", "sizes open", "sizes known"),
            tuple(row.cells() for row in single),
            labels=3,
            notes=(f"limit: {1e3 * LIMIT:.0f} ms; values put in, rewritten and merged; median",),
            bad=slow,
        ),
        Sheet(
            "chains, milliseconds",
            ("chain", "tensors", "rewrites", "time", "power of growth"),
            tuple(row.cells() for row in grown),
            notes=("power p: the time grows as tensors^p from the line above",),
        ),
    )


def main(
    rounds: Annotated[int, typer.Option(help="Runs of which the median is taken.")] = 9,
    save: Annotated[bool, typer.Option(help="Write results/simplify.md and .json.")] = False,
) -> None:
    """Time the simplification of every shipped operation and of chains; status 1 above 50 ms."""
    single, grown = operations(rounds), chains(rounds)
    tables = sheets(single, grown)
    console = Console()
    for table in tables:
        console.print(table.rich())
    if save:
        rows = [asdict(row) for row in (*single, *grown)]
        results.save("simplify", "python -m benchmarks.simplify --save", tables, rows)
    sys.exit(1 if tables[0].bad else 0)


if __name__ == "__main__":
    typer.run(main)
