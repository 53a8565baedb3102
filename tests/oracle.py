"""Diagrams as numbers: random operands, and the dense value in float64, for comparing rewrites."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from diagrammar.backends.numpy import evaluate
from diagrammar.ir.diagram import Diagram
from diagrammar.ir.matrices import drawn
from diagrammar.plan.planner import dense
from diagrammar.transform.values import resolve_values

Arrays = Mapping[str, np.ndarray[Any, Any]]


def at(diagram: Diagram, **values: int) -> Diagram:
    """The diagram with sizes and parameters put in."""
    symbols, problems = resolve_values(diagram, values)
    assert not problems, problems
    return diagram.substitute(symbols)


def operands(diagram: Diagram, seed: int = 0, whole: bool = False) -> Arrays:
    """Random operands of a diagram whose sizes are all known; small integers if `whole`."""
    random = np.random.default_rng(seed)
    made = {}
    for operand in diagram.operands:
        shape = tuple(int(n) for n in operand.shape())
        if operand.kind:
            made[operand.name] = drawn(operand.kind, shape[0], random, whole=whole)
        elif whole:
            made[operand.name] = random.integers(-4, 5, shape).astype(float)
        else:
            made[operand.name] = random.standard_normal(shape)
    return made


def value(diagram: Diagram, given: Arrays) -> np.ndarray[Any, Any]:
    """The dense value of a diagram whose sizes are all known."""
    program = dense(diagram.name, (diagram,), diagram.operands)
    return evaluate(program, given)[0]


def close(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any], tolerance: float = 1e-10) -> bool:
    """Equal shapes, and entries equal relative to the largest."""
    scale = max(1.0, float(np.abs(b).max(initial=0.0)))
    return a.shape == b.shape and float(np.abs(a - b).max(initial=0.0)) <= tolerance * scale
