"""A step of a program: one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import prod
from typing import Any

from diagrammar.ir.scalar import Dim
from diagrammar.program.operations import Operation
from diagrammar.program.operations.given import Indicator

CONSTANT = 2**29
"""Bytes of the largest indicator that a function keeps between calls."""
Origin = tuple[int, int, int]
"""A tensor of the planned diagrams: number of the diagram, of the term, place in the term."""


@dataclass(frozen=True, slots=True)
class Step:
    """One value: the operation, its shape, a name for each axis (`"o1"`, `"(ci k1 k2)"`) and a
    remark.

    `origins` are the tensors that the step brings in; a contraction of earlier values brings in
    none. They say nothing of what is computed, so two steps may be equal with other ones.
    """

    operation: Operation
    shape: tuple[Dim, ...]
    axes: tuple[str, ...]
    remark: str = ""
    origins: frozenset[Origin] = field(default=frozenset(), compare=False)

    @property
    def is_constant(self) -> bool:
        """Whether the value is made once, before all calls: an indicator whose numbers are known,
        of at most `CONSTANT` bytes in float32. Larger ones are made in each call."""
        if not isinstance(self.operation, Indicator):
            return False
        numbers = self.operation.numbers()
        known = all(isinstance(n, int) for n in (*self.shape, *numbers))
        return known and 4 * prod(map(int, self.shape)) <= CONSTANT


def reread(operation: Any, value: Mapping[int, int]) -> Any:
    """The operation reading other values: each of its inputs looked up."""
    changed: dict[str, Any] = {}
    for item in fields(operation):
        old = getattr(operation, item.name)
        if item.name in ("x", "like", "weight", "cotangent", "bias") and old is not None:
            changed[item.name] = value[old]
        elif item.name == "values":
            changed[item.name] = tuple(value[v] for v in old)
    return replace(operation, **changed)
