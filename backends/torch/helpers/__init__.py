"""The helper functions of emitted modules: real functions, whose source a module takes along.

A module holds the helpers that it uses and those that these use, in the order in which they stand
here. To emit a module their text is read, and nothing imported, so that emission needs no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import resources

FILES = ("sizes", "indicator", "places", "parts", "convolution", "gram")
"""The files of this folder. A function stands behind all that it calls when it is defined."""


def _functions(text: str) -> dict[str, str]:
    """The functions of a file, by name, each as its source."""
    parts = re.split(r"^(?=def )", text, flags=re.MULTILINE)[1:]
    return {part[4 : part.index("(")]: part.rstrip("\n") + "\n" for part in parts}


def _all() -> dict[str, str]:
    folder = resources.files(__package__)
    texts = ((folder / f"{name}.py").read_text(encoding="utf-8") for name in FILES)
    return {name: source for text in texts for name, source in _functions(text).items()}


HELPERS = _all()
"""The source of each helper, by name, in the order in which modules hold them."""

USES = {
    name: frozenset(re.findall(r"\b_[a-z_]+\b", source)) & HELPERS.keys() - {name}
    for name, source in HELPERS.items()
}
"""The other helpers that each calls."""


def with_uses(names: Iterable[str]) -> tuple[str, ...]:
    """Some helpers and all that these use, in order."""
    found: set[str] = set()
    new = set(names)
    while new:
        found |= new
        new = {used for name in new for used in USES[name]} - found
    return tuple(name for name in HELPERS if name in found)
