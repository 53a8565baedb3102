"""Places of wires' names: beside their wire, clear of nodes and of each other and, where possible,
clear of wires."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import floor
from typing import Literal

from diagrammar.draw.labels import FONT, SMALL, text_width
from diagrammar.draw.shapes import Box, Curve, Point, along

TagKind = Literal["wire", "open", "scalar", "sign"]
_CELL = 48.0
"""Size of a cell of the board, in px."""
_BESIDE = 4.0
"""A name may be taken for the name of a wire as close as this, in px."""
_PLACES = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8)
"""Fractions of a stretch at which a name is tried."""


@dataclass(frozen=True)
class Tag:
    """A text and the box that it fills; `wire` is the wire that it names, `small` a second part,
    the size."""

    text: str
    box: Box
    kind: TagKind
    wire: str = ""
    small: str = ""


def tag_size(text: str, small: str = "") -> tuple[float, float]:
    """The width and height of a tag."""
    return text_width(text) + (text_width(small, SMALL) + 2 if small else 0), FONT + 1


@dataclass
class Board:
    """The occupied places of a picture: boxes that nothing may overlap, and points of wires."""

    boxes: dict[tuple[int, int], list[Box]] = field(default_factory=dict)
    points: dict[tuple[int, int], list[tuple[Point, int]]] = field(default_factory=dict)

    def block(self, box: Box) -> None:
        """Occupy a box."""
        for cell in _cells(box):
            self.boxes.setdefault(cell, []).append(box)

    def wire(self, number: int, curves: Iterable[Curve]) -> None:
        """Note where wire `number` runs."""
        for curve in curves:
            steps = 12
            for n in range(steps + 1):
                point = along(curve, n / steps)
                cell = (floor(point[0] / _CELL), floor(point[1] / _CELL))
                self.points.setdefault(cell, []).append((point, number))

    def free(self, box: Box) -> bool:
        """Whether nothing is in a box."""
        return not any(
            box.overlaps(other, 1.0) for cell in _cells(box) for other in self.boxes.get(cell, ())
        )

    def strangers(self, box: Box, number: int) -> float:
        """The cost of a box: 3 for each point of its own wire that it covers, 4 for points of
        others, and 1 where it could name another wire that runs beside it."""
        cost, beside = 0.0, 0.0
        around = box.grown(_BESIDE)
        for cell in _cells(around):
            for point, owner in self.points.get(cell, ()):
                if box.holds(point):
                    cost += 3.0 if owner == number else 4.0
                elif owner != number and around.holds(point):
                    beside = 1.0
        return cost + beside


def _cells(box: Box) -> Iterator[tuple[int, int]]:
    """Yield the cells of the board that a box touches."""
    for x in range(floor(box.left / _CELL), floor(box.right / _CELL) + 1):
        for y in range(floor(box.top / _CELL), floor(box.bottom / _CELL) + 1):
            yield x, y


def name_wire(
    board: Board, number: int, curves: Sequence[Curve], width: float, height: float
) -> Box | None:
    """The best free box for a name beside a wire; None if there is none."""
    best: tuple[float, Box] | None = None
    for rank, (point, slope) in enumerate(_spots(curves)):
        for side, box in enumerate(_beside(point, slope, width, height)):
            if not board.free(box):
                continue
            cost = rank * 0.4 + side * 0.2 + board.strangers(box, number)
            if best is None or cost < best[0]:
                best = cost, box
        if best is not None and best[0] <= rank * 0.4:
            break
    if best is None:
        return next((box for box in _beyond(curves, width, height) if board.free(box)), None)
    return best[1]


def _beyond(curves: Sequence[Curve], width: float, height: float) -> Iterator[Box]:
    """Yield boxes beyond the ends of a wire, for wires that are too short for a name beside them; a
    little above or below where several wires end together."""
    for shift in (0.0, 4.0, -4.0, 8.0, -8.0):
        for curve in curves:
            for x, y in (curve[3], curve[0]):
                for side in (1, -1):
                    yield Box.around(x + side * (width / 2 + 8), y + shift, width, height)


def _spots(curves: Sequence[Curve]) -> Iterator[tuple[Point, Point]]:
    """Yield points along a wire with its direction there, the middles of long stretches first."""
    ordered = sorted(curves, key=lambda c: -_length(c))
    for t in _PLACES:
        for curve in ordered:
            if _length(curve) < 8:
                continue
            before, after = along(curve, max(0.0, t - 0.02)), along(curve, min(1.0, t + 0.02))
            yield along(curve, t), (after[0] - before[0], after[1] - before[1])


def _length(curve: Curve) -> float:
    return abs(curve[3][0] - curve[0][0]) + abs(curve[3][1] - curve[0][1])


def _beside(point: Point, slope: Point, width: float, height: float) -> Iterator[Box]:
    """Yield boxes on both sides of a wire at a point, nearly touching it; then a little further
    away."""
    (x, y), (dx, dy) = point, slope
    length = (dx * dx + dy * dy) ** 0.5 or 1.0
    nx, ny = -dy / length, dx / length
    if ny > 0 or (ny == 0 and nx < 0):
        nx, ny = -nx, -ny  # above first, or to the right
    reach = abs(nx) * width / 2 + abs(ny) * height / 2
    for gap in (2.0, 6.0):
        for sign in (1, -1):
            off = sign * (reach + gap)
            yield Box.around(x + nx * off, y + ny * off, width, height)
