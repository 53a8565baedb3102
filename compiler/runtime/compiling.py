"""What `compile` does: options are told from values, values are put into the diagrams, and the
stages of a call are put together. Nothing is planned yet: programs depend on shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diagrammar.ir.diagram import Diagram
from diagrammar.runtime.function import Function, assembled
from diagrammar.runtime.options import CompileOptions
from diagrammar.runtime.values import at_values


def compile_diagrams(diagrams: Sequence[Diagram], keywords: Mapping[str, Any]) -> Function:
    """A function of some diagrams' operands; `constants` has values of some that are declared
    constant. Raises DiagramError for unknown names and bad values."""
    options, values = CompileOptions.take(keywords)
    constants = values.pop("constants", None)
    return assembled(at_values(diagrams, values), options, constants)
