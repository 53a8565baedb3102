"""The elements of a picture, for every renderer: nodes, wires as curves, dots, bundles, tags.

Coordinates are px, y downwards. `drawing` and `sketch` compute them.
"""

from __future__ import annotations

from dataclasses import dataclass

from diagrammar.draw.labels import Caption
from diagrammar.draw.routes import Tie
from diagrammar.draw.shapes import Box, Curve, Knot
from diagrammar.draw.tags import Tag
from diagrammar.draw.wiring import Dot
from diagrammar.ir.diagram import Diagram
from diagrammar.ir.scalar import Dim


@dataclass(frozen=True)
class Node:
    """A tensor in a picture. `corner` is the radius of its corners; `touched`: the step changed it;
    `gone`: the step took it away, and it is shown as a ghost."""

    key: str
    caption: Caption
    box: Box
    corner: float
    touched: bool = False
    gone: bool = False

    @property
    def name_box(self) -> Box:
        """The strip at the upper edge with a ghost's name."""
        return Box(self.box.left, self.box.top, self.box.right, self.box.top + 14)


@dataclass(frozen=True)
class Wire:
    """A wire: its stretches as knots and as curves, and its size."""

    name: str
    extent: Dim
    knots: tuple[tuple[Knot, ...], ...]
    curves: tuple[tuple[Curve, ...], ...]


@dataclass(frozen=True)
class Mark:
    """A dot on a wire: a copy (three or more ends), a summed end, or an open wire without a
    tensor."""

    wire: str
    kind: Dot
    x: float
    y: float


@dataclass(frozen=True)
class Bundle:
    """The bar where the wires of an open axis are tied, and a thick leg to the outside."""

    axis: tuple[str, ...]
    bar: Tie
    outer: float


@dataclass(frozen=True)
class Picture:
    """One step, drawn. `unnamed` are wires whose names found no room, in crowded pictures only."""

    diagram: Diagram
    width: float
    height: float
    nodes: tuple[Node, ...]
    wires: tuple[Wire, ...]
    marks: tuple[Mark, ...]
    bundles: tuple[Bundle, ...]
    ties: tuple[Tie, ...]
    tags: tuple[Tag, ...]
    unnamed: tuple[str, ...] = ()
