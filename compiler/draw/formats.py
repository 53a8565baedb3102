"""The formats of `render`, one function for each, with the options that it has."""

from __future__ import annotations

from diagrammar.draw import dot as as_dot
from diagrammar.draw import html as as_html
from diagrammar.draw import svg as as_svg
from diagrammar.draw import text as as_text
from diagrammar.draw import tikz as as_tikz
from diagrammar.draw.layout import layout
from diagrammar.draw.operation import operation
from diagrammar.draw.scenes import Steps, scenes
from diagrammar.ir.diagram import Diagram
from diagrammar.rewrite.engine import Simplified, Step, Trace
from diagrammar.runtime.specialised import Specialised

What = Diagram | Simplified | Trace | Step


def text(what: What, *, steps: Steps = "all", sizes: bool = False) -> str:
    """Text for terminals."""
    shown = scenes(layout(what, sizes=sizes), steps)
    return as_text.picture_text(shown[0].picture) if len(shown) == 1 else as_text.film_text(shown)


def svg(
    what: What,
    *,
    steps: Steps = "all",
    sizes: bool = False,
    thickness: bool = False,
    background: bool = True,
) -> str:
    """One SVG file."""
    shown = scenes(layout(what, sizes=sizes), steps)
    if len(shown) == 1:
        return as_svg.svg(shown[0].picture, thickness=thickness, background=background)
    return as_svg.film(shown, thickness=thickness, background=background)


def tikz(
    what: What,
    *,
    steps: Steps = "all",
    sizes: bool = False,
    thickness: bool = False,
    width: float = as_tikz.WIDTH,
    standalone: bool = False,
) -> str:
    """TikZ: a picture, or a figure of several."""
    shown = scenes(layout(what, sizes=sizes), steps)
    return as_tikz.tikz(shown, thickness=thickness, width=width, standalone=standalone)


def dot(what: What, *, steps: Steps = "last", sizes: bool = False) -> str:
    """DOT, of the last step by default."""
    laid = layout(what)
    return as_dot.dot(laid, scenes(laid, steps), sizes=sizes)


def html(what: What | Specialised, *, sizes: bool = False, thickness: bool = False) -> str:
    """A report of all steps as one HTML file; of a compiled function also with its plan and
    code."""
    if isinstance(what, (Diagram, Simplified, Trace, Step)):
        return as_html.report(layout(what, sizes=sizes), thickness=thickness)
    return as_html.operation_report(operation(what, sizes=sizes), thickness=thickness)
