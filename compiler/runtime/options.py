"""Options of compilation: how a diagram becomes a function, told apart from sizes and
parameters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diagrammar.backends.registry import Backend, backends
from diagrammar.grammar.errors import DiagramError, Problem, near
from diagrammar.program.liveness import parse_bytes
from diagrammar.rules import RULES

DTYPES = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")

CONTAINED = "contained"
SPREAD = "spread"
PLANS = ("cost", "measure")


@dataclass(frozen=True)
class CompileOptions:
    """How to compile.

    backend: "torch", "numpy" for the dense oracle, or another one (`backends.registry`). memory:
    the most bytes a call may allocate beyond its operands ("2GiB"). accumulate: the dtype that
    operands are cast to first, results being cast back. native: whether library convolutions may be
    used. without: rules that are switched off. plan: "cost" takes the candidate that the cost model
    prefers; "measure" times the best few on the first call, for its dtype and device, and remembers
    the choice on disk (`diagrammar.cost.store`). nonfinite: with "contained" a NaN or infinity in
    an operand reaches the entries whose sum has it, and where windows hang over the edge of an
    operand those that meet zeros of padding; with "spread" it may reach more, for speed
    (`program.nonfinite`).
    """

    backend: str = "torch"
    memory: int | None = None
    accumulate: str | None = None
    native: bool = True
    without: frozenset[str] = frozenset()
    plan: str = "cost"
    nonfinite: str = CONTAINED

    @staticmethod
    def take(values: Mapping[str, Any]) -> tuple[CompileOptions, dict[str, Any]]:
        """Options, and the values that are left: sizes, parameters and `constants`; DiagramError
        for an option's bad value."""
        rest = dict(values)
        options: dict[str, Any] = {}
        problems: list[Problem] = []
        for name, read in READERS.items():
            if name in rest:
                value = read(rest.pop(name))
                problems += value.problems if isinstance(value, _Unfit) else ()
                options[name] = value
        constants = rest.get("constants")
        if constants is not None and not isinstance(constants, Mapping):
            problems.append(_bad("constants", constants, "values by name"))
        if problems:
            raise DiagramError(problems)
        return CompileOptions(**options), rest

    @property
    def target(self) -> Backend:
        """What makes functions of programs."""
        return backends()[self.backend]


# -- reading the value of an option ----------------------------------------------------------------


@dataclass(frozen=True)
class _Unfit:
    """A value that an option cannot have, and why."""

    problems: Sequence[Problem]


def _backend(value: Any) -> Any:
    usual = CompileOptions.backend
    names = [usual, *sorted(backends().keys() - {usual})]
    return value if _is_one(value, names) else _unfit("backend", value, _either(names))


def _plan(value: Any) -> Any:
    return value if _is_one(value, PLANS) else _unfit("plan", value, _either(PLANS))


def _nonfinite(value: Any) -> Any:
    choices = (CONTAINED, SPREAD)
    return value if _is_one(value, choices) else _unfit("nonfinite", value, _either(choices))


def _native(value: Any) -> Any:
    return value if isinstance(value, bool) else _unfit("native", value, "True or False")


def _accumulate(value: Any) -> Any:
    if value is None or _is_one(value, DTYPES):
        return value
    return _unfit("accumulate", value, ", ".join(DTYPES), near(str(value), DTYPES))


def _memory(value: Any) -> Any:
    try:
        return None if value is None else parse_bytes(value)
    except ValueError as error:
        return _Unfit([Problem(str(error))])


def _without(value: Any) -> Any:
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, Collection) or not all(isinstance(n, str) for n in names):
        return _unfit("without", names, "the name of a rule, or several")
    unknown = _unknown_rules(frozenset(names))
    return _Unfit(unknown) if unknown else frozenset(names)


READERS: Mapping[str, Callable[[Any], Any]] = {
    "backend": _backend,
    "plan": _plan,
    "nonfinite": _nonfinite,
    "native": _native,
    "accumulate": _accumulate,
    "memory": _memory,
    "without": _without,
}
"""For each option, what reads its value; in the order in which problems are reported."""


def _is_one(value: Any, names: Sequence[str]) -> bool:
    """Whether a value is one of some names; nothing else is asked of it, whatever it is."""
    return isinstance(value, str) and value in names


def _either(names: Sequence[str]) -> str:
    """`'torch' or 'numpy'`."""
    *others, last = map(repr, names)
    return f"{', '.join(others)} or {last}" if others else last


def _unknown_rules(without: frozenset[str]) -> list[Problem]:
    return [
        Problem(
            f"option 'without' names no rule: {name!r}",
            help=near(name, RULES) or f"there are {', '.join(RULES)}",
        )
        for name in sorted(without)
        if name not in RULES
    ]


def _unfit(name: str, value: Any, choices: str, help: str = "") -> _Unfit:
    return _Unfit([_bad(name, value, choices, help)])


def _bad(name: str, value: Any, choices: str, help: str = "") -> Problem:
    shown = repr(value)
    shown = shown if len(shown) <= 80 else f"{shown[:79]}…"
    return Problem(f"option '{name}' must be {choices}, not {shown}", help=help)
