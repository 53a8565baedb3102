"""The formats of `render`, one function each: which pictures of a derivation they show, and with
what options."""

from __future__ import annotations

from typing import Literal

from diagrammar.diagram import Diagram
from diagrammar.draw import svg as as_svg
from diagrammar.draw import text as as_text
from diagrammar.draw.layout import Layout, layout
from diagrammar.pipeline import Simplified, Trace

What = Diagram | Simplified | Trace
Steps = int | Literal["all", "ends", "last"]


def text(what: What, *, steps: Steps = "all", sizes: bool = False) -> str:
    """For terminals."""
    laid = layout(what, sizes=sizes)
    numbers = chosen(laid, steps)
    if len(numbers) == 1:
        return as_text.picture_text(laid.pictures[numbers[0]])
    return as_text.film_text(laid, numbers)


def svg(
    what: What,
    *,
    steps: Steps = "all",
    sizes: bool = False,
    thickness: bool = False,
    background: bool = True,
) -> str:
    """One SVG file."""
    laid = layout(what, sizes=sizes)
    numbers = chosen(laid, steps)
    if len(numbers) == 1:
        picture = laid.pictures[numbers[0]]
        return as_svg.svg(picture, thickness=thickness, background=background)
    return as_svg.film(laid, numbers, thickness=thickness, background=background)


def chosen(laid: Layout, steps: Steps) -> list[int]:
    """The numbers of the pictures that are wanted. Raises ValueError for steps that there are
    not."""
    last = len(laid.pictures) - 1
    named = {"all": list(range(last + 1)), "ends": sorted({0, last}), "last": [last]}
    if isinstance(steps, int) and -last - 1 <= steps <= last:
        return [steps % (last + 1)]
    if not isinstance(steps, str) or steps not in named:
        raise ValueError(f"no steps {steps!r}; there are 0 to {last}, 'all', 'ends' and 'last'")
    return named[steps]
