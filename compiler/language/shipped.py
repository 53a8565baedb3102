"""Diagrams of the shipped files: as they are, about another layer, and as one looks at them."""

from __future__ import annotations

from functools import lru_cache

from diagrammar.grammar.source import Source
from diagrammar.ir.diagram import Diagram
from diagrammar.language.spec import Spec, parse_source
from diagrammar.library import LAYER, shipped_text


def shipped(name: str) -> Spec:
    """A shipped file by name, with or without `.tn`: `dg.shipped("conv2d")["A_reduce"]`.

    Raises FileNotFoundError, with the names there are, for another name.
    """
    stem = name.removesuffix(".tn")
    return parse_source(Source(shipped_text(stem), f"{stem}.tn"))


@lru_cache(maxsize=256)
def on_layer(name: str, layer: str, boundary: str, rank: int) -> Spec:
    """A shipped file about a layer, for another layer than the plain convolution.

    `layer` is "conv" or "conv_transpose", `boundary` what the padding repeats, `rank` the number
    of spatial dimensions.
    """
    text = shipped_text(layer).replace("boundary=zeros", f"boundary={boundary}")
    about = Source(text, f"{layer}.tn")
    if name == layer:
        return parse_source(about, rank=rank)
    source = Source(shipped_text(name), f"{name}.tn")
    return parse_source(source, rank=rank, instead={LAYER: about})


def drawn(name: str) -> dict[str, Diagram]:
    """The definitions of a shipped file as one looks at them: in two dimensions where any number is
    meant, on the plain convolution where it is about a layer."""
    spec = shipped(name)
    return dict(spec.at(2) if any(d.family for d in spec.values()) else spec)
