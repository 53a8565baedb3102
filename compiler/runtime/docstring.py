"""What a compiled function says of itself: the definitions' own words, or the definitions."""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from diagrammar.grammar.formatter import format_axes, format_statement
from diagrammar.ir.diagram import Diagram
from diagrammar.ir.text import axes_syntax, diagram_file
from diagrammar.rewrite.engine import Simplified

SUMMARY = 80
"""The most letters of a definition that is the first line of a docstring."""


def documentation(diagrams: Sequence[Diagram], simplified: Sequence[Simplified]) -> str:
    """The definitions' documentation, or else what they are, and the laws that were used."""
    parts = [d.doc or _summary(d) for d in diagrams]
    masks = {o.name: o.keep for d in diagrams for o in d.operands if o.keep is not None}
    for name, keep in masks.items():
        scale = f"1/{keep}" if isinstance(keep, str) else str(1 / sympy.sympify(keep))
        parts.append(f"{name} has entries 0 and {scale}, of mean one.")
    laws = dict.fromkeys(law for s in simplified for law in s.trace.laws)
    if laws:
        parts.append("Laws: " + ";\n      ".join(laws))
    return "\n\n".join(parts)


def _summary(diagram: Diagram) -> str:
    """The definition, if it fits on a line; else its axes and operands."""
    finite = all(sympy.sympify(t.scalar).is_finite is not False for t in diagram.terms)
    if finite and not any(t.scalar is sympy.nan for t in diagram.terms):
        text = format_statement(diagram_file(diagram).statements[-1])
        if "\n" not in text and len(text) <= SUMMARY:
            return text
    names = ", ".join(o.name for o in diagram.operands)
    return f"{diagram.name}{format_axes(axes_syntax(diagram.axes))} of {names or 'no operands'}."
