"""The backends by name. Each is a file of this folder; importing the file registers it.

`compile(backend=NAME)` finds backends here, and nothing else knows their names. A backend that
interprets programs is registered by `interpreter`, one that writes source by `register`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, TypeVar

from diagrammar.program import Program

Evaluate = Callable[[Program, Mapping[str, Any]], Sequence[Any]]
"""Computes the results of a program from operands by name."""
Kind = TypeVar("Kind", bound=Evaluate)
Origins = tuple[frozenset[int], ...]
"""For each line of a source, the steps of the program that the line computes."""


@dataclass(frozen=True)
class Emitted:
    """A program as a function of its operands, in the order of its parameters; its source, if any,
    and a function that gives the steps of each line."""

    call: Callable[..., Any]
    source: str = ""
    origins: Callable[[], Origins] = tuple


@dataclass(frozen=True)
class Backend:
    """Makes functions of programs.

    emit: makes the function; if True, the function compares its operands' sizes with the sizes in
    the program, which may be symbols. planned: takes programs that the planner chooses, and not
    dense ones (`planner.dense`). tensors: operands are PyTorch's, of one dtype and device; they may
    be traced, and masks may be drawn. Otherwise operands are anything that numpy makes arrays of.
    """

    name: str
    emit: Callable[[Program, bool], Emitted]
    planned: bool = True
    tensors: bool = False


BACKENDS: dict[str, Backend] = {}
"""All registered backends."""


def register(backend: Backend) -> Backend:
    """Register a backend for `compile`; it replaces another of the same name."""
    BACKENDS[backend.name] = backend
    return backend


def interpreter(name: str, *, planned: bool = True) -> Callable[[Kind], Kind]:
    """Register a function of a program and its operands by name as a backend."""

    def decorated(evaluate: Kind) -> Kind:
        register(Backend(name, partial(_interpreted, evaluate), planned))
        return evaluate

    return decorated


def backends() -> Mapping[str, Backend]:
    """All backends by name; this imports every file of this folder."""
    _load()
    return BACKENDS


@cache
def _load() -> None:
    """Import every file of this folder."""
    package = __name__.rpartition(".")[0]
    for module in iter_modules([str(Path(__file__).parent)]):
        import_module(f"{package}.{module.name}")


def _interpreted(evaluate: Evaluate, program: Program, _checked: bool) -> Emitted:
    """A program for an interpreter."""
    return Emitted(_Interpreted(evaluate, program))


@dataclass(frozen=True)
class _Interpreted:
    """A program that is interpreted at each call."""

    evaluate: Evaluate
    program: Program

    def __call__(self, *operands: Any) -> Any:
        """The result, or a tuple of several."""
        names = (p.name for p in self.program.parameters)
        results = self.evaluate(self.program, dict(zip(names, operands, strict=True)))
        return results[0] if len(results) == 1 else tuple(results)
