"""The column of each thing in a picture.

Operands have columns by their distance from the first one, going through relations; relations stand
between the operands that they relate; a dot stands in a gap between columns; ends outside stand
left or right of all. Tensor columns have even numbers, gaps odd ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum  # sum() rounds in another way from Python 3.12 on
from typing import Literal

from diagrammar.draw.wiring import Dot, Link

Side = Literal["left", "right", "above", "below"]


@dataclass(frozen=True)
class Parts:
    """One connected part of a term, all steps together: keys in order, and the links between
    them."""

    operands: tuple[str, ...]
    relations: tuple[str, ...]
    dots: Mapping[str, Dot]
    ends: Mapping[str, tuple[str, ...]]
    links: tuple[Link, ...]


@dataclass(frozen=True)
class Columns:
    """The column of every tensor, dot and left or right end; the side of every end."""

    column: Mapping[str, int]
    side: Mapping[str, Side]


def columns(parts: Parts) -> Columns:
    """Choose columns and sides for a connected part."""
    place = _tensor_places(parts)
    numbers = {x: 2 * n for n, x in enumerate(sorted(set(place.values())))}
    column = {key: numbers[x] for key, x in place.items()}
    last = max(column.values(), default=0)
    touching = _touching(parts.links)
    for dot, kind in parts.dots.items():
        if kind != "sum":
            column[dot] = _gap([column[k] for k in touching[dot] if k in place], last)
    side = _sides(parts, column, last, touching)
    edges = [*column.values(), 0]
    for key, where in side.items():
        if where in ("left", "right"):
            column[key] = min(edges) - 1 if where == "left" else max(edges) + 1
    used = {c: n for n, c in enumerate(sorted(set(column.values())))}
    return Columns({key: used[c] for key, c in column.items()}, side)


def _touching(links: Sequence[Link]) -> dict[str, list[str]]:
    """The neighbours of each thing."""
    near: dict[str, list[str]] = {}
    for link in links:
        near.setdefault(link.a, []).append(link.b)
        near.setdefault(link.b, []).append(link.a)
    return near


# -- tensors ---------------------------------------------------------------------------------------


def _tensor_places(parts: Parts) -> dict[str, float]:
    """Place operands at 0, 1, …, and relations between them."""
    fixed = parts.operands or parts.relations
    free = parts.relations if parts.operands else ()
    tensors = {*parts.operands, *parts.relations}
    plain = {k: [n for n in near if n in tensors] for k, near in _touching(parts.links).items()}
    shared = _by_dot(parts, tensors)
    place: dict[str, float] = {}
    left = list(fixed)
    while left:
        layer = [k for k, x in place.items() if x == max(place.values())]
        root = max(left, key=lambda k: sum(shared.get(k, []).count(n) for n in layer))
        _spread(root, int(max(place.values(), default=-1)) + 1, plain, set(left), place)
        left = [k for k in left if k not in place]
    return {**place, **_between(free, plain, shared, place)}


def _by_dot(parts: Parts, tensors: set[str]) -> dict[str, list[str]]:
    """The tensors that share a dot with each tensor, once for each dot."""
    by_dot: dict[str, list[str]] = {}
    for link in parts.links:
        for dot, key in ((link.a, link.b), (link.b, link.a)):
            if dot in parts.dots and key in tensors:
                by_dot.setdefault(dot, []).append(key)
    shared: dict[str, list[str]] = {}
    for keys in by_dot.values():
        if len(keys) > 24:
            continue  # a wire of most tensors says nothing about their places
        for key in dict.fromkeys(keys):
            shared.setdefault(key, []).extend(k for k in keys if k != key)
    return shared


def _spread(
    root: str, start: int, plain: Mapping[str, list[str]], wanted: set[str], place: dict[str, float]
) -> None:
    """Number operands breadth first from one of them; a relation on the way adds no distance."""
    layer, number = [root], start
    seen = {root}
    while layer:
        for key in layer:
            place[key] = number
        following: list[str] = []
        todo = list(layer)
        while todo:
            for near in plain.get(todo.pop(0), ()):
                if near in seen or near in place:
                    continue
                seen.add(near)
                (following if near in wanted else todo).append(near)
        layer, number = following, number + 1


def _between(
    free: Sequence[str],
    plain: Mapping[str, list[str]],
    shared: Mapping[str, list[str]],
    fixed: Mapping[str, float],
) -> dict[str, float]:
    """Place each relation at the mean of its neighbours; one with neighbours in a single column
    stands on its inner side."""
    middle = (min(fixed.values()) + max(fixed.values())) / 2 if fixed else 0.0
    near = {k: plain.get(k) or shared.get(k, []) for k in free}
    place = dict.fromkeys(free, middle)
    for _ in range(80 if len(free) < 100 else 20):
        for key in free:
            places = [fixed.get(n, place.get(n, middle)) for n in near[key]]
            place[key] = fsum(places) / len(places) if places else middle
    depth = _depths(free, plain, shared, fixed)
    deepest = max(depth.values(), default=1)
    for key in free:
        x = round(place[key] * 12) / 12
        if x == int(x):
            inner = 1 if x <= middle else -1
            x += inner * depth.get(key, 1) / (2 * deepest + 1)
        place[key] = x
    return place


def _depths(
    free: Sequence[str],
    plain: Mapping[str, list[str]],
    shared: Mapping[str, list[str]],
    fixed: Mapping[str, float],
) -> dict[str, int]:
    """How many steps each relation is away from an operand."""
    depth: dict[str, int] = {}
    layer = [k for k in free if any(n in fixed for n in plain.get(k) or shared.get(k, []))]
    number = 1
    while layer:
        depth.update(dict.fromkeys(layer, number))
        nearby = [n for k in layer for n in plain.get(k, []) if n in free and n not in depth]
        layer, number = list(dict.fromkeys(nearby)), number + 1
    return depth


# -- dots and ends ---------------------------------------------------------------------------------


def _gap(occupied: Sequence[int], last: int) -> int:
    """The gap nearest to the mean of some tensor columns."""
    if not occupied:
        return 1
    if len(set(occupied)) == 1:
        return occupied[0] + 1 if occupied[0] <= last / 2 else occupied[0] - 1
    low, high = min(occupied), max(occupied)
    gaps = range(low + 1, high, 2)
    mean = sum(occupied) / len(occupied)
    return min(gaps, key=lambda gap: (abs(gap - mean), -gap))


def _sides(
    parts: Parts, column: Mapping[str, int], last: int, touching: Mapping[str, list[str]]
) -> dict[str, Side]:
    """Send bundles and the ends of outer columns left or right, other ends above."""
    side: dict[str, Side] = {}
    free = [k for k in parts.ends if k in touching]
    for number, (key, axis) in enumerate((k, parts.ends[k]) for k in free):
        occupied = [column[k] for k in touching[key]]
        mean = sum(occupied) / len(occupied)
        if last == 0:
            side[key] = "left" if number < len(free) // 2 else "right"
        elif len(axis) > 1 or len(occupied) > 1:
            side[key] = "left" if mean < last / 2 else "right"
        elif mean <= 0 or mean >= last:
            side[key] = "left" if mean <= 0 else "right"
        else:
            side[key] = "above"
    return side
