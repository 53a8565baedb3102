"""A term of a sum in its place: its connected parts, stacked, the same in every step."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from diagrammar.draw.columns import Parts
from diagrammar.draw.labels import Caption, caption, size_label, text_width
from diagrammar.draw.place import Stand, end_label, stand
from diagrammar.draw.routes import Routed, Stop, routes
from diagrammar.draw.shapes import Box, hull
from diagrammar.draw.story import Frame, TermFrame
from diagrammar.draw.tags import tag_size
from diagrammar.draw.wiring import Dot, Wiring, components, wiring
from diagrammar.ir.diagram import Operand

Entry = TypeVar("Entry")

_BETWEEN = 22.0
"""Distance between connected parts of a term, in px."""


@dataclass(frozen=True)
class PlacedPart:
    """A connected part in its place, with its wiring in each frame (None in frames without it)."""

    place: Stand
    wirings: tuple[Wiring | None, ...]
    widths: Mapping[str, float]
    spread: float

    def moved(self, dx: float, dy: float) -> PlacedPart:
        """The part moved."""
        return replace(self, place=self.place.moved(dx, dy))

    def routed(self, number: int, term: TermFrame) -> Routed:
        """Route its wires in frame `number`."""
        shown = self.wirings[number]
        assert shown is not None
        groups = {
            key: tensor.axes if isinstance(tensor, Operand) else ()
            for key, tensor in zip(term.keys, term.network.tensors, strict=True)
            if key in self.place.spots
        }
        return routes(self.place, shown, groups, deltas(term), self.widths, self.spread)

    def extent(self, networks: Sequence[TermFrame | None]) -> Box:
        """The box around everything that it draws in any frame."""
        boxes = [self.place.box]
        for number, (shown, term) in enumerate(zip(self.wirings, networks, strict=True)):
            if shown is None or term is None:
                continue
            routed = self.routed(number, term)
            for route in routed.routes:
                boxes += [Box.around(k.x, k.y, 8, 8) for k in route.knots]
            boxes += [upright_box(shown.ends[k], stop) for k, stop in routed.stops.items()]
        return hull(boxes)


@dataclass(frozen=True)
class PlacedTerm:
    """All parts of a term; `axis` is the height of its middle, where its sign and factor stand."""

    parts: tuple[PlacedPart, ...]
    box: Box
    axis: float


def place_term(
    frames: Sequence[Frame], networks: Sequence[TermFrame | None], *, sizes: bool, spread: float
) -> PlacedTerm:
    """Place a term; `networks` has it in each frame, None in frames without it."""
    wirings = [
        None if term is None else wiring(term.network, term.keys, frame.diagram.axes)
        for term, frame in zip(networks, frames, strict=True)
    ]
    captions = _captions(networks)
    labels = _labels(networks) if sizes else {}
    parts: list[PlacedPart] = []
    boxes: list[Box] = []
    for inside, union in _unions(captions, wirings):
        restricted = tuple(_restricted(w, inside) for w in wirings)
        steps = [w.links for w in restricted if w is not None and w.links] or [()]
        place = stand(union, captions, steps, labels, spread)
        widths = {k: text_width(end_label(axis, labels)) for k, axis in union.ends.items()}
        part = PlacedPart(place, restricted, widths, spread)
        box = part.extent(networks)
        if boxes:
            below = hull(boxes)
            dx, dy = below.centre[0] - box.centre[0], below.bottom + _BETWEEN - box.top
            part, box = part.moved(dx, dy), box.moved(dx, dy)
        parts.append(part)
        boxes.append(box)
    axis = parts[0].place.box.centre[1] if parts else 0.0
    return PlacedTerm(tuple(parts), hull(boxes), axis)


def _unions(
    captions: Mapping[str, Sequence[Caption]], wirings: Sequence[Wiring | None]
) -> list[tuple[Collection[str], Parts]]:
    """Join the connected parts over all frames: their keys, and their contents."""
    shown = [each for each in wirings if each is not None]
    links = list(dict.fromkeys(link for each in shown for link in each.links))
    dots: dict[str, Dot] = {}
    for each in reversed(shown):
        dots |= each.dots
    ends: dict[str, tuple[str, ...]] = {}
    for each in shown:
        ends |= each.ends
    unions: list[tuple[Collection[str], Parts]] = []
    for keys in components([*captions, *dots, *ends], links):
        inside = frozenset(keys)
        operands, others = _by_kind([key for key in keys if key in captions], captions)
        own = tuple(link for link in links if link.a in inside)
        if own or operands or others:
            parts = Parts(operands, others, _only(dots, keys), _only(ends, keys), own)
            unions.append((inside, parts))
    return unions


def _by_kind(
    tensors: Sequence[str], captions: Mapping[str, Sequence[Caption]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The keys of operands and constants, and the keys of relations."""
    has_values = {key: captions[key][0].kind in ("operand", "constant") for key in tensors}
    return (
        tuple(key for key in tensors if has_values[key]),
        tuple(key for key in tensors if not has_values[key]),
    )


def _only(entries: Mapping[str, Entry], keys: Sequence[str]) -> dict[str, Entry]:
    """The entries that have one of the keys, in the order of the keys."""
    return {key: entries[key] for key in keys if key in entries}


def deltas(term: TermFrame) -> frozenset[str]:
    """The keys of the tensors that are deltas, drawn as dots."""
    sizes = term.network.sizes
    return frozenset(
        key
        for key, tensor in zip(term.keys, term.network.tensors, strict=True)
        if caption(tensor, sizes).kind == "delta"
    )


def upright_box(axis: tuple[str, ...], stop: Stop, small: str = "") -> Box:
    """The box of an open wire's name at a stop above or below."""
    x, y, up = stop
    width, height = tag_size(end_label(axis, {}), small)
    return Box.around(x, y + (-1 if up else 1) * (height / 2 + 2), width, height)


def _captions(networks: Sequence[TermFrame | None]) -> dict[str, list[Caption]]:
    """All captions that each tensor has in some frame."""
    captions: dict[str, list[Caption]] = {}
    for term in networks:
        if term is None:
            continue
        for key, tensor in zip(term.keys, term.network.tensors, strict=True):
            about = caption(tensor, term.network.sizes)
            own = captions.setdefault(key, [])
            if about not in own:
                own.append(about)
    return captions


def _labels(networks: Sequence[TermFrame | None]) -> dict[str, str]:
    """The text of each wire, with its size."""
    return {
        wire: f"{wire} {size_label(wire, extent)}".rstrip()
        for term in networks
        if term is not None
        for wire, extent in term.network.sizes.items()
    }


def _restricted(whole: Wiring | None, inside: Collection[str]) -> Wiring | None:
    """The part of a wiring with these keys; None for none."""
    if whole is None:
        return None
    return Wiring(
        tuple(link for link in whole.links if link.a in inside),
        {k: kind for k, kind in whole.dots.items() if k in inside},
        {k: axis for k, axis in whole.ends.items() if k in inside},
    )
