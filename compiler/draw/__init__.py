"""Draw diagrams and derivations: one layout, which all formats share.

render(diagram, "svg"), render(diagram.simplify().trace, "html"), …
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diagrammar.ir.diagram import Diagram
    from diagrammar.rewrite.engine import Simplified, Step, Trace
    from diagrammar.runtime.specialised import Specialised

FORMATS = ("text", "svg", "html", "tikz", "dot")


def render(
    what: Diagram | Simplified | Trace | Step | Specialised, format: str = "text", **options: Any
) -> str:
    """Render a diagram, a derivation or a step of it as text, svg, html, tikz or dot.

    All steps of a derivation are drawn, unless `steps` is "ends" (before and after), "last" or a
    number (0 is the start). `sizes=True` adds the sizes of wires; `thickness=True` (svg, tikz,
    html) draws larger wires thicker. html also takes a function that was compiled for some shapes
    (`f.specialise(…)`); that report has its costs, its plan and its source. Raises ValueError for
    an unknown format, TypeError for an option that the format does not have.
    """
    from diagrammar.draw import formats

    if format not in FORMATS:
        raise ValueError(f"no format '{format}'; there are {', '.join(FORMATS)}")
    draw = getattr(formats, format)
    return str(draw(what, **options))
