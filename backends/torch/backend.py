"""PyTorch as a backend: source that is loaded, and torch imported, at the first call."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any

from diagrammar.backends.registry import Backend, Emitted, register
from diagrammar.backends.torch.emit import emit_module, line_origins, load_one
from diagrammar.program import Program


def emit(program: Program, checked: bool) -> Emitted:
    """The program as the one function of a module."""
    source = emit_module([program], "", checked=checked)
    loaded = Loaded(source, program.name, program.constants)
    return Emitted(loaded, source, partial(line_origins, program, checked=checked))


class Loaded:
    """The function of a module's source, loaded when it is first called. `constants`: the bytes
    that it holds between calls."""

    def __init__(self, source: str, name: str, constants: int) -> None:
        self._source, self._name, self.constants = source, name, constants

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: the source, to be loaded again."""
        return {"_source": self._source, "_name": self._name, "constants": self.constants}

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The Python function itself. Loaded in a thread of its own: the constants that it holds
        are for all calls, and modes that the first call may be in, such as fake tensors, a default
        device or inference, are a thread's."""
        try:
            with ThreadPoolExecutor(1) as thread:
                return thread.submit(load_one, self._source, self._name).result()
        except RuntimeError:  # no thread starts when the interpreter ends
            return load_one(self._source, self._name)

    def __call__(self, *operands: Any) -> Any:
        """The result, or a tuple of results."""
        return self.function(*operands)


TORCH = register(Backend("torch", emit, tensors=True))
