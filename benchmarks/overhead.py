"""What the compiler itself costs: importing, compiling, checking a file, and calling.

Everything that happens once is measured in fresh processes, in turn; the table states the limits.
"""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib.resources import files
from statistics import median
from time import perf_counter
from typing import Annotated

import torch
import typer

import diagrammar as dg
from benchmarks import results
from benchmarks.progress import tracked
from benchmarks.results import Sheet
from benchmarks.timing import Clock, shown
from diagrammar.runtime.specialised import Specialised

FILE = str(files("diagrammar.library") / "conv2d.tn")
SHAPES = {
    "X": (8, 64, 56, 56),
    "tX": (8, 64, 56, 56),
    "W": (64, 64, 3, 3),
    "bias": (64,),
    "dY": (8, 64, 56, 56),
}

COMPILED = ("Y", "dX", "A_expand", "A_reduce")

IMPORT = """
from time import perf_counter
start = perf_counter()
import diagrammar
print(perf_counter() - start)
"""

COMPILE = """
import importlib, pkgutil, sys
from time import perf_counter
import torch, sympy, networkx, lark, numpy
import diagrammar
for module in pkgutil.walk_packages(diagrammar.__path__, "diagrammar."):
    if not module.name.endswith("__main__") and ".integrations" not in module.name:
        importlib.import_module(module.name)
path, name, shapes = sys.argv[1], sys.argv[2], eval(sys.argv[3])
text = open(path, encoding="utf-8").read()
start = perf_counter()
spec = diagrammar.parse(text)
function = spec[name].compile(i1=56, i2=56)
taken = [o.name for o in function.operands]
source = function.specialise(**{n: shapes[n] for n in taken}).source
print(perf_counter() - start)
"""


@dataclass(frozen=True)
class Cost:
    """A median in seconds beside its limit, and the least that was seen."""

    what: str
    seconds: float
    least: float
    limit: float

    @property
    def good(self) -> bool:
        """Below its limit."""
        return self.seconds < self.limit


def printed(script: str, *arguments: str) -> float:
    """The seconds that a script prints, run in a fresh process."""
    command = [sys.executable, "-c", script, *arguments]
    return float(_run(command))


def whole(*arguments: str) -> float:
    """The wall time of a `diagrammar` command as a process."""
    start = perf_counter()
    _run([sys.executable, "-m", "diagrammar", *arguments])
    return perf_counter() - start


def _run(command: list[str]) -> str:
    """What a process prints; its error output, if it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr or done.stdout)
    return done.stdout


def processes() -> dict[str, tuple[float, Callable[[], float]]]:
    """What runs in fresh processes: its limit, and how one time is taken."""

    def compiling(name: str) -> Callable[[], float]:
        return lambda: printed(COMPILE, FILE, name, repr(SHAPES))

    found: dict[str, tuple[float, Callable[[], float]]] = {
        "import diagrammar": (0.15, lambda: printed(IMPORT)),
        "diagrammar check conv2d.tn": (1.0, lambda: whole("check", FILE)),
    }
    for name in COMPILED:
        found[f"text to emitted {name}"] = (0.15, compiling(name))
    return found


def emitted(special: Specialised) -> Callable[..., object]:
    """The function that a source defines, loaded as anybody would who has only the text."""
    source, name = special.source, special.program.name
    module = types.ModuleType("emitted")
    exec(compile(source, "<emitted>", "exec"), module.__dict__)
    function: Callable[..., object] = getattr(module, name)
    return function


def calls() -> Iterator[Cost]:
    """A warm call less the emitted function itself: the median of many differences, in turn."""
    spec = dg.load(FILE)
    x, w, bias = torch.randn(1, 2, 4, 4), torch.randn(2, 2, 3, 3), torch.randn(2)
    clock = Clock(rounds=2001, least=501, seconds=6.0, sample=1e-3)
    for name, operands in (("Y", {"X": x, "W": w, "bias": bias}), ("A_reduce", {"X": x})):
        function = spec[name].compile()
        special = function.specialise(**{n: tuple(v.shape) for n, v in operands.items()})
        bare, values = emitted(special), list(operands.values())
        found = clock.samples(
            {
                "bare": partial(bare, *values),
                "by position": partial(function, *values),
                "by name": partial(function, **operands),
            }
        )
        for way in ("by position", "by name"):
            added = [f - b for f, b in zip(found[way], found["bare"], strict=True)]
            middle = median(added)
            least = sorted(added)[len(added) // 4]
            yield Cost(f"warm call of {name} {way}, added", middle, least, 1e-5)


def sheet(found: list[Cost], runs: int) -> Sheet:
    """Medians beside limits."""
    rows = tuple(
        (c.what, shown(c.seconds), shown(c.least), f"< {shown(c.limit)}", "yes" if c.good else "NO")
        for c in found
    )
    return Sheet(
        "what the compiler costs",
        ("", "median", "least", "limit", "kept"),
        rows,
        notes=(
            f"Fresh processes: {runs} runs each, in turn. Warm calls: least = lower quartile.",
            "text to emitted: parse + build + simplify + plan + emit, after imports, 64→64 @56 k3.",
        ),
        bad=frozenset(n for n, c in enumerate(found) if not c.good),
    )


def main(
    runs: Annotated[int, typer.Option(help="Fresh processes for each measurement.")] = 7,
    save: Annotated[bool, typer.Option(help="Write results/overhead.md and .json.")] = False,
) -> None:
    """Measure imports, compilation, `diagrammar check` and the cost of a warm call.

    Exits with 1 when a limit is not kept.
    """
    torch.set_num_threads(1)
    console = results.console()
    jobs = processes()
    times: dict[str, list[float]] = {name: [] for name in jobs}
    with tracked(console) as progress:
        for _ in progress.track(range(runs), description="fresh processes"):
            for name, (_, take) in jobs.items():
                times[name].append(take())
    found = [Cost(n, median(t), min(t), jobs[n][0]) for n, t in times.items()] + list(calls())
    table = sheet(found, runs)
    console.print(table.rich())
    if save:
        rows = [asdict(c) for c in found]
        paths = results.save("overhead", "python -m benchmarks.overhead", [table], rows)
        console.print("written:", *paths)
    sys.exit(0 if all(c.good for c in found) else 1)


if __name__ == "__main__":
    typer.run(main)
