"""One step while it is drawn: this collects nodes, wires, dots and tags."""

from __future__ import annotations

from diagrammar.draw.labels import caption, group, size_label
from diagrammar.draw.picture import Bundle, Mark, Node, Picture, Wire
from diagrammar.draw.place import BAR, LEG, Stand
from diagrammar.draw.routes import Route, Routed, Tie
from diagrammar.draw.shapes import Box, Knot, curves
from diagrammar.draw.story import TermFrame
from diagrammar.draw.tags import Board, Tag, name_wire, tag_size
from diagrammar.draw.terms import upright_box
from diagrammar.draw.wiring import Dot, Wiring
from diagrammar.ir.diagram import Diagram


class Sketch:
    """A picture while it is drawn."""

    def __init__(self, sizes: bool) -> None:
        self.sizes = sizes
        self.nodes: list[Node] = []
        self.wires: list[Wire] = []
        self.marks: list[Mark] = []
        self.bundles: list[Bundle] = []
        self.ties: list[Tie] = []
        self.tags: list[Tag] = []
        self.unnamed: list[str] = []
        self._named: list[bool] = []

    def nodes_of(self, place: Stand, term: TermFrame, touched: frozenset[str]) -> None:
        """Add the tensors of a part."""
        for key, tensor in zip(term.keys, term.network.tensors, strict=True):
            spot = place.spots.get(key)
            if spot is not None:
                about = caption(tensor, term.network.sizes)
                box = spot.shrunk(10.0).box if about.kind == "delta" else spot.box
                self.nodes.append(Node(key, about, box, spot.corner, key in touched))

    def ghosts(self, place: Stand, before: TermFrame | None, lost: frozenset[str]) -> None:
        """Add the tensors of a part that the step has taken away."""
        if before is None:
            return
        for key, tensor in zip(before.keys, before.network.tensors, strict=True):
            spot = place.spots.get(key)
            if spot is not None and key in lost:
                about = caption(tensor, before.network.sizes)
                self.nodes.append(Node(key, about, spot.box, spot.corner, gone=True))

    def wires_of(self, place: Stand, wiring: Wiring, term: TermFrame, routed: Routed) -> None:
        """Add the wires of a part, with dots, bundles and the names of open wires."""
        runs: dict[str, list[tuple[Knot, ...]]] = {}
        named: set[str] = set()
        for route in routed.routes:
            runs.setdefault(route.link.wire, []).append(self._to_outside(route, place, wiring))
        for key, axis in wiring.ends.items():
            spot = place.spots.get(key)
            if key in routed.stops:
                self._tag_upright(axis, term, routed.stops[key])
                named.add(axis[0])
            elif spot is not None:
                self._tag_end(axis, term, spot.box, spot.side == "left")
                named |= set(axis) if len(axis) == 1 else set()
        for wire, knots in runs.items():
            stretches = tuple(curves(run) for run in knots)
            self.wires.append(Wire(wire, term.network.sizes[wire], tuple(knots), stretches))
            self._named.append(wire in named)
        for key, kind in wiring.dots.items():
            self._mark(key, kind, place, routed)
        self.ties += routed.ties

    def _mark(self, key: str, kind: Dot, place: Stand, routed: Routed) -> None:
        """Add a dot: at the place of a copy, at the end of a summed wire."""
        wire = key.removeprefix("w:")
        if kind == "sum":
            end = next((r.knots[-1] for r in routed.routes if key in (r.link.a, r.link.b)), None)
            if end is not None:
                self.marks.append(Mark(wire, kind, end.x, end.y))
        elif kind != "loop" and key in place.spots:
            self.marks.append(Mark(wire, kind, place.spots[key].x, place.spots[key].y))

    def _to_outside(self, route: Route, place: Stand, wiring: Wiring) -> tuple[Knot, ...]:
        """Lead the knots of a route to the outside if it ends there by itself."""
        knots = route.knots
        for key in (route.link.a, route.link.b):
            spot = place.spots.get(key)
            if spot is None or spot.side is None or len(wiring.ends.get(key, ())) > 1:
                continue
            x = spot.box.left + LEG if spot.side == "right" else spot.box.right - LEG
            outer = Knot(x, spot.y, "h")
            right = knots[-1].x > knots[0].x
            knots = (*knots, outer) if right == (spot.side == "right") else (outer, *knots)
        return knots

    def _tag_upright(
        self, axis: tuple[str, ...], term: TermFrame, stop: tuple[float, float, bool]
    ) -> None:
        small = self._small(axis[0], term)
        self.tags.append(Tag(axis[0], upright_box(axis, stop, small), "open", axis[0], small))

    def _tag_end(self, axis: tuple[str, ...], term: TermFrame, box: Box, left: bool) -> None:
        """Add the name of an open wire, or the bar and the leg of a bundle."""
        y = box.centre[1]
        bundle = len(axis) > 1
        small = "" if bundle else self._small(axis[0], term)
        text = group(axis)
        width, height = tag_size(text, small)
        reach = LEG + 3 + (BAR if bundle else 0)
        x = box.right - reach - width if left else box.left + reach
        self.tags.append(
            Tag(text, Box(x, y - height / 2, x + width, y + height / 2), "open", text, small)
        )
        if bundle:
            inner = box.right - BAR / 2 if left else box.left + BAR / 2
            outer = box.right - BAR - LEG if left else box.left + BAR + LEG
            self.bundles.append(Bundle(axis, Tie(inner, box.top + 2, box.bottom - 2), outer))

    def _small(self, wire: str, term: TermFrame) -> str:
        return size_label(wire, term.network.sizes[wire]) if self.sizes else ""

    def picture(self, diagram: Diagram, width: float, height: float) -> Picture:
        """Finish the picture: put the names of inner wires beside them."""
        self._name_wires()
        return Picture(
            diagram,
            width,
            height,
            tuple(self.nodes),
            tuple(self.wires),
            tuple(self.marks),
            tuple(self.bundles),
            tuple(self.ties),
            tuple(self.tags),
            tuple(self.unnamed),
        )

    def _name_wires(self) -> None:
        """Put names beside the wires that have none at an end."""
        board = Board()
        for box in self._solid():
            board.block(box)
        for number, wire in enumerate(self.wires):
            for run in wire.curves:
                board.wire(number, run)
        for number, wire in enumerate(self.wires):
            if self._named[number]:
                continue
            small = size_label(wire.name, wire.extent) if self.sizes else ""
            stretches = [curve for run in wire.curves for curve in run]
            place = name_wire(board, number, stretches, *tag_size(wire.name, small))
            if place is None:
                self.unnamed.append(wire.name)
                continue
            board.block(place)
            self.tags.append(Tag(wire.name, place, "wire", wire.name, small))

    def _solid(self) -> list[Box]:
        """The boxes that a name may not cover."""
        boxes = [node.name_box if node.gone else node.box for node in self.nodes]
        boxes += [Box.around(mark.x, mark.y, 8, 8) for mark in self.marks]
        boxes += [tag.box for tag in self.tags]
        bars = [bundle.bar for bundle in self.bundles]
        return boxes + [Box(bar.x - 3, bar.top, bar.x + 3, bar.bottom) for bar in bars]
