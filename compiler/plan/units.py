"""Wires of size one, left out before planning.

Their only index is zero, so a relation is taken there and an axis without them is the same axis.
This is not a rewrite that anybody needs to see; it keeps emitted code free of axes that hold
nothing.
"""

from __future__ import annotations

from dataclasses import replace

from diagrammar.diagram import Axes, Diagram, Network, Operand, Tensor
from diagrammar.relation import Linear, Relation, holds_always


def without_units(diagram: Diagram) -> Diagram:
    """The diagram with every wire of size one removed; its axes may become empty groups."""
    terms = tuple(_squeezed(term) for term in diagram.terms)
    axes = _kept(diagram.axes, _units(diagram.sizes))
    sizes = {w: s for w, s in diagram.sizes.items() if s != 1}
    return replace(diagram, axes=axes, terms=terms, sizes=sizes)


def _units(sizes: object) -> frozenset[str]:
    return frozenset(w for w, s in sizes.items() if s == 1)  # type: ignore[attr-defined]


def _kept(axes: Axes, units: frozenset[str]) -> Axes:
    return tuple(tuple(w for w in axis if w not in units) for axis in axes)


def _squeezed(term: Network) -> Network:
    units = _units(term.sizes)
    if not units:
        return term
    scalar = term.scalar
    tensors: list[Tensor] = []
    for tensor in term.tensors:
        made = _without(tensor, units, term)
        if isinstance(made, Operand) or (made.wires and not holds_always(made)):
            tensors.append(made)
        elif not holds_always(made):
            scalar = scalar * _number(made)
    sizes = {w: s for w, s in term.sizes.items() if w not in units}
    return Network(scalar, tuple(tensors), sizes)


def _number(relation: Relation) -> int:
    """What is left of a relation without wires: as many ones as there are pieces that hold."""
    return sum(not (p.equations or p.bounds) for p in relation.pieces)


def places(term: Network) -> tuple[int, ...]:
    """For each tensor of the squeezed term, its place in the term itself."""
    units = _units(term.sizes)
    made = (_without(tensor, units, term) for tensor in term.tensors)
    return tuple(
        at
        for at, tensor in enumerate(made)
        if not units or isinstance(tensor, Operand) or (tensor.wires and not holds_always(tensor))
    )


def _without(tensor: Tensor, units: frozenset[str], term: Network) -> Tensor:
    if isinstance(tensor, Operand):
        return replace(tensor, axes=_kept(tensor.axes, units))
    return _at_zero(tensor, units, term)


def _at_zero(relation: Relation, units: frozenset[str], term: Network) -> Relation:
    """The relation with its unit wires at zero; a view stays one unless the viewed wire goes."""
    view = relation.view if relation.view not in units else None
    made = relation
    for wire in relation.wires:
        if wire in units:
            made = made.put(wire, Linear(()), term.sizes)
    return replace(made, view=view)
