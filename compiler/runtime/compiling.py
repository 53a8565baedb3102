"""Which function some diagrams get: one that draws masks, one with constants, or a plain one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from diagrammar.ir.diagram import Diagram
from diagrammar.runtime.bound import BoundFunction
from diagrammar.runtime.draws import SampledFunction
from diagrammar.runtime.function import Function, at_values
from diagrammar.runtime.options import Options


def compile_diagrams(diagrams: Sequence[Diagram], values: Mapping[str, Any]) -> Function:
    """A function of some diagrams' operands; `constants` has values of some that are declared
    constant. Raises DiagramError for unknown names and bad values."""
    options, rest = Options.take(values)
    constants = rest.pop("constants", None)
    diagrams, rest = at_values(diagrams, rest)
    masked = any(o.keep is not None for d in diagrams for o in d.operands)
    made = (SampledFunction if masked else Function)(diagrams, rest, options)
    return BoundFunction(made, constants) if constants else made
