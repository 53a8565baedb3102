"""Random cases for the language: a file, a definition of it, values of all types, operands.

`case(seed, number)` draws one: a shipped or random file with a few changes, or a random file of the
grammar. `drawn` makes operands that fit a function, or nearly do.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import cache, partial
from importlib import resources
from typing import Any

import numpy as np
import sympy
import torch

from tests.grammar.fuzz import mutated, seeds
from tests.language.programs import program

ENTRIES = 2**16
"""The most entries, over all wires of a term, of a case that is called."""

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


def entries_of(sizes: Any) -> int:
    """The number of entries of a tensor of these sizes, empty axes counted as one."""
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
        while entries_of(shape) > ENTRIES:
            shape[shape.index(max(shape))] //= 2
        seed = torch.Generator().manual_seed(chance.randrange(2**31))
        made[operand.name] = torch.randn(shape, generator=seed, dtype=torch.float64)
    return made
