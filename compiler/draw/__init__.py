"""Drawing diagrams and derivations: one layout, and what is made of it.

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
    """A diagram, a derivation or a step of it in one of the formats text, svg, html, tikz, dot.

    Of a derivation all steps are drawn, unless `steps` says otherwise: "all", "ends" (before and
    after), "last" or the number of one (0 is the start). `sizes=True` adds the sizes of wires,
    `thickness=True` (svg, tikz, html) draws them as thick as they are large. html also takes a
    function that was compiled for some shapes (`f.specialise(…)`): the report then has its costs,
    its plan and its source. Raises ValueError for an unknown format, TypeError for an option that
    the format does not have.
    """
    from diagrammar.draw import formats

    if format not in FORMATS:
        raise ValueError(f"no format '{format}'; there are {', '.join(FORMATS)}")
    draw = getattr(formats, format)
    return str(draw(what, **options))
