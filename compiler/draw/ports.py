"""Ports: the points where wires touch nodes, and small shifts that make wires level."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from diagrammar.draw.order import LANE
from diagrammar.draw.place import Spot
from diagrammar.draw.shapes import Knot

Face = Literal["left", "right", "top", "bottom"]
_LEVEL = 3.0
"""The largest step, in px, that is taken out."""


def port(spot: Spot, face: Face, number: int, count: int) -> Knot:
    """The point where wire `number` of `count` leaves a face, spread around its middle."""
    upright = face in ("left", "right")
    if spot.is_dot:
        return Knot(spot.x, spot.y, "h" if upright else "v")
    length = spot.box.height if upright else spot.box.width
    room = 0.84 * length if spot.corner >= length / 2 else length - 10
    step = min(LANE if upright else 24.0, room / (count - 1)) if count > 1 else 0.0
    return edge(spot, face, step * (number - (count - 1) / 2))


def edge(spot: Spot, face: Face, off: float) -> Knot:
    """The point of a face at distance `off` from its middle, on the outline of a rounded box."""
    upright = face in ("left", "right")
    across, length = spot.box.width, spot.box.height
    if not upright:
        across, length = length, across
    into = max(0.0, abs(off) - (length / 2 - spot.corner))
    reach = across / 2 - spot.corner + max(spot.corner**2 - into**2, 0.0) ** 0.5
    if face in ("left", "top"):
        reach = -reach
    if upright:
        return Knot(spot.x + reach, spot.y + off, "h")
    return Knot(spot.x + off, spot.y + reach, "v")


def slid(spot: Spot, face: Face, knot: Knot, y: float) -> Knot:
    """Move a port along its upright face to another height."""
    return replace(edge(spot, face, y - spot.y), flow=knot.flow)


def nearly_level(a: Knot, b: Knot) -> bool:
    """Whether a small step lies between two knots of a level wire."""
    return a.flow == b.flow == "h" and abs(a.y - b.y) < _LEVEL


def straightened(knots: tuple[Knot, ...]) -> tuple[Knot, ...]:
    """Take out small steps between an end and the lanes next to it."""
    out = list(knots)
    for order in (range(1, len(out) - 1), range(len(out) - 2, 0, -1)):
        back = -1 if order.step > 0 else 1
        for n in order:
            end = out[n + back]
            if not nearly_level(out[n], end):
                break
            out[n] = replace(out[n], y=end.y)
    return tuple(out)
