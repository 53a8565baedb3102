"""Compute the sizes of a program from the shapes of its operands, in exact numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy

from diagrammar import program as ops
from diagrammar.program import Dim, Program


def bind(program: Program, shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Compute sizes by name from the operands' shapes, and check every stated size.

    Raises ValueError for a wrong number of axes, a wrong size, or a broken limit.
    """
    for p in program.parameters:
        if len(shapes[p.name]) != len(p.shape):
            raise ValueError(f"{p.name}: has {len(shapes[p.name])} axes, expected {len(p.shape)}")
    sizes: dict[str, int] = {}
    for size in program.sizes:
        extent = shapes[size.operand][size.axis] - integer(size.offset, sizes)
        sizes[size.name] = extent // integer(size.divisor, sizes)
    stated = [
        ops.SizeCheck(p.name, axis, expected, p.axes[axis])
        for p in program.parameters
        for axis, expected in enumerate(p.shape)
    ]
    for limit in program.limits:
        if not limit.holds(integer(limit.value, sizes), integer(limit.least, sizes)):
            raise ValueError(limit.message)
    for check in (*program.checks, *stated):
        actual, expected = shapes[check.operand][check.axis], integer(check.expected, sizes)
        if actual != expected:
            where = f"{check.operand}: axis {check.axis} ({check.wires})"
            raise ValueError(f"{where} has size {actual}, expected {expected}")
    return sizes


def integer(value: Dim, sizes: Mapping[str, int]) -> int:
    """Evaluate a size expression; raises ValueError where it is no integer."""
    number = scalar(value, sizes)
    if not number.is_Integer:
        raise ValueError(f"size {value} is {number}, not an integer")
    return int(number)


def scalar(value: Dim, sizes: Mapping[str, int]) -> Any:
    """Evaluate a scalar expression exactly, to a sympy Rational in most cases.

    Raises ValueError for a size that `sizes` lacks.
    """
    expression = sympy.sympify(value)
    known = {s: sympy.Integer(sizes[s.name]) for s in expression.free_symbols if s.name in sizes}
    number = expression.xreplace(known).doit()
    if number.free_symbols:
        raise ValueError(f"nothing binds the size {min(map(str, number.free_symbols))}")
    return number
