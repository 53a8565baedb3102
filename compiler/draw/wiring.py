"""Connections of a picture: tensors, dots and ends outside, joined two by two by links.

Keys: a tensor's key is given (`t3`); `w:i` is the dot of wire i; `o:g co` is the end of the open
axis (g co).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from diagrammar.ir.diagram import Axes, Network

Dot = Literal["copy", "loop", "ones", "sum"]
"""A wire with three or more ends; with two ends at one tensor; open without a tensor; or summed
with one end."""


@dataclass(frozen=True)
class Link:
    """A stretch of a wire between two things."""

    wire: str
    a: str
    b: str

    def other(self, key: str) -> str:
        """The end that is not `key`."""
        return self.b if key == self.a else self.a


@dataclass(frozen=True)
class Wiring:
    """The links of one term, the dots by key, and the open axes by key."""

    links: tuple[Link, ...]
    dots: Mapping[str, Dot]
    ends: Mapping[str, tuple[str, ...]]


def wiring(term: Network, keys: Sequence[str], axes: Axes) -> Wiring:
    """Find how a term's tensors (named by `keys`) and open axes are connected."""
    ends = {f"o:{' '.join(axis)}": axis for axis in axes}
    outside = {wire: key for key, axis in ends.items() for wire in axis}
    points: dict[str, list[str]] = {wire: [] for wire in term.sizes}
    for key, tensor in zip(keys, term.tensors, strict=True):
        for wire in tensor.wires:
            points[wire].append(key)
    links: list[Link] = []
    dots: dict[str, Dot] = {}
    for wire, touched in points.items():
        inside = list(touched)
        if wire in outside:
            touched = [*inside, outside[wire]]
        if len(touched) == 2 and touched[0] != touched[1]:
            links.append(Link(wire, touched[0], touched[1]))
            continue
        if not touched:
            continue
        hub = f"w:{wire}"
        if len(touched) == 1:
            dots[hub] = "sum" if inside else "ones"
        else:
            dots[hub] = "loop" if len(touched) == 2 else "copy"
        links += [Link(wire, key, hub) for key in touched]
    return Wiring(tuple(links), dots, ends)


def components(keys: Iterable[str], links: Iterable[Link]) -> list[tuple[str, ...]]:
    """The connected parts, each with its keys in their order."""
    order = list(keys)
    near: dict[str, list[str]] = {key: [] for key in order}
    for link in links:
        near[link.a].append(link.b)
        near[link.b].append(link.a)
    seen: set[str] = set()
    parts = []
    for key in order:
        if key in seen:
            continue
        part, todo = {key}, [key]
        while todo:
            for other in near[todo.pop()]:
                if other not in part:
                    part.add(other)
                    todo.append(other)
        seen |= part
        parts.append(tuple(k for k in order if k in part))
    return parts
