"""The helper functions of emitted modules: real functions, whose source a module takes along.

A module holds the helpers that it uses and the helpers that those use, in the order in which they
stand here. Emission reads their text and imports nothing, so that it needs no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import resources

FILES = ("sizes", "indicator", "places", "parts", "convolution", "gram")
"""The files of this folder, in an order in which each function stands behind all that it calls."""


def _functions(text: str) -> dict[str, str]:
    """The functions of a file, by name, each as its source."""
    parts = re.split(r"^(?=def )", text, flags=re.MULTILINE)[1:]
    return {part[4 : part.index("(")]: part.rstrip("\n") + "\n" for part in parts}


def _all() -> dict[str, str]:
    """The functions of all files."""
    folder = resources.files(__package__)
    texts = ((folder / f"{name}.py").read_text(encoding="utf-8") for name in FILES)
    return {name: source for text in texts for name, source in _functions(text).items()}


HELPERS = _all()
"""The source of each helper, by name, in the order in which modules hold them."""

USES = {
    name: frozenset(re.findall(r"\b_[a-z_]+\b", source)) & HELPERS.keys() - {name}
    for name, source in HELPERS.items()
}
"""The other helpers that each helper calls."""


def with_uses(names: Iterable[str]) -> tuple[str, ...]:
    """These helpers and all that they use, in order."""
    reached: set[str] = set()
    new = set(names)
    while new:
        reached |= new
        new = {used for name in new for used in USES[name]} - reached
    return tuple(name for name in HELPERS if name in reached)
