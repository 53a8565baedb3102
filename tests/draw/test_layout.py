"""The layout: nothing overlaps, nothing moves between steps, large networks are quick."""

from __future__ import annotations

from functools import cache
from itertools import combinations, pairwise
from pathlib import Path

import networkx
import pytest
import sympy

import diagrammar as dg
from diagrammar.draw.layout import layout
from diagrammar.draw.picture import Picture
from diagrammar.draw.shapes import Box
from diagrammar.ir.diagram import Declared, Diagram, Network, Operand
from diagrammar.ir.symbols import names_of
from diagrammar.language.shipped import drawn
from diagrammar.library import names
from tests.work import counted

KINDS = Path(__file__).with_name("kinds.tn")
GEOMETRIES = {
    "3x3 stride 2": {"k": 3, "s": 2, "p": 1},
    "1x1 stride 2": {"k": 1, "s": 2, "p": 0},
    "dense": {"k": 4, "s": 4, "p": 0, "i": 32},
}


def operations() -> list[tuple[str, str]]:
    return [(file, name) for file in names() for name in shipped(file)]


def overlaps(picture: Picture) -> list[str]:
    """Every two boxes of a picture that touch: nodes, dots and names."""
    boxes: list[tuple[str, Box]] = [
        (node.caption.title, node.box) for node in picture.nodes if not node.gone
    ]
    boxes += [(f"dot of {m.wire}", Box.around(m.x, m.y, 7, 7)) for m in picture.marks]
    boxes += [(f"{tag.kind} {tag.text}", tag.box) for tag in picture.tags]
    return [f"{a} over {b}" for (a, one), (b, two) in combinations(boxes, 2) if one.overlaps(two)]


def check(picture: Picture) -> None:
    assert overlaps(picture) == []
    assert picture.unnamed == ()
    paper = Box(0, 0, picture.width, picture.height)
    for box in [n.box for n in picture.nodes] + [t.box for t in picture.tags]:
        assert paper.holds((box.left, box.top)), picture
        assert paper.holds((box.right, box.bottom)), picture


@cache
def shipped(file: str) -> dict[str, Diagram]:
    return drawn(file)


@pytest.mark.parametrize(("file", "name"), operations())
def test_no_label_overlaps_anything_in_any_step_of_a_shipped_operation(
    file: str, name: str
) -> None:
    diagram = shipped(file)[name]
    for sizes in (False, True):
        for picture in layout(diagram, sizes=sizes).pictures:
            check(picture)
    for values in ({}, *GEOMETRIES.values()):
        names = names_of(diagram)
        known = {n: v for n in names for k, v in values.items() if n.strip(".012") == k}
        if known or not values:
            for picture in layout(diagram.simplify(**known), sizes=bool(values)).pictures:
                check(picture)


@pytest.mark.parametrize("name", dg.load(KINDS))
def test_no_label_overlaps_anything_for_any_kind(name: str) -> None:
    for picture in layout(dg.load(KINDS)[name], sizes=True).pictures:
        check(picture)


def test_the_overlap_check_sees_an_overlap() -> None:
    picture = layout(dg.load(KINDS)["conv1"]).pictures[0]
    tag = picture.tags[0]
    doubled = picture.__class__(**{**vars(picture), "tags": (*picture.tags, tag)})
    assert overlaps(doubled) == [f"{tag.kind} {tag.text} over {tag.kind} {tag.text}"]


def test_nodes_stay_where_they_are_from_step_to_step() -> None:
    pictures = layout(dg.shipped("conv2d")["A_reduce"].simplify().trace.rewrites).pictures
    assert len(pictures) == 5
    for before, after in pairwise(pictures):
        places = {node.key: node.box.centre for node in before.nodes}
        kept = [node for node in after.nodes if node.key in places]
        assert len(kept) == 6
        assert all(node.box.centre == places[node.key] for node in kept)


def test_a_step_marks_what_it_touched_and_keeps_a_ghost_of_what_it_took() -> None:
    spec = dg.load(KINDS)
    reduced = layout(dg.shipped("conv2d")["A_reduce"].simplify().trace.rewrites).pictures[1]
    assert [node.caption.name for node in reduced.nodes if node.touched] == ["P1"]
    dense = layout(spec["conv1"].simplify(k=2, s=2, p=0, i=8)).pictures[-1]
    assert [node.caption.name for node in dense.nodes if node.gone] == ["P"]
    assert [node.caption.name for node in dense.nodes if not node.gone] == ["X", "W"]


def test_the_halves_of_a_kronecker_factor_mirror_each_other() -> None:
    picture = layout(dg.load(KINDS)["A"]).pictures[0]
    xs = sorted(node.box.centre[0] for node in picture.nodes)
    middle = (xs[0] + xs[-1]) / 2
    assert [round(2 * middle - x, 3) for x in reversed(xs)] == [round(x, 3) for x in xs]


def test_a_convolution_reads_from_left_to_right() -> None:
    nodes = layout(dg.shipped("conv2d")["Y"]).pictures[0].nodes
    x = {node.caption.name: node.box.centre[0] for node in nodes}
    assert x["X"] < x["P1"] == x["P2"] < x["W"] < x["bias"]


def network(graph: networkx.Graph, open_every: int) -> Diagram:
    """A tensor a node, a wire an edge, and an open wire at every so many nodes."""
    axes: dict[int, list[str]] = {node: [] for node in graph}
    for number, (a, b) in enumerate(graph.edges):
        axes[a].append(f"e{number}")
        axes[b].append(f"e{number}")
    for node in range(0, len(axes), open_every):
        axes[node].append(f"p{node}")
    sizes = {wire: 4 for wires in axes.values() for wire in wires}
    tensors = tuple(Operand(f"T{n}", tuple((w,) for w in ws)) for n, ws in axes.items())
    declared = tuple(Declared(t.name, t.axes, dict.fromkeys(t.wires, 4)) for t in tensors)
    opened = tuple((w,) for w in sizes if w.startswith("p"))
    return Diagram("N", opened, (Network(sympy.Integer(1), tensors, sizes),), declared, sizes)


def lattice(rows: int, columns: int) -> networkx.Graph:
    return networkx.convert_node_labels_to_integers(networkx.grid_2d_graph(rows, columns))


GRAPHS = {
    "chain": networkx.path_graph(200),
    "lattice": lattice(10, 20),
    "three edges a node": networkx.random_regular_graph(3, 200, seed=1),
    "star": networkx.star_graph(199),
    "six edges a node": networkx.random_regular_graph(6, 200, seed=1),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_two_hundred_tensors_are_laid_out_without_overlaps(name: str) -> None:
    diagram = network(GRAPHS[name], 10)
    with counted() as work:
        picture = layout(diagram).pictures[0]
    assert work.calls < 3e6  # the densest takes 1.4 million, the chain 0.3
    assert len(picture.nodes) == 200
    assert len(picture.wires) == len(GRAPHS[name].edges) + 20
    boxes = [node.box for node in picture.nodes]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


def test_thirty_tensors_are_readable() -> None:
    picture = layout(network(networkx.random_regular_graph(3, 30, seed=1), 5)).pictures[0]
    check(picture)
    assert picture.width < 1200
    assert picture.height < 900
