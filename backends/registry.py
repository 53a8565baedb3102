"""The backends by name. A backend is a file of this folder; importing it registers it.

`compile(backend=NAME)` finds it here, and nothing else knows its name. Those that interpret a
program are registered by `interpreter`, those that write source by `register`.
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
"""The results of a program for operands by name."""
Kind = TypeVar("Kind", bound=Evaluate)
Origins = tuple[frozenset[int], ...]
"""For each line of a source, the steps of the program that it does."""


@dataclass(frozen=True)
class Emitted:
    """A program as a function of its operands by position, in the order of its parameters; its
    source, where there is one, and what says which steps each line of that does."""

    call: Callable[..., Any]
    source: str = ""
    origins: Callable[[], Origins] = tuple


@dataclass(frozen=True)
class Backend:
    """What makes a function of a program.

    emit: the function; with True it compares the sizes of its operands with those that the program
    states, some of which are symbols. planned: programs are those that the planner chooses, and not
    the dense ones (`planner.dense`). tensors: operands are PyTorch's, of one dtype and device, that
    may be traced, and masks may be drawn; otherwise they are what numpy makes arrays of.
    """

    name: str
    emit: Callable[[Program, bool], Emitted]
    planned: bool = True
    tensors: bool = False


BACKENDS: dict[str, Backend] = {}
"""All that are registered."""


def register(backend: Backend) -> Backend:
    """A backend that `compile` finds from now on; it replaces another of its name."""
    BACKENDS[backend.name] = backend
    return backend


def interpreter(name: str, *, planned: bool = True) -> Callable[[Kind], Kind]:
    """Registers a function of a program and its operands by name as a backend."""

    def decorated(evaluate: Kind) -> Kind:
        register(Backend(name, partial(_interpreted, evaluate), planned))
        return evaluate

    return decorated


def backends() -> Mapping[str, Backend]:
    """All backends by name: every file of this folder is imported."""
    _load()
    return BACKENDS


@cache
def _load() -> None:
    package = __name__.rpartition(".")[0]
    for module in iter_modules([str(Path(__file__).parent)]):
        import_module(f"{package}.{module.name}")


def _interpreted(evaluate: Evaluate, program: Program, _checked: bool) -> Emitted:
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
