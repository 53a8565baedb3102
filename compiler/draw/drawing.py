"""Draw a story: set terms beside each other with their signs and factors, and sketch them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from diagrammar.draw.labels import negative, scalar, text_width
from diagrammar.draw.picture import Picture
from diagrammar.draw.shapes import Box, Point, hull
from diagrammar.draw.sketch import Sketch
from diagrammar.draw.story import Frame, Story, TermFrame
from diagrammar.draw.tags import Tag, tag_size
from diagrammar.draw.terms import PlacedTerm, place_term

MARGIN = 14.0
_ROW = 1150.0
"""The widest row of terms, in px."""


@dataclass(frozen=True)
class _Entry:
    """A term in the sum: its place, its network in each frame, and the widths of its sign and
    factor."""

    term: PlacedTerm
    found: tuple[TermFrame | None, ...]
    sign: float
    factor: float

    @property
    def width(self) -> float:
        """The width with sign and factor."""
        return self.sign + self.factor + self.term.box.width

    def moved(self, dx: float, dy: float) -> _Entry:
        """The term moved."""
        parts = tuple(part.moved(dx, dy) for part in self.term.parts)
        term = PlacedTerm(parts, self.term.box.moved(dx, dy), self.term.axis + dy)
        return replace(self, term=term)


def pictures(story: Story, *, sizes: bool, spread: float) -> tuple[Picture, ...]:
    """Draw a picture of each frame. `spread` stretches all distances."""
    entries = _entries(story, sizes, spread)
    offsets, width, height = _rows(entries)
    entries = [entry.moved(*offset) for entry, offset in zip(entries, offsets, strict=True)]
    drawn = _pictures(story, entries, (width, height), sizes)
    paper = Box(0.0, 0.0, width, height)
    inked = hull([paper, *(_margined(tag.box) for p in drawn for tag in p.tags)])
    if inked == paper:
        return drawn
    entries = [entry.moved(-inked.left, -inked.top) for entry in entries]
    return _pictures(story, entries, (inked.width, inked.height), sizes)


def _margined(box: Box) -> Box:
    return Box(box.left - 6, box.top - 6, box.right + 6, box.bottom + 6)


def _pictures(
    story: Story, entries: Sequence[_Entry], size: Point, sizes: bool
) -> tuple[Picture, ...]:
    return tuple(
        _picture(number, frame, story.frames[number - 1] if number else None, entries, size, sizes)
        for number, frame in enumerate(story.frames)
    )


def _entries(story: Story, sizes: bool, spread: float) -> list[_Entry]:
    """Place all terms of a story."""
    entries = []
    for number, start in enumerate(story.frames[0].terms):
        networks = tuple(frame.term(start.term) for frame in story.frames)
        placed = place_term(story.frames, networks, sizes=sizes, spread=spread)
        pairs = list(zip(story.frames, networks, strict=True))
        factor = max(text_width(_factor(frame, term)) for frame, term in pairs)
        signed = number > 0 or any(_sign(frame, term) for frame, term in pairs)
        entries.append(_Entry(placed, networks, 26.0 * signed, factor + 8.0 * (factor > 0)))
    return entries


def _factor(frame: Frame, term: TermFrame | None) -> str:
    """The factor of a term as text."""
    return "" if term is None else scalar(term.network, frame.diagram)


def _sign(frame: Frame, term: TermFrame | None) -> str:
    """The sign of a term as text."""
    if term is None:
        return ""
    return "−" if negative(term.network) else "" if frame.terms[0] is term else "+"


def _rows(entries: Sequence[_Entry]) -> tuple[list[Point], float, float]:
    """Set terms side by side, in rows of a readable width: the shift of each, and the width and
    height of all."""
    rows: list[list[_Entry]] = [[]]
    x = 0.0
    for entry in entries:
        if rows[-1] and x + entry.width > _ROW:
            rows.append([])
            x = 0.0
        rows[-1].append(entry)
        x += entry.width + 10
    offsets: list[Point] = []
    y, wide = MARGIN, 60.0
    for row in rows:
        above = max((e.term.axis - e.term.box.top for e in row), default=12.0)
        below = max((e.term.box.bottom - e.term.axis for e in row), default=12.0)
        above, below = max(above, 9.0), max(below, 9.0)
        x = MARGIN
        for entry in row:
            x += entry.sign + entry.factor
            offsets.append((x - entry.term.box.left, y + above - entry.term.axis))
            x += entry.term.box.width + 10
        wide = max(wide, x - 10 + MARGIN)
        y += above + below + 24
    return offsets, wide, y - 24 + MARGIN


def _picture(
    number: int,
    frame: Frame,
    before: Frame | None,
    entries: Sequence[_Entry],
    size: Point,
    sizes: bool,
) -> Picture:
    """Draw one frame."""
    sketch = Sketch(sizes)
    for entry in entries:
        now = entry.found[number]
        for part in entry.term.parts:
            wiring = part.wirings[number]
            if before is not None:
                sketch.ghosts(part.place, entry.found[number - 1], frame.gone)
            if wiring is not None and now is not None:
                sketch.nodes_of(part.place, now, frame.touched)
                sketch.wires_of(part.place, wiring, now, part.routed(number, now))
        if now is not None:
            _front(sketch, frame, now, entry)
    if not frame.terms:
        box = Box.around(size[0] / 2, size[1] / 2, *tag_size("0"))
        sketch.tags.append(Tag("0", box, "scalar"))
    return sketch.picture(frame.diagram, *size)


def _front(sketch: Sketch, frame: Frame, term: TermFrame, entry: _Entry) -> None:
    """Write the sign and the factor in front of a term."""
    x, y = entry.term.box.left, entry.term.axis
    text, sign = _factor(frame, term), _sign(frame, term)
    if text:
        w, h = tag_size(text)
        sketch.tags.append(Tag(text, Box(x - 8 - w, y - h / 2, x - 8, y + h / 2), "scalar"))
    if sign:
        box = Box.around(x - entry.factor - entry.sign / 2, y, *tag_size(sign))
        sketch.tags.append(Tag(sign, box, "sign"))
