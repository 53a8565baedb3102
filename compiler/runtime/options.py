"""Options of compilation: how a diagram becomes a function, told apart from sizes and
parameters."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diagrammar.grammar.errors import DiagramError, Problem, near
from diagrammar.program.liveness import parse_bytes
from diagrammar.rules import RULES

DTYPES = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")

CONTAINED = "contained"
SPREAD = "spread"


@dataclass(frozen=True)
class Options:
    """How to compile.

    backend: "torch", or "numpy" for the dense oracle. memory: the most bytes a call may allocate
    beyond its operands ("2GiB"). accumulate: the dtype that operands are cast to first, results
    being cast back. native: whether library convolutions may be used. without: rules that are
    switched off. plan: "cost" takes the candidate that the cost model prefers; "measure" times the
    best few on the first call, for its dtype and device, and remembers the choice on disk
    (`diagrammar.cost.store`). nonfinite: with "contained" a NaN or infinity in an operand reaches
    the entries whose sum has it, and where windows hang over the edge of an operand those that
    meet zeros of padding; with "spread" it may reach more, for speed (`program.nonfinite`).
    """

    backend: str = "torch"
    memory: int | None = None
    accumulate: str | None = None
    native: bool = True
    without: frozenset[str] = frozenset()
    plan: str = "cost"
    nonfinite: str = CONTAINED

    @staticmethod
    def take(values: Mapping[str, Any]) -> tuple[Options, dict[str, Any]]:
        """Options, and the sizes and parameters that are left; DiagramError for an option's bad
        value."""
        rest = dict(values)
        given = {n: rest.pop(n) for n in tuple(rest) if n in Options.__dataclass_fields__}
        problems = []
        if not _is_one(given.get("backend", "torch"), ("torch", "numpy")):
            problems.append(_option("backend", given["backend"], "'torch' or 'numpy'"))
        if not _is_one(given.get("plan", "cost"), ("cost", "measure")):
            problems.append(_option("plan", given["plan"], "'cost' or 'measure'"))
        if not _is_one(given.get("nonfinite", CONTAINED), (CONTAINED, SPREAD)):
            choices = f"'{CONTAINED}' or '{SPREAD}'"
            problems.append(_option("nonfinite", given["nonfinite"], choices))
        if not isinstance(given.get("native", True), bool):
            problems.append(_option("native", given["native"], "True or False"))
        accumulate = given.get("accumulate")
        if accumulate is not None and not _is_one(accumulate, DTYPES):
            help = near(str(accumulate), DTYPES)
            problems.append(_option("accumulate", accumulate, ", ".join(DTYPES), help))
        if given.get("memory") is not None:
            try:
                given["memory"] = parse_bytes(given["memory"])
            except ValueError as error:
                problems.append(Problem(str(error)))
        without = given.get("without", ())
        without = (without,) if isinstance(without, str) else without
        if not isinstance(without, Collection) or not all(isinstance(n, str) for n in without):
            problems.append(_option("without", without, "the name of a rule, or several"))
            without = ()
        given["without"] = frozenset(without)
        problems += _unknown_rules(given["without"])
        constants = rest.get("constants")
        if constants is not None and not isinstance(constants, Mapping):
            problems.append(_option("constants", constants, "values by name"))
        if problems:
            raise DiagramError(problems)
        return Options(**given), rest


def _is_one(value: Any, names: Sequence[str]) -> bool:
    """Whether a value is one of some names; nothing else is asked of it, whatever it is."""
    return isinstance(value, str) and value in names


def _unknown_rules(without: frozenset[str]) -> list[Problem]:
    if not without:
        return []
    return [
        Problem(
            f"option 'without' names no rule: {name!r}",
            help=near(str(name), RULES) or f"there are {', '.join(RULES)}",
        )
        for name in sorted(without, key=str)
        if name not in RULES
    ]


def _option(name: str, value: Any, choices: str, help: str = "") -> Problem:
    shown = repr(value)
    shown = shown if len(shown) <= 80 else f"{shown[:79]}…"
    return Problem(f"option '{name}' must be {choices}, not {shown}", help=help)
