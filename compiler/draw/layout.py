"""One layout for a whole derivation, which every renderer shares.

`layout(what)` places the tensors of all steps once, so that they stay where they are, then draws
each step as a `Picture`. Deterministic; knows no format.
"""

from __future__ import annotations

from dataclasses import dataclass

from diagrammar.draw.drawing import pictures
from diagrammar.draw.picture import Picture
from diagrammar.draw.story import Story, story
from diagrammar.ir.diagram import Diagram
from diagrammar.rewrite.engine import Simplified, Step, Trace

_TRIES = 5
_CROWDED = 60
"""Above this many tensors, names that find no room are left out rather than the picture spread."""


@dataclass(frozen=True)
class Layout:
    """The pictures of a story, all of one size."""

    story: Story
    pictures: tuple[Picture, ...]


def layout(what: Diagram | Simplified | Trace | Step, *, sizes: bool = False) -> Layout:
    """Lay out a diagram or a derivation; with `sizes`, wires carry their sizes too."""
    told = story(what)
    crowded = sum(len(t.keys) for t in told.frames[0].terms) > _CROWDED
    spread = 1.0
    found = pictures(told, sizes=sizes, spread=spread)
    for _ in range(0 if crowded else _TRIES):
        if not any(picture.unnamed for picture in found):
            break
        spread *= 1.25
        found = pictures(told, sizes=sizes, spread=spread)
    return Layout(told, found)
