"""Shipped definitions, in the language itself; `language.shipped` reads them."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

LAYER = "conv.tn"
"""The layer that files build on; `language.shipped.on_layer` puts another one in its place."""


@lru_cache(maxsize=64)
def shipped_text(stem: str) -> str:
    """The text of a shipped file; FileNotFoundError, with the names there are, for another."""
    if stem not in names():
        raise FileNotFoundError(f"no shipped file '{stem}'; there are {', '.join(names())}")
    return (files(__name__) / f"{stem}.tn").read_text(encoding="utf-8")


def names() -> tuple[str, ...]:
    """The shipped files, without `.tn`."""
    found = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(n.removesuffix(".tn") for n in found if n.endswith(".tn")))
