"""The names that a diagram has: operands, sizes and parameters, and where sizes can be read off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import sympy

from diagrammar.ir.diagram import Declared, Diagram
from diagrammar.ir.scalar import Dim, parameter
from diagrammar.ir.sizes import base


def names_of(diagram: Diagram) -> dict[str, list[Dim]]:
    """What a keyword may name: parameters, and wires by their base name, each with its
    expressions. Wires of the definition come before those that only a declaration speaks of."""
    found: dict[str, list[Dim]] = {p: [parameter(p)] for p in diagram.parameters}
    own = set(map(base, diagram.sizes))
    declared = [(w, s) for o in diagram.operands for w, s in o.sizes.items() if base(w) not in own]
    for wire, extent in [*diagram.sizes.items(), *declared]:
        expressions = found.setdefault(base(wire), [])
        if extent not in expressions:
            expressions.append(extent)
    for symbol in scalar_sizes(diagram):
        found.setdefault(symbol.name, [symbol])
    return found


def scalar_sizes(diagram: Diagram) -> list[sympy.Symbol]:
    """The sizes that scalars speak of, in order of their names."""
    symbols = {s for term in diagram.terms for s in sympy.sympify(term.scalar).free_symbols}
    return sorted((s for s in symbols if s.name not in diagram.parameters), key=str)


def operands_of(diagrams: Sequence[Diagram]) -> tuple[Declared, ...]:
    """All operands, in order of first appearance."""
    found: dict[str, Declared] = {}
    for diagram in diagrams:
        for operand in diagram.operands:
            found.setdefault(operand.name, operand)
    return tuple(found.values())


class Reading(NamedTuple):
    """A size that is (size of an operand's axis − offset) / divisor."""

    name: str
    operand: str
    axis: int
    divisor: Dim
    offset: Dim


def symbols_of(diagrams: Sequence[Diagram], operands: Sequence[Declared]) -> set[sympy.Symbol]:
    """All size symbols that are left."""
    values: list[Dim] = [s for o in operands for s in o.sizes.values()]
    for diagram in diagrams:
        values += list(diagram.sizes.values())
        values += [t.scalar for t in diagram.terms]
    return {s for v in values if isinstance(v, sympy.Expr) for s in v.free_symbols}


def readings(diagrams: Sequence[Diagram], operands: Sequence[Declared]) -> tuple[Reading, ...]:
    """How each size symbol is read off the operands' shapes."""
    wanted = symbols_of(diagrams, operands)
    found: list[Reading] = []
    known: set[sympy.Symbol] = set()
    progress = True
    while progress and wanted - known:
        progress = False
        for operand in operands:
            for axis, extent in enumerate(operand.shape()):
                reading = _reading(operand.name, axis, extent, known)
                if reading is not None:
                    symbol, made = reading
                    known.add(symbol)
                    found.append(made)
                    progress = True
    return tuple(found)


def _reading(
    operand: str, axis: int, extent: Dim, known: set[sympy.Symbol]
) -> tuple[sympy.Symbol, Reading] | None:
    """Solve extent = n for its one unknown symbol, if it is a·symbol + c."""
    if isinstance(extent, int):
        return None
    unknown = extent.free_symbols - known
    if len(unknown) != 1:
        return None
    symbol = unknown.pop()
    expanded = sympy.expand(extent)
    slope = expanded.coeff(symbol, 1)
    offset = sympy.expand(expanded - slope * symbol)
    if slope == 0 or symbol in offset.free_symbols or symbol in slope.free_symbols:
        return None
    return symbol, Reading(str(symbol), operand, axis, slope, offset)
