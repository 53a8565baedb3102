"""Typical numbers for sizes that are symbols, to compare plans by; never for what is computed."""

from __future__ import annotations

from collections.abc import Mapping

import sympy

from diagrammar.ir.scalar import Dim

HINTS = {"b": 16, "n": 16, "g": 1, "o": 28, "i": 28, "k": 3, "c": 64}
"""Typical sizes for wires of unknown size, by the first letter of their name; for cost only."""


def hint(name: str) -> int:
    """A typical size for a wire, to compare plans of a shape-generic program."""
    return HINTS.get(name[0].lower(), 32)


def estimate(extent: Dim, names: Mapping[str, int] | None = None) -> int:
    """A size as a number: itself if known, a typical value if symbolic (for comparing costs
    only)."""
    if isinstance(extent, int):
        return extent
    values = {s: (names or {}).get(str(s), hint(str(s))) for s in extent.free_symbols}
    number = extent.xreplace({s: sympy.Integer(v) for s, v in values.items()}).doit()
    return max(1, int(number))
