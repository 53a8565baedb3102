"""Places of things in a picture, once for all steps of a derivation.

Sizes of nodes come from their captions (the largest of all steps), columns from `columns`, heights
from `order`. `routes` runs the wires between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import fsum  # sum() rounds in another way from Python 3.12 on

from diagrammar.draw.columns import Columns, Parts, Side, columns
from diagrammar.draw.labels import FONT, SMALL, Caption, group, text_width
from diagrammar.draw.order import LANE, Grid, arrange
from diagrammar.draw.shapes import Box, hull
from diagrammar.draw.wiring import Dot, Link

PORT = 12.5
"""Least distance of wires at a node, in px."""
LEG = 18.0
"""Length of an open wire outside, in px."""
BAR = 5.0
"""Width of the bar where a bundle is tied, in px."""


@dataclass(frozen=True)
class Spot:
    """A thing's place: its box, the radius of its corners, and the side of an end outside."""

    key: str
    box: Box
    column: int
    side: Side | None = None
    corner: float = 0.0

    @property
    def x(self) -> float:
        """The centre's x."""
        return self.box.centre[0]

    @property
    def y(self) -> float:
        """The centre's y."""
        return self.box.centre[1]

    @property
    def is_dot(self) -> bool:
        """Whether wires meet in its middle."""
        return self.side is None and min(self.box.width, self.box.height) < 12

    def shrunk(self, size: float) -> Spot:
        """The spot with a small box around its centre."""
        return replace(self, box=Box.around(self.x, self.y, size, size), corner=0.0)


@dataclass(frozen=True)
class Stand:
    """The places of a connected part: spots by key, the grid with its lanes, and each column's x
    range."""

    spots: Mapping[str, Spot]
    grid: Grid
    ranges: tuple[tuple[float, float], ...]
    sides: Mapping[str, Side]
    shift: float = 0.0

    @property
    def box(self) -> Box:
        """The box around all spots."""
        return hull(s.box for s in self.spots.values())

    def gap(self, column: int) -> float:
        """The middle of the gap to the right of a column."""
        if column + 1 < len(self.ranges):
            return (self.ranges[column][1] + self.ranges[column + 1][0]) / 2
        return self.ranges[column][1] + 26.0

    def lane(self, link: Link, column: int) -> float | None:
        """The height at which a link passes a column, if it has a lane there."""
        y = self.grid.lane(link, column)
        return None if y is None else y + self.shift

    def moved(self, dx: float, dy: float) -> Stand:
        """All places moved."""
        spots = {k: replace(s, box=s.box.moved(dx, dy)) for k, s in self.spots.items()}
        ranges = tuple((a + dx, b + dx) for a, b in self.ranges)
        return Stand(spots, self.grid, ranges, self.sides, self.shift + dy)


def stand(
    parts: Parts,
    captions: Mapping[str, Sequence[Caption]],
    steps: Sequence[Sequence[Link]],
    labels: Mapping[str, str],
    spread: float,
) -> Stand:
    """Place a connected part. `steps` are the links of each step; links of the first step get
    lanes. `labels` are the wires' texts."""
    placed = columns(parts)
    busy: dict[str, int] = {}
    for links in steps:
        for key, number in _busy(links, placed).items():
            busy[key] = max(busy.get(key, 0), number)
    sizes: dict[str, tuple[float, float]] = {}
    corners: dict[str, float] = {}
    for key in placed.column:
        if key in captions:
            width, height, corners[key] = _node_size(captions[key], busy.get(key, 0))
            sizes[key] = (width, height)
        elif key in parts.dots:
            sizes[key] = _dot_size(parts.dots[key])
        else:
            sizes[key] = _end_size(parts.ends[key], labels)
    grid = arrange(placed.column, sizes, parts.links, steps[0], spread)
    ranges = _ranges(grid, parts.links, placed, labels, spread)
    spots = {}
    for number, column in enumerate(grid.columns):
        left, right = ranges[number]
        for cell in column:
            if cell.is_lane:
                continue
            side = placed.side.get(cell.key)
            x = (left + right) / 2
            if side is not None:
                x = right - cell.width / 2 if side == "left" else left + cell.width / 2
            box = Box.around(x, cell.y, cell.width, cell.height)
            spots[cell.key] = Spot(cell.key, box, number, side, corners.get(cell.key, 0.0))
    return Stand(spots, grid, ranges, placed.side)


def _busy(links: Sequence[Link], placed: Columns) -> dict[str, int]:
    """Count the wires on each thing's busier side."""
    count: dict[tuple[str, bool], int] = {}
    for link in links:
        a, b = placed.column.get(link.a), placed.column.get(link.b)
        if a is None or b is None:
            continue
        for key, right in ((link.a, b > a), (link.b, a > b)):
            count[key, right] = count.get((key, right), 0) + 1
    busy: dict[str, int] = {}
    for (key, _), number in count.items():
        busy[key] = max(busy.get(key, 0), number)
    return busy


def _node_size(captions: Sequence[Caption], busy: int) -> tuple[float, float, float]:
    """Width, height, and the radius of the corners."""
    ports = max(0, busy - 1) * PORT
    if all(c.kind == "delta" for c in captions):
        return 10.0, 10.0, 0.0
    width = max(_caption_width(c) for c in captions)
    lines = max(len(c.lines) for c in captions)
    if captions[0].kind in ("operand", "constant"):
        if width <= 30:
            across = max(40.0, width + 14, ports / 0.8)
            return across, across, across / 2
        return width + 24, max(36.0, ports + 14), 18.0
    return width + 14, max(24.0 if lines < 2 else 37.0, ports + 12), 0.0


def _caption_width(caption: Caption) -> float:
    fonts = [FONT + 2] + [SMALL] * len(caption.lines)
    return max(
        (text_width(line, font) for line, font in zip(caption.lines, fonts, strict=False)),
        default=0.0,
    )


def _dot_size(kind: Dot) -> tuple[float, float]:
    return (8.0, 8.0) if kind != "loop" else (1.0, 1.0)


def end_label(axis: tuple[str, ...], labels: Mapping[str, str]) -> str:
    """The text at the end of an open axis."""
    return labels.get(axis[0], axis[0]) if len(axis) == 1 else group(axis)


def _end_size(axis: tuple[str, ...], labels: Mapping[str, str]) -> tuple[float, float]:
    width = LEG + 5 + text_width(end_label(axis, labels))
    if len(axis) == 1:
        return width, 18.0
    return width + BAR, max(20.0, LANE * (len(axis) - 1) + 12.0)


def _ranges(
    grid: Grid,
    links: Sequence[Link],
    placed: Columns,
    labels: Mapping[str, str],
    spread: float,
) -> tuple[tuple[float, float], ...]:
    """Choose the x range of each column; a gap has room for names of wires that fit nowhere
    else."""
    thin = [_thin(column) for column in grid.columns]
    gaps = [30.0 if a or b else 48.0 for a, b in pairwise(thin)]
    for gap_number, width in _summed(links, placed, labels, len(gaps)).items():
        gaps[gap_number] = max(gaps[gap_number], width)
    for link in links:
        a, b = sorted(placed.column.get(key, -1) for key in (link.a, link.b))
        if a < 0 or a == b or not all(thin[a + 1 : b]):
            continue
        name = text_width(labels.get(link.wire, link.wire)) * (0.8 if thin[a] or thin[b] else 1.0)
        short = name + 20.0 - fsum(gaps[a:b])
        for n in range(a, b):
            gaps[n] += max(0.0, short / (b - a))
    ranges: list[tuple[float, float]] = []
    x = 0.0
    for column, gap in zip(grid.columns, [*gaps, 0.0], strict=True):
        width = max((c.width for c in column), default=0.0)
        ranges.append((x, x + width))
        x += width + gap * spread
    return tuple(ranges)


def _summed(
    links: Sequence[Link], placed: Columns, labels: Mapping[str, str], gaps: int
) -> dict[int, float]:
    """The room that summed ends need in the gaps on their inner sides, from the left and right."""
    need: dict[tuple[int, bool], float] = {}
    for link in links:
        outside, column = sorted(placed.column.get(key, -1) for key in (link.a, link.b))
        right = 2 * column <= gaps
        gap = column if right else column - 1
        if outside < 0 <= gap < gaps:
            name = text_width(labels.get(link.wire, link.wire))
            need[gap, right] = max(need.get((gap, right), 38.0), name + 20.0)
    return {gap: need.get((gap, True), 0.0) + need.get((gap, False), 0.0) for gap, _ in need}


def _thin(column: Sequence[object]) -> bool:
    """Whether a column has dots, lanes and ends only."""
    keys = [str(getattr(c, "key", "")) for c in column]
    return all(k.startswith(("w:", "lane", "o:")) for k in keys)
