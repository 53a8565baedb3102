"""Plane geometry of pictures: boxes, knots of a wire, and the cubic curves through them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import fsum  # sum() rounds in another way from Python 3.12 on
from typing import Literal

Point = tuple[float, float]
Curve = tuple[Point, Point, Point, Point]
"""A cubic Bézier curve: start, two controls, end."""
Flow = Literal["h", "v"]


@dataclass(frozen=True)
class Box:
    """An upright rectangle; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    @staticmethod
    def around(x: float, y: float, width: float, height: float) -> Box:
        """A box of a size around a centre."""
        return Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)

    @property
    def centre(self) -> Point:
        """Its centre."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    @property
    def width(self) -> float:
        """Its width."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Its height."""
        return self.bottom - self.top

    def moved(self, dx: float, dy: float) -> Box:
        """The box moved."""
        return Box(self.left + dx, self.top + dy, self.right + dx, self.bottom + dy)

    def grown(self, by: float) -> Box:
        """The box with a margin on all sides."""
        return Box(self.left - by, self.top - by, self.right + by, self.bottom + by)

    def overlaps(self, other: Box, margin: float = 0.0) -> bool:
        """Whether the boxes come closer than `margin`."""
        return (
            self.left < other.right + margin
            and other.left < self.right + margin
            and self.top < other.bottom + margin
            and other.top < self.bottom + margin
        )

    def holds(self, point: Point) -> bool:
        """Whether a point is inside."""
        return self.left <= point[0] <= self.right and self.top <= point[1] <= self.bottom


def hull(boxes: Iterable[Box]) -> Box:
    """The least box around some boxes; without any, an empty one at the origin."""
    all_boxes = list(boxes)
    if not all_boxes:
        return Box(0.0, 0.0, 0.0, 0.0)
    return Box(
        min(b.left for b in all_boxes),
        min(b.top for b in all_boxes),
        max(b.right for b in all_boxes),
        max(b.bottom for b in all_boxes),
    )


@dataclass(frozen=True)
class Knot:
    """A point on a wire, where it flows horizontally or vertically."""

    x: float
    y: float
    flow: Flow

    @property
    def point(self) -> Point:
        """The point."""
        return self.x, self.y


def curves(knots: Sequence[Knot]) -> tuple[Curve, ...]:
    """The smooth curve through knots, one cubic for each stretch."""
    return tuple(_curve(a, b) for a, b in pairwise(knots))


def _curve(a: Knot, b: Knot) -> Curve:
    """The cubic from one knot to the next, level or upright at both."""
    if a.flow == b.flow == "h":
        middle = (a.x + b.x) / 2
        return a.point, (middle, a.y), (middle, b.y), b.point
    if a.flow == b.flow == "v":
        middle = (a.y + b.y) / 2
        return a.point, (a.x, middle), (b.x, middle), b.point
    corner = (b.x, a.y) if a.flow == "h" else (a.x, b.y)
    return a.point, _towards(a.point, corner), _towards(b.point, corner), b.point


def _towards(start: Point, end: Point, share: float = 0.6) -> Point:
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def along(curve: Curve, t: float) -> Point:
    """The point of a curve at t in 0 … 1."""
    s = 1 - t
    weights = (s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t)
    return (
        fsum(w * p[0] for w, p in zip(weights, curve, strict=True)),
        fsum(w * p[1] for w, p in zip(weights, curve, strict=True)),
    )


def is_straight(curve: Curve) -> bool:
    """Whether a curve is a horizontal or vertical line."""
    return len({round(p[0], 2) for p in curve}) == 1 or len({round(p[1], 2) for p in curve}) == 1
