"""Isomorphic terms of a sum become one, with their multiplicity in front."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from networkx.algorithms.isomorphism import MultiGraphMatcher

from diagrammar.ir.diagram import Diagram, Network, Operand
from diagrammar.ir.relation import Relation


def merged(diagram: Diagram) -> Diagram:
    """The diagram with isomorphic terms added."""
    kept: list[Network] = []
    for term in diagram.terms:
        for at, other in enumerate(kept):
            if isomorphic(term, other, diagram.open):
                kept[at] = replace(other, scalar=other.scalar + term.scalar)
                break
        else:
            kept.append(term)
    if len(kept) == len(diagram.terms):
        return diagram
    used = {*diagram.open, *(w for term in kept for w in term.sizes)}
    sizes = {w: s for w, s in diagram.sizes.items() if w in used}
    return replace(diagram, terms=tuple(kept), sizes=sizes)


def isomorphic(first: Network, second: Network, open_wires: tuple[str, ...]) -> bool:
    """Whether two terms are the same up to names of inner wires (open wires must correspond)."""
    if len(first.tensors) != len(second.tensors) or len(first.sizes) != len(second.sizes):
        return False
    if sorted(map(_label, first.tensors)) != sorted(map(_label, second.tensors)):
        return False
    kept = set(open_wires)
    matcher = MultiGraphMatcher(
        _labelled(first, kept),
        _labelled(second, kept),
        node_match=lambda a, b: a["label"] == b["label"],
        edge_match=lambda a, b: sorted(map(_end, a.values())) == sorted(map(_end, b.values())),
    )
    return any(_same_relations(first, second, mapping) for mapping in matcher.isomorphisms_iter())


def _label(tensor: Operand | Relation) -> str:
    if isinstance(tensor, Operand):
        return f"operand {tensor.name} {[len(axis) for axis in tensor.axes]}"
    return f"relation {len(tensor.wires)} {len(tensor.pieces)}"


def _end(edge: dict[str, object]) -> str:
    return str(edge["place"])


def _labelled(network: Network, kept: set[str]) -> object:
    """The graph with what must correspond as labels: tensors, open wires, sizes, and places in
    axes."""
    graph = network.graph.copy()
    graph.clear_edges()
    for at, tensor in enumerate(network.tensors):
        graph.nodes[at]["label"] = _label(tensor)
        for number, axis in enumerate(tensor.axes):
            for place, wire in enumerate(axis):
                # the wires of a relation may come in any order; its equations are compared later
                where = (number, place) if isinstance(tensor, Operand) else ()
                graph.add_edge(at, wire, place=where)
    for wire, extent in network.sizes.items():
        graph.nodes[wire]["label"] = f"wire {wire if wire in kept else ''} {extent}"
    return graph


def _same_relations(first: Network, second: Network, mapping: Mapping[Any, Any]) -> bool:
    names = {w: mapping[w] for w in first.sizes}
    for at, relation in first.relations():
        image = second.tensors[mapping[at]]
        renamed = relation.rename(names)
        assert isinstance(image, Relation)
        if renamed.pieces != image.pieces and not _equal_pieces(renamed, image):
            return False
    return True


def _equal_pieces(first: Relation, second: Relation) -> bool:
    """The same pieces up to the sign and the order of equations."""

    def key(relation: Relation) -> set[object]:
        return {
            (
                frozenset(
                    (min(str(e.form), str(-e.form)), str(e.modulus)) for e in piece.equations
                ),
                frozenset(map(str, piece.bounds)),
            )
            for piece in relation.pieces
        }

    return key(first) == key(second)
