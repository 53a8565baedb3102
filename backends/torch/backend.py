"""PyTorch as a backend: the first call loads the source, and imports torch."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any

from diagrammar.backends.registry import Backend, Emitted, register
from diagrammar.backends.torch.emit import emit_module, line_origins, load_one
from diagrammar.program import Program


def emit(program: Program, checked: bool) -> Emitted:
    """Write the program as a module with one function."""
    source = emit_module([program], "", checked=checked)
    loaded = Loaded(source, program.name, program.constants)
    return Emitted(loaded, source, partial(line_origins, program, checked=checked))


class Loaded:
    """The function of a module's source, loaded at its first call. `constants` are the bytes that
    it holds between calls."""

    def __init__(self, source: str, name: str, constants: int) -> None:
        self._source, self._name, self.constants = source, name, constants

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: the source, which is then loaded again."""
        return {"_source": self._source, "_name": self._name, "constants": self.constants}

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The Python function. It is loaded in a thread of its own: its constants serve all calls,
        so that modes of the first call's thread (fake tensors, a default device, inference) must
        not apply to them."""
        try:
            with ThreadPoolExecutor(1) as thread:
                return thread.submit(load_one, self._source, self._name).result()
        except RuntimeError:  # no thread starts when the interpreter ends
            return load_one(self._source, self._name)

    def __call__(self, *operands: Any) -> Any:
        """The result, or a tuple of results."""
        return self.function(*operands)


TORCH = register(Backend("torch", emit, tensors=True))
