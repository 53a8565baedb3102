"""Sizes that may stay open when the others are known: those of wires that only number things."""

from __future__ import annotations

from collections.abc import Sequence

from diagrammar.ir.diagram import Declared, Diagram
from diagrammar.ir.scalar import Dim


def open_axes(
    diagrams: Sequence[Diagram], operands: Sequence[Declared]
) -> tuple[tuple[bool, ...], ...]:
    """For each axis of each operand, whether its size may stay open: its one wire shares no axis
    with others, meets no relation, and no other size depends on its own. The batch, in most."""
    bound = {w for d in diagrams for w in _bound(d)}
    return tuple(
        tuple(len(axis) == 1 and axis[0] not in bound for axis in operand.axes)
        for operand in operands
    )


def _bound(diagram: Diagram) -> set[str]:
    """The wires of a diagram whose sizes a program should know."""
    found: set[str] = set()
    sizes: dict[str, list[Dim]] = {}
    for operand in diagram.operands:
        found.update(w for axis in operand.axes if len(axis) > 1 for w in axis)
    for term in diagram.terms:
        found.update(w for _, r in term.relations() for axis in r.axes for w in axis)
        for wire, extent in term.sizes.items():
            sizes.setdefault(wire, []).append(extent)
    given = {w: s for o in diagram.operands for w, s in o.sizes.items()}
    for wire, extent in given.items():
        sizes.setdefault(wire, []).append(extent)
        others = (e for w, more in sizes.items() if w != wire for e in more)
        if getattr(extent, "is_Symbol", False) and not any(_has(e, extent) for e in others):
            continue
        found.add(wire)
    return found


def _has(extent: Dim, symbol: Dim) -> bool:
    return extent != symbol and symbol in getattr(extent, "free_symbols", ())
