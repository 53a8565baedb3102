"""What a picture consists of, for every renderer: nodes, wires as curves, dots, bundles, tags.

Coordinates are px, y downwards. How they are found is in `drawing` and `sketch`.
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
    """A tensor in a picture. `corner`: the radius of its corners; `touched`: changed by the step;
    `gone`: taken away by it, shown as a ghost."""

    key: str
    caption: Caption
    box: Box
    corner: float
    touched: bool = False
    gone: bool = False

    @property
    def name_box(self) -> Box:
        """The strip at the upper edge where a ghost has its name."""
        return Box(self.box.left, self.box.top, self.box.right, self.box.top + 14)


@dataclass(frozen=True)
class Wire:
    """A wire: its stretches as knots and as curves, and how big it is."""

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
    """Where the wires of an open axis are tied: a bar, and a thick leg to the outside."""

    axis: tuple[str, ...]
    bar: Tie
    outer: float


@dataclass(frozen=True)
class Picture:
    """One step, drawn. `unnamed` are wires whose name found no room (of crowded pictures only)."""

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
