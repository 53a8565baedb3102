"""Routes of wires in one step of a picture: from node to node, through lanes, outside.

A wire leaves a node sideways, passes each column between at a free height, and runs on smoothly.
Ends above or below go straight up or down where nothing is in the way, else through the next gap.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from diagrammar.draw.order import LANE
from diagrammar.draw.place import Spot, Stand
from diagrammar.draw.ports import Face, nearly_level, port, slid, straightened
from diagrammar.draw.shapes import Box, Knot
from diagrammar.draw.wiring import Link, Wiring

Stop = tuple[float, float, bool]
"""The point where an open wire stops, and whether that is above."""


@dataclass(frozen=True)
class Route:
    """A stretch of a wire, and the knots on it."""

    link: Link
    knots: tuple[Knot, ...]


@dataclass(frozen=True)
class Tie:
    """A short bar across the wires of one axis of an operand."""

    x: float
    top: float
    bottom: float


@dataclass(frozen=True)
class Routed:
    """The routes of a step, the stops of ends above and below, and the ties of axes."""

    routes: tuple[Route, ...]
    stops: Mapping[str, Stop]
    ties: tuple[Tie, ...]


@dataclass
class _Hook:
    """One end of a link, at a face of a thing; `toward` sorts the wires of a face."""

    key: str
    face: Face
    toward: float
    at: Knot | None = None


@dataclass
class _Path:
    """A link on its way: its ends, and the knots between."""

    link: Link
    start: _Hook
    middle: list[Knot]
    end: _Hook | None
    stop: Knot | None = None
    stub: float | None = None


@dataclass
class _Router:
    """Routes the links of one step."""

    place: Stand
    wiring: Wiring
    spots: Mapping[str, Spot]
    groups: Mapping[str, Sequence[tuple[str, ...]]]
    frame: Box
    used: dict[int, list[float]] = field(default_factory=dict)
    gaps: dict[int, int] = field(default_factory=dict)
    above: dict[tuple[str, str], int] = field(default_factory=dict)

    # -- paths -------------------------------------------------------------------------------------

    def path(self, link: Link) -> _Path:
        """Find the path of a link."""
        a, b = link.a, link.b
        for key, other in ((a, b), (b, a)):
            if self.wiring.dots.get(key) == "sum":
                return self._stub(link, other)
            if key in self.place.sides and key not in self.spots:
                return self._upright(link, other)
        left, right = self.spots[a], self.spots[b]
        if left.column == right.column:
            return self._same_column(link, left, right)
        if left.column > right.column:
            left, right = right, left
        middle = self._passes(link, left, right)
        first = middle[0].y if middle else right.y
        last = middle[-1].y if middle else left.y
        return _Path(link, _Hook(left.key, "right", first), middle, _Hook(right.key, "left", last))

    def _passes(self, link: Link, start: Spot, end: Spot) -> list[Knot]:
        """Pass each column between, in its lane or at the free height nearest to a straight
        line."""
        knots: list[Knot] = []
        y = start.y
        for column in range(start.column + 1, end.column):
            left, right = self.place.ranges[column]
            reserved = self.place.lane(link, column)
            if reserved is None:
                share = (column - start.column) / (end.column - start.column)
                y = self._free(column, y if knots else start.y + share * (end.y - start.y))
            else:
                y = reserved
            self.used.setdefault(column, []).append(y)
            if right - left < 12:
                knots.append(Knot((left + right) / 2, y, "h"))
            else:
                knots += [Knot(left, y, "h"), Knot(right, y, "h")]
        return knots

    def _free(self, column: int, wish: float) -> float:
        """The free height in a column that is nearest to the wish."""
        boxes = [s.box for s in self.spots.values() if s.column == column]
        taken = self.used.get(column, [])
        tries = [wish]
        for box in boxes:
            tries += [box.top - 9, box.bottom + 9]
        tries += [y + n * LANE for y in taken for n in (-1, 1)]
        good = [
            y
            for y in tries
            if all(not box.top - 6 < y < box.bottom + 6 for box in boxes)
            and all(abs(y - other) >= LANE - 4 for other in taken)
        ]
        return min(good, key=lambda y: (round(abs(y - wish), 6), y), default=wish)

    def _same_column(self, link: Link, upper: Spot, lower: Spot) -> _Path:
        """Join two things of one column: directly, or by a bow through the gap."""
        if upper.y > lower.y:
            upper, lower = lower, upper
        x = (upper.x + lower.x) / 2
        blocked = any(
            s.column == upper.column and upper.y < s.y < lower.y and s.box.left < x < s.box.right
            for s in self.spots.values()
        )
        if not blocked and abs(upper.x - lower.x) < 1:
            return _Path(link, _Hook(upper.key, "bottom", x), [], _Hook(lower.key, "top", x))
        bow = Knot(self._lane_x(upper.column), (upper.y + lower.y) / 2, "v")
        return _Path(
            link, _Hook(upper.key, "right", lower.y), [bow], _Hook(lower.key, "right", upper.y)
        )

    def _lane_x(self, column: int) -> float:
        """Take a free x in the gap to the right of a column: its middle, then beside it."""
        number = self.gaps.get(column, 0)
        self.gaps[column] = number + 1
        side = -1.0 if number % 2 else 1.0
        return self.place.gap(column) + side * ((number + 1) // 2) * 9.0

    def _stub(self, link: Link, key: str) -> _Path:
        """Run a summed end a short way inwards."""
        spot = self.spots[key]
        last = len(self.place.ranges) - 1
        inner = spot.column <= last / 2
        right = 2 * self._busy(spot, right=True) - inner <= 2 * self._busy(spot, right=False)
        face: Face = "right" if right else "left"
        return _Path(
            link, _Hook(key, face, spot.y), [], None, stub=26.0 if face == "right" else -26.0
        )

    def _busy(self, spot: Spot, *, right: bool) -> int:
        """Count the wires that leave something to the right, or to the left."""
        others = [
            self.spots.get(link.other(spot.key))
            for link in self.wiring.links
            if spot.key in (link.a, link.b)
        ]
        columns = [s.column for s in others if s is not None]
        return sum(c > spot.column if right else c < spot.column for c in columns)

    def _upright(self, link: Link, key: str) -> _Path:
        """Run to an end above or below: on the side with fewer crossings, above if equal."""
        spot = self.spots[key]
        up = self._in_the_way(spot, up=True) <= self._in_the_way(spot, up=False)
        face: Face = "top" if up else "bottom"
        y = self.frame.top if up else self.frame.bottom
        if self._in_the_way(spot, up=up) >= 10:
            x = self._lane_x(spot.column)
            turn = Knot(x, spot.y + (-14 if up else 14), "v")
            return _Path(link, _Hook(key, "right", y), [turn], None, Knot(x, y, "v"))
        count = self.above.get((key, face), 0)
        self.above[key, face] = count + 1
        return _Path(link, _Hook(key, face, spot.x + count), [], None, Knot(spot.x, y, "v"))

    def _in_the_way(self, spot: Spot, *, up: bool) -> int:
        """Count what a wire straight up or down meets: 10 for a node, 1 for a lane."""
        count = 0
        for cell in self.place.grid.columns[spot.column]:
            y = cell.y + self.place.shift
            if cell.key == spot.key or (y < spot.y) != up:
                continue
            other = self.spots.get(cell.key)
            if other is None:
                count += len(cell.links)
            elif other.box.left - 4 < spot.x < other.box.right + 4:
                count += 10
        return count

    # -- ports -------------------------------------------------------------------------------------

    def hook_up(self, paths: Sequence[_Path]) -> list[Tie]:
        """Give each hook its port; the ties of axes whose wires leave side by side."""
        faces: dict[tuple[str, Face], list[tuple[_Hook, str]]] = {}
        for path in paths:
            for hook in (path.start, path.end):
                if hook is not None:
                    faces.setdefault((hook.key, hook.face), []).append((hook, path.link.wire))
        ties: list[Tie] = []
        for (key, face), hooks in faces.items():
            hooks.sort(key=lambda pair: round(pair[0].toward, 3))
            spot = self.spots[key]
            for number, (hook, _) in enumerate(hooks):
                hook.at = port(spot, face, number, len(hooks))
                if self.wiring.dots.get(key) == "loop":
                    hook.at = replace(hook.at, flow="v")
            if face in ("left", "right"):
                ties += self._ties(key, face, hooks)
        return ties

    def _ties(self, key: str, face: Face, hooks: Sequence[tuple[_Hook, str]]) -> list[Tie]:
        """Tie the wires of each axis that leave a face side by side."""
        wires = [wire for _, wire in hooks]
        ties = []
        for axis in self.groups.get(key, ()):
            numbers = sorted(n for n, wire in enumerate(wires) if wire in axis)
            if len(numbers) == len(axis) > 1 and numbers[-1] - numbers[0] == len(numbers) - 1:
                ends = [hooks[n][0].at for n in numbers]
                points = [knot for knot in ends if knot is not None]
                edge = (max if face == "right" else min)(k.x for k in points)
                x = edge + (5 if face == "right" else -5)
                ties.append(Tie(x, points[0].y - 2.5, points[-1].y + 2.5))
        return ties

    def run(self, path: _Path) -> Route:
        """Make a path with ports a route."""
        start = path.start.at
        assert start is not None
        if path.stub is not None:
            return Route(path.link, (start, Knot(start.x + path.stub, start.y, "h")))
        if path.stop is not None:
            stop = path.stop if path.middle else Knot(start.x, path.stop.y, "v")
            return Route(path.link, (start, *path.middle, stop))
        assert path.end is not None
        assert path.end.at is not None
        if not path.middle:
            return Route(path.link, self._level(path, start, path.end.at))
        return Route(path.link, straightened((start, *path.middle, path.end.at)))

    def _level(self, path: _Path, start: Knot, end: Knot) -> tuple[Knot, Knot]:
        """Bring two ports at nearly one height to one height, where one of them may move."""
        assert path.end is not None
        if nearly_level(start, end):
            if self._can_slide(path.end.key):
                return start, slid(self.spots[path.end.key], path.end.face, end, start.y)
            if self._can_slide(path.start.key):
                return slid(self.spots[path.start.key], path.start.face, start, end.y), end
        return start, end

    def _can_slide(self, key: str) -> bool:
        """Whether a port may move along its face: not at dots, nor where a single wire ends."""
        return not self.spots[key].is_dot and len(self.wiring.ends.get(key, ("", ""))) > 1


def routes(
    place: Stand,
    wiring: Wiring,
    groups: Mapping[str, Sequence[tuple[str, ...]]],
    small: Collection[str],
    widths: Mapping[str, float],
    spread: float,
) -> Routed:
    """Route the wires of one step. `groups` are the axes of each operand, `small` the deltas,
    `widths` the widths of open wires' names."""
    present = {k for link in wiring.links for k in (link.a, link.b)} | set(groups)
    spots = {k: s.shrunk(10.0) if k in small else s for k, s in place.spots.items() if k in present}
    router = _Router(place, wiring, spots, groups, _frame(place, spread))
    paths = [router.path(link) for link in wiring.links if _known(link, place, wiring)]
    ties = router.hook_up(paths)
    results: list[Route] = []
    stops: dict[str, Stop] = {}
    for path in paths:
        route = router.run(path)
        if path.stop is not None:
            key = path.link.other(path.start.key)
            stop = _staggered(
                route.knots[-1], route.knots[0].y, widths.get(key, 0.0), stops, widths
            )
            stops[key] = stop
            route = Route(route.link, (*route.knots[:-1], Knot(stop[0], stop[1], "v")))
        results.append(route)
    return Routed(tuple(results), stops, tuple(ties))


def _frame(place: Stand, spread: float) -> Box:
    """The lines above and below a part at which upright wires stop."""
    box = place.box
    lanes = [c.y + place.shift for column in place.grid.columns for c in column if c.is_lane]
    margin = 30.0 * max(1.0, spread)
    return Box(
        box.left, min([box.top, *lanes]) - margin, box.right, max([box.bottom, *lanes]) + margin
    )


def _staggered(
    end: Knot, start: float, width: float, stops: Mapping[str, Stop], widths: Mapping[str, float]
) -> Stop:
    """Choose where an upright wire stops: further out if another name is in the way."""
    x, y, up = end.x, end.y, end.y < start
    near = [
        stop
        for key, stop in stops.items()
        if stop[2] == up and abs(stop[0] - x) < (width + widths.get(key, 0.0)) / 2 + 6
    ]
    taken = {round(stop[1]) for stop in near}
    while round(y) in taken:
        y += -17.0 if up else 17.0
    return x, y, up


def _known(link: Link, place: Stand, wiring: Wiring) -> bool:
    """Whether both ends of a link belong to this part."""
    known = place.spots.keys() | place.sides.keys()
    return all(k in known or wiring.dots.get(k) == "sum" for k in (link.a, link.b)) and (
        link.a in place.spots or link.b in place.spots
    )
