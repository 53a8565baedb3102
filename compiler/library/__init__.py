"""Shipped definitions, in the language itself."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diagrammar.spec import Spec


def shipped(name: str) -> Spec:
    """A shipped file by name, with or without `.tn`: `dg.shipped("conv2d")["A_reduce"]`.

    Raises FileNotFoundError, with the names there are, for another name.
    """
    from diagrammar.grammar.source import Source
    from diagrammar.spec import parse_source

    stem = name.removesuffix(".tn")
    if stem not in names():
        raise FileNotFoundError(f"no shipped file '{name}'; there are {', '.join(names())}")
    file = files(__name__) / f"{stem}.tn"
    return parse_source(Source(file.read_text(encoding="utf-8"), f"{stem}.tn"))


def names() -> tuple[str, ...]:
    """The shipped files, without `.tn`."""
    found = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(n.removesuffix(".tn") for n in found if n.endswith(".tn")))
