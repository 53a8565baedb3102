"""The 132 distinct convolution layers of the paper's nine networks, and ways to choose among them.

Only data lives here: geometry, shapes, names. What is computed on a layer is in operations.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data" / "cnn_convs.json"

Pair = tuple[int, int]


@dataclass(frozen=True)
class Layer:
    """One convolution layer; pairs run over its two spatial dimensions."""

    network: str
    name: str
    count: int
    in_channels: int
    out_channels: int
    input_size: Pair
    kernel_size: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int
    kind: str

    @property
    def label(self) -> str:
        """What tables and `--layers` call it: `ResNet18/layer1.0.conv1`."""
        return f"{self.network}/{self.name}"

    @property
    def unequal(self) -> bool:
        """Whether stride, padding or dilation differ between the dimensions."""
        return any(a != b for a, b in (self.stride, self.padding, self.dilation))

    @cached_property
    def output_size(self) -> Pair:
        """⌊(I + 2P − D(K−1) − 1) / S⌋ + 1 in each dimension."""
        first, second = (self._output(n) for n in range(2))
        return first, second

    def _output(self, n: int) -> int:
        reach = self.dilation[n] * (self.kernel_size[n] - 1)
        return (self.input_size[n] + 2 * self.padding[n] - reach - 1) // self.stride[n] + 1

    def input_shape(self, batch: int) -> tuple[int, ...]:
        """[b, c_in, i1, i2]."""
        return (batch, self.in_channels, *self.input_size)

    def output_shape(self, batch: int) -> tuple[int, ...]:
        """[b, c_out, o1, o2]."""
        return (batch, self.out_channels, *self.output_size)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """[c_out, c_in/g, k1, k2]."""
        return (self.out_channels, self.in_channels // self.groups, *self.kernel_size)

    @property
    def geometry(self) -> str:
        """Channels, kernel and hyper-parameters in a few characters, for tables."""
        kernel, stride, padding = (
            str(a) if a == b else f"{a}x{b}"
            for a, b in (self.kernel_size, self.stride, self.padding)
        )
        size = "x".join(map(str, dict.fromkeys(self.input_size)))
        groups = f" g{self.groups}" if self.groups > 1 else ""
        channels = f"{self.in_channels}→{self.out_channels}"
        return f"{channels} @{size} k{kernel} s{stride} p{padding}{groups}"


def layers() -> tuple[Layer, ...]:
    """All layers, in the order of the file."""
    return tuple(_layer(entry) for entry in json.loads(DATA.read_text(encoding="utf-8")))


def _layer(entry: dict[str, Any]) -> Layer:
    fields = {n: entry[n] for n in Layer.__dataclass_fields__ if n != "kind"}
    pairs = {n: tuple(v) for n, v in fields.items() if isinstance(v, list)}
    return Layer(**{**fields, **pairs, "kind": entry["class"]})


def chosen(found: Sequence[Layer], words: Iterable[str]) -> tuple[Layer, ...]:
    """The layers whose label contains one of some words; all of them when there are no words."""
    sought = [w.lower() for w in words]
    return tuple(f for f in found if not sought or any(w in f.label.lower() for w in sought))


def every(found: Sequence[Layer], n: int) -> tuple[Layer, ...]:
    """A representative nth of some layers: every nth of each family, the smallest of each at least.

    A family shares its class and what else makes a difference to a rule: depthwise, grouped, 1×1,
    stride, unequal padding. The layers of a family are ordered by their multiplications.
    """
    families: dict[tuple[object, ...], list[Layer]] = {}
    for layer in found:
        families.setdefault(_family(layer), []).append(layer)
    kept = {
        layer.label for family in families.values() for layer in sorted(family, key=_extent)[::n]
    }
    return tuple(layer for layer in found if layer.label in kept)


def _family(layer: Layer) -> tuple[object, ...]:
    depthwise = layer.groups == layer.in_channels and layer.groups > 1
    grouped = "depthwise" if depthwise else "grouped" if layer.groups > 1 else "one group"
    pointwise = layer.kernel_size == (1, 1)
    return layer.kind, grouped, pointwise, max(layer.stride), layer.unequal


def _extent(layer: Layer) -> tuple[int, str]:
    return prod(layer.weight_shape) * prod(layer.output_size), layer.label
