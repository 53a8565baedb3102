"""Shipped definitions, in the language itself."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diagrammar.ir.diagram import Diagram
    from diagrammar.language.spec import Spec

LAYER = "conv.tn"
"""The layer that files build on; `on_layer` puts another one in its place."""


def shipped(name: str) -> Spec:
    """A shipped file by name, with or without `.tn`: `dg.shipped("conv2d")["A_reduce"]`.

    Raises FileNotFoundError, with the names there are, for another name.
    """
    from diagrammar.grammar.source import Source
    from diagrammar.language.spec import parse_source

    stem = name.removesuffix(".tn")
    return parse_source(Source(_text(stem), f"{stem}.tn"))


@lru_cache(maxsize=256)
def on_layer(name: str, layer: str, boundary: str, rank: int) -> Spec:
    """A shipped file about a layer, for another layer than the plain convolution.

    `layer` is "conv" or "conv_transpose", `boundary` what the padding repeats, `rank` the number
    of spatial dimensions.
    """
    from diagrammar.grammar.source import Source
    from diagrammar.language.spec import parse_source

    text = _text(layer).replace("boundary=zeros", f"boundary={boundary}")
    about = Source(text, f"{layer}.tn")
    if name == layer:
        return parse_source(about, rank=rank)
    source = Source(_text(name), f"{name}.tn")
    return parse_source(source, rank=rank, instead={LAYER: about})


def drawn(name: str) -> dict[str, Diagram]:
    """The definitions of a shipped file as one looks at them: in two dimensions where any number is
    meant, on the plain convolution where it is about a layer."""
    spec = shipped(name)
    return dict(spec.at(2) if any(d.family for d in spec.values()) else spec)


@lru_cache(maxsize=64)
def _text(stem: str) -> str:
    if stem not in names():
        raise FileNotFoundError(f"no shipped file '{stem}'; there are {', '.join(names())}")
    return (files(__name__) / f"{stem}.tn").read_text(encoding="utf-8")


def names() -> tuple[str, ...]:
    """The shipped files, without `.tn`."""
    found = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(n.removesuffix(".tn") for n in found if n.endswith(".tn")))
