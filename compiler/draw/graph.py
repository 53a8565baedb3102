"""Diagrams as plain networkx graphs, for other programs, with the places in the picture."""

from __future__ import annotations

from collections import Counter

import networkx

from diagrammar.draw.labels import caption, group, value
from diagrammar.draw.layout import layout
from diagrammar.draw.picture import Picture, Wire
from diagrammar.draw.shapes import along
from diagrammar.ir.diagram import Diagram


def graph(diagram: Diagram) -> networkx.MultiGraph:
    """Make a bipartite graph of tensors and wires, with attributes that any graph format can hold.

    Tensors are nodes `T0`, `T1`, … in order of appearance with `kind` (operand, constant, pattern,
    view, window, relation, delta), `label` and `title`. Wires are nodes by name (from the second
    term of a sum on with the term's number: `i@1`) with `kind` "wire", `label`, `size` and `open`.
    An edge is an end of a wire, with its `axis`. All nodes have their `term` and their place in the
    picture, `x` and `y` (px, upwards).
    """
    result = networkx.MultiGraph(name=diagram.name, axes=", ".join(map(group, diagram.axes)))
    picture = layout(diagram).pictures[0]
    places = {node.key: node.box.centre for node in picture.nodes}
    wires = _wires(picture)
    count = 0
    seen: Counter[str] = Counter()
    for number, term in enumerate(diagram.terms):
        names = {wire: f"{wire}@{number}" if number else wire for wire in term.sizes}
        for wire, extent in term.sizes.items():
            x, y = _middle(wires[wire, seen[wire]]) if (wire, seen[wire]) in wires else (0.0, 0.0)
            seen[wire] += 1
            size = extent if isinstance(extent, int) else value(extent)
            about = {"kind": "wire", "label": wire, "title": f"wire {wire} of size {value(extent)}"}
            is_open = wire in diagram.open
            result.add_node(names[wire], **about, size=size, open=is_open, term=number, x=x, y=-y)
        for tensor in term.tensors:
            text = caption(tensor, term.sizes)
            x, y = places[f"t{count}"]
            about = {"kind": text.kind, "label": text.name, "title": text.title}
            result.add_node(f"T{count}", **about, term=number, x=x, y=-y)
            for axis, group_ in enumerate(tensor.axes):
                for wire in group_:
                    result.add_edge(f"T{count}", names[wire], axis=axis)
            count += 1
    return result


def _wires(picture: Picture) -> dict[tuple[str, int], Wire]:
    """The wires of a picture, by name and by the number of that name, in the order of terms."""
    seen: Counter[str] = Counter()
    numbered = {}
    for wire in picture.wires:
        numbered[wire.name, seen[wire.name]] = wire
        seen[wire.name] += 1
    return numbered


def _middle(wire: Wire) -> tuple[float, float]:
    """The middle of a wire."""
    curves = [curve for run in wire.curves for curve in run]
    return along(curves[len(curves) // 2], 0.5) if curves else (0.0, 0.0)
