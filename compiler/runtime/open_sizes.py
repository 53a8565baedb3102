"""Sizes that may stay open when the others are known: those of wires that only number things."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from diagrammar.ir.diagram import Declared, Diagram
from diagrammar.ir.scalar import Dim


def open_axes(
    diagrams: Sequence[Diagram], operands: Sequence[Declared]
) -> tuple[tuple[bool, ...], ...]:
    """For each axis of each operand, whether its size may stay open: its one wire shares no axis
    with others, meets no relation, and no other size depends on its own. The batch, in most."""
    fixed = {w for d in diagrams for w in _fixed(d)}
    return tuple(
        tuple(len(axis) == 1 and axis[0] not in fixed for axis in operand.axes)
        for operand in operands
    )


def _fixed(diagram: Diagram) -> set[str]:
    """The wires of a diagram whose sizes a program should know."""
    related = {w for term in diagram.terms for _, r in term.relations() for w in _flat(r.axes)}
    grouped = {w for o in diagram.operands for w in _flat(a for a in o.axes if len(a) > 1)}
    return related | grouped | _dependent(diagram)


def _flat(axes: Iterable[Sequence[str]]) -> Iterator[str]:
    return (wire for axis in axes for wire in axis)


def _dependent(diagram: Diagram) -> set[str]:
    """The wires of operands whose size is no symbol by itself, or one that another size has."""
    sizes: dict[str, set[Dim]] = {}
    for extents in (*(t.sizes for t in diagram.terms), *(o.sizes for o in diagram.operands)):
        for wire, extent in extents.items():
            sizes.setdefault(wire, set()).add(extent)
    own = {w: extent for o in diagram.operands for w, extent in o.sizes.items()}
    return {
        wire
        for wire, extent in own.items()
        if not getattr(extent, "is_Symbol", False)
        or any(_has(e, extent) for w, others in sizes.items() if w != wire for e in others)
    }


def _has(extent: Dim, symbol: Dim) -> bool:
    return extent != symbol and symbol in getattr(extent, "free_symbols", ())
