"""Wires of size one, left out before planning.

Their only index is zero, so a relation is taken there and an axis without them is the same axis.
This is not a rewrite that anybody needs to see; it keeps emitted code free of axes that hold
nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from diagrammar.ir.diagram import Axes, Diagram, Network, Operand, Tensor
from diagrammar.ir.points import is_empty
from diagrammar.ir.relation import Linear, Piece, Relation, Sizes, holds_always


def without_units(diagram: Diagram) -> Diagram:
    """The diagram with every wire of size one removed; its axes may become empty groups."""
    terms = tuple(_squeezed(term, diagram.open) for term in diagram.terms)
    axes = _kept(diagram.axes, _units(diagram.sizes))
    sizes = {w: s for w, s in diagram.sizes.items() if s != 1}
    return replace(diagram, axes=axes, terms=terms, sizes=sizes)


def _units(sizes: Sizes) -> frozenset[str]:
    return frozenset(w for w, s in sizes.items() if s == 1)


def _kept(axes: Axes, units: frozenset[str]) -> Axes:
    return tuple(tuple(w for w in axis if w not in units) for axis in axes)


def _squeezed(term: Network, opened: Collection[str]) -> Network:
    units = _units(term.sizes)
    scalar = term.scalar
    tensors: list[Tensor] = []
    for tensor in term.tensors:
        made = _without(tensor, units, term)
        if _stays(made):
            tensors.append(made)
        elif isinstance(made, Relation):
            scalar = scalar * len([p for p in made.pieces if _holds(p)])
    sizes = {w: s for w, s in term.sizes.items() if w not in units}
    for wire in [w for w in sizes if w not in opened and term.ends(w)]:
        if not any(wire in t.wires for t in tensors):  # its relation is one: summed, it counts
            scalar = scalar * sizes.pop(wire)
    return Network(scalar, tuple(tensors), sizes)


def _stays(made: Tensor) -> bool:
    """Whether a tensor is more than a number. Conditions on open sizes are."""
    if isinstance(made, Operand):
        return True
    if made.wires:
        return not holds_always(made)
    return any(_holds(p) is None for p in made.pieces)


def _holds(piece: Piece) -> bool | None:
    """Whether a piece without wires holds; None where sizes decide that are open."""
    numbers = [e.form.constant for e in piece.equations] + [b.constant for b in piece.bounds]
    numbers += [e.modulus for e in piece.equations if e.modulus is not None]
    if not all(isinstance(n, int) for n in numbers):
        return None
    return not is_empty(piece, {})


def places(term: Network) -> tuple[int, ...]:
    """For each tensor of the squeezed term, its place in the term itself."""
    units = _units(term.sizes)
    made = (_without(tensor, units, term) for tensor in term.tensors)
    return tuple(at for at, tensor in enumerate(made) if _stays(tensor))


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
