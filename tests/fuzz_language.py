"""Random files, parameters and calls: a result or a DiagramError, nothing else, by bounded work.

    python -m tests.fuzz_language --cases 20000 --seed 0

A case is a file (a shipped or random one with a few changes, or a random one of the grammar), a
definition of it, values for its sizes and parameters of all types, and operands that fit them or
nearly do. It is checked, written as text, compiled for shapes and for all shapes, and called; small
results are held against the dense oracle. Work is counted in calls of functions.

Others build on `case(seed, number)`, which draws a case, and `outcome(case)`, which runs it.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import cache, partial
from importlib import resources
from typing import Any

import numpy as np
import sympy
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
from tests.grammar.fuzz import mutated, seeds
from tests.language.programs import program
from tests.work import counted

BOUND = 20_000_000
"""The most calls of functions that a case may take."""
LATE = 300
"""Seconds after which a case that does not end is given up, so that a sweep ends."""
ENTRIES = 2**16
"""The most entries, over all wires of a term, of a case that is called."""
CHUNK = 50
SHOWN = 20

KINDS = ("shipped", "random", "random", *(("grammatical",) * 5), "torn", "torn")
SCALARS = (
    "0", "1", "2", "3", "64", "1/2", "3/2", "0.5", "(|k| - 1)/2", "|k|/2", "|i|", "|i|/2", "s", "p",
    "p/2", "s - 1", "1/s", "|i|//s", "|b|", "|o|", "1/|b|", "1/(|b| - 1)", "(s + 1)^3", "(p - 3)",
    "9223372036854775807", "2^64", "|k|^2", "|i|//(|k| - 1)", "-1", "same",
)  # fmt: skip
OPTIONS = (
    "stride=%s", "padding=%s", "dilation=%s", "padding=(%s, 1)", "padding=(0, %s)",
    "output_padding=%s", "padding='same'", "padding=p", "boundary=circular, padding=%s",
    "boundary=reflect, padding=%s", "boundary=replicate, padding=%s", "",
)  # fmt: skip
BRACKETS = (
    "i = o + %s", "i = %s*o + k", "i = o + k mod %s", "i <= o + %s", "0 <= i - o < %s",
    "i = o + k - %s, o < %s", "k = %s", "i + k = %s*o + |k| - 1",
)  # fmt: skip
AXES = (
    "b", "i", "o", "k", "i'", "b'", "(b i)", "(i k)", "(k o)", "(b b)", "c", "(i i')", "()",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A file, a definition of it ("" for none), values by keyword, and what is done with them."""

    seed: int
    number: int
    kind: str
    text: str
    rank: Any = None
    values: dict[str, Any] = field(default_factory=dict)
    shapes: int = 0
    generic: bool = False
    called: bool = False

    @property
    def chance(self) -> random.Random:
        """A generator for what remains to be drawn: operands."""
        return random.Random(f"{self.seed}/{self.number}/{self.shapes}")


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


# -- drawing ---------------------------------------------------------------------------------------


def case(seed: int, number: int) -> Case:
    """A case, the same for the same two numbers."""
    chance = random.Random(f"{seed}/{number}")
    kind = chance.choice(KINDS)
    text = {"shipped": shipped, "random": rewritten, "grammatical": grammatical, "torn": torn}[kind]
    names = ("s", "p", "k", "i", "b", "o", "q", "rank", "g", "d", "k1", "nothing", "c")
    count = chance.choice((0, 0, 1, 1, 2, 3))
    values = {name: value(chance) for name in chance.sample(names, count)}
    return Case(
        seed,
        number,
        kind,
        text(chance),
        value(chance) if chance.random() < 0.1 else None,
        values,
        chance.randrange(1000),
        generic=chance.random() < 0.1,
        called=chance.random() < 0.15,
    )


def value(chance: random.Random) -> Any:
    """A value of some type: mostly small integers, else whatever a caller may have at hand."""
    if chance.random() < 0.5:
        return chance.randint(0, 4)
    small, half = chance.randint(-2, 5), chance.randint(-3, 9) / 2
    return chance.choice(
        (
            small, half, float(small), True, False, None, "same", "valid", "zeros", "circular", "3",
            "", "nonsense", float("nan"), float("inf"), -float("inf"), 2**63, 10**400, -1, 0,
            np.int64(small), np.uint8(3), np.float32(half), np.float64("nan"), np.bool_(True),
            np.array(small), np.array([small]), np.array(half), torch.tensor(small),
            torch.tensor(half), torch.tensor([1, 2]), torch.tensor(True), Fraction(small, 2),
            Fraction(small), Decimal(small), Decimal("0.25"), Decimal("NaN"), Decimal("Infinity"),
            Decimal("1e-99999"), sympy.Integer(small), sympy.Rational(small, 2), sympy.oo,
            sympy.nan, sympy.Symbol("k"), sympy.pi, 1 + 2j, (small, 1), (half, 1), (1, 2, 3), [],
            [small], ((1, 0), "same"), ("same", "same"), {}, {1: 2}, b"3", object(), int, len,
            range(2), slice(1), 1e-320, 5e-324, 1e308, "x" * 1000,
        )
    )  # fmt: skip


@cache
def _library() -> tuple[str, ...]:
    files = resources.files("diagrammar.library").iterdir()
    return tuple(sorted(f.read_text("utf-8") for f in files if f.name.endswith(".tn")))


def shipped(chance: random.Random) -> str:
    """A shipped file with a few changes."""
    return changed(chance.choice(_library()), chance)


def rewritten(chance: random.Random) -> str:
    """A random file that means something, with a few changes."""
    return changed(program(chance).text, chance)


def torn(chance: random.Random) -> str:
    """Lines of a file with letters and signs changed."""
    return mutated(_seeds(), chance).decode("utf-8", "replace")


@cache
def _seeds() -> list[str]:
    return seeds()


def changed(text: str, chance: random.Random) -> str:
    """A text with some of its numbers, names, scalars, signs and lines replaced."""
    for _ in range(chance.choice((0, 1, 1, 2, 3, 6))):
        text = chance.choice((_number, _name, _line, _sign, _option))(text, chance)
    return text


def _put(text: str, pattern: str, new: str, chance: random.Random) -> str:
    places = [m.span() for m in re.finditer(pattern, text)]
    if not places:
        return text
    start, stop = chance.choice(places)
    return text[:start] + new + text[stop:]


def _number(text: str, chance: random.Random) -> str:
    return _put(text, r"(?<![\w.])\d+(?![\w.])", chance.choice(SCALARS), chance)


def _name(text: str, chance: random.Random) -> str:
    names = re.findall(r"[A-Za-z_]\w*'*", text)
    return _put(text, r"[A-Za-z_]\w*'*", chance.choice(names), chance) if names else text


def _sign(text: str, chance: random.Random) -> str:
    return _put(text, r" [-+*/=] ", f" {chance.choice('+-*/=^')} ", chance)


def _option(text: str, chance: random.Random) -> str:
    return _put(text, r"conv\([^()]*\)", f"conv({options(chance)})", chance)


def _line(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    at, other = chance.randrange(len(lines)), chance.choice(lines)
    lines[at] = chance.choice(("", other, lines[at] + other))
    return "".join(lines)


def options(chance: random.Random) -> str:
    """Options of a convolution."""
    chosen = chance.sample(OPTIONS, chance.choice((0, 1, 1, 2)))
    return ", ".join(o.replace("%s", chance.choice(SCALARS)) for o in chosen if o)


def _axes(chance: random.Random, most: int = 3) -> str:
    return ", ".join(chance.choice(AXES) for _ in range(chance.randint(0, most)))


def grammatical(chance: random.Random) -> str:
    """A random file of the grammar, with names that mostly exist."""
    scalar = partial(chance.choice, SCALARS)
    lines = [f"size k = {scalar()}" if chance.random() < 0.3 else "size k = 3"]
    lines.append(
        f"param s = {chance.choice((scalar(), '1'))}, p = {chance.choice((scalar(), '0'))}"
    )
    tensors = {f"T{n}": _axes(chance) for n in range(chance.randint(1, 3))}
    lines += [f"tensor {name}[{axes}]" for name, axes in tensors.items()]
    lines.append(f"pattern P[i, o, k] = conv({options(chance)})")
    bracket = chance.choice(BRACKETS).replace("%s", chance.choice(SCALARS))
    lines.append(f"pattern Q[i, o, k] = [{bracket}]")
    if chance.random() < 0.4:
        lines.append(f"size {chance.choice('oic')} := {scalar()}")
    if chance.random() < 0.2:
        lines.append(f"require {scalar()} {chance.choice(('<', '<=', '=', '>'))} {scalar()}")
    defined: dict[str, str] = {}
    for n in range(chance.randint(1, 5)):
        line, axes = _definition(chance, f"D{n}", tensors, defined)
        lines.append(line)
        defined[f"D{n}"] = axes
    return "\n".join(lines) + "\n"


def _definition(
    chance: random.Random, name: str, tensors: dict[str, str], defined: dict[str, str]
) -> tuple[str, str]:
    """A definition or derivative, and its axes."""
    by = chance.choice(list(tensors))
    if defined and chance.random() < 0.3:
        of = chance.choice(list(defined))
        kind = chance.choice(("vjp", "jvp", "jacobian", "sample"))
        if kind == "sample":
            return f"{name} = sample({of}, {chance.choice('bik')}, keep=1/2)", defined[of]
        return f"{name} = {kind}({of}, {by})", tensors[by] if kind == "vjp" else defined[of]
    factors = []
    for _ in range(chance.randint(1, 4)):
        known = {**tensors, **defined, "P": "i, o, k", "Q": "i, o, k", "delta": "i, o", "ones": "k"}
        used = chance.choice(list(known))
        axes = known[used] if chance.random() < 0.85 else _axes(chance)
        power = f"^{chance.choice((2, 3, 64))}" if chance.random() < 0.05 else ""
        factors.append(f"{used}[{axes}]{power}")
    if chance.random() < 0.4:
        factors.insert(0, chance.choice(SCALARS))
    total = factors[0]
    for factor in factors[1:]:
        total += f" {chance.choice('*****+-/')} {factor}"
    axes = _axes(chance, 2)
    return f"{name}[{axes}] = {total}", axes


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
    entries = [_entries(t.sizes.values()) for d in made for t in d.terms]
    entries += [_entries(d.sizes.values()) for d in made]
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


def _entries(sizes: Any) -> int:
    total = 1
    for n in sizes:
        total *= max(int(n), 1)
    return total


def drawn(function: Any, given: Case) -> dict[str, torch.Tensor]:
    """Small operands; sizes of wires of one name are one, from 0 to 4, formulas worked out."""
    chance = given.chance
    defaults = {
        k: v for d in function.diagrams for k, v in d.defaults.items() if isinstance(v, int)
    }
    known = {**defaults, **{k: v for k, v in given.values.items() if type(v) is int}}
    sizes: dict[str, int] = {}
    made = {}
    for operand in function.operands:
        shape = []
        for extent in operand.shape():
            symbols = getattr(sympy.sympify(extent), "free_symbols", set())
            at = {}
            for symbol in sorted(symbols, key=str):
                size = sizes.setdefault(
                    symbol.name, known.get(symbol.name, chance.choice((0, 1, 2, 3, 3, 4, 5)))
                )
                at[symbol] = min(size, 64)
            number = sympy.sympify(sympy.sympify(extent).xreplace(at))
            shape.append(min(max(int(number), 0), 64) if number.is_Integer else 1)
        if shape and chance.random() < 0.03:
            shape[chance.randrange(len(shape))] += 1
        while _entries(shape) > ENTRIES:
            shape[shape.index(max(shape))] //= 2
        seed = torch.Generator().manual_seed(chance.randrange(2**31))
        made[operand.name] = torch.randn(shape, generator=seed, dtype=torch.float64)
    return made


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
