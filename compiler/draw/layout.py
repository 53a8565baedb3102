"""One layout for a whole derivation, which every renderer shares.

`layout(what)` places the tensors of all steps once, so that they stay in place, then draws each
step as a `Picture`. The same input gives the same pictures, and no format matters here.
"""

from __future__ import annotations

from dataclasses import dataclass

from diagrammar.draw.drawing import pictures
from diagrammar.draw.picture import Picture
from diagrammar.draw.story import Story, story
from diagrammar.ir.diagram import Diagram
from diagrammar.rewrite.engine import Simplified, Step, Trace

_TRIES = 5
"""How often a picture is spread by a quarter."""
_CROWDED = 60
"""The most tensors for which a picture is spread until all names find room; beyond, names without
room are left out."""


@dataclass(frozen=True)
class Storyboard:
    """The pictures of a story, all of one size."""

    story: Story
    pictures: tuple[Picture, ...]


def layout(what: Diagram | Simplified | Trace | Step, *, sizes: bool = False) -> Storyboard:
    """Lay out a diagram or a derivation; with `sizes`, wires carry their sizes too."""
    told = story(what)
    crowded = sum(len(t.keys) for t in told.frames[0].terms) > _CROWDED
    spread = 1.0
    drawn = pictures(told, sizes=sizes, spread=spread)
    for _ in range(0 if crowded else _TRIES):
        if not any(picture.unnamed for picture in drawn):
            break
        spread *= 1.25
        drawn = pictures(told, sizes=sizes, spread=spread)
    return Storyboard(told, drawn)
