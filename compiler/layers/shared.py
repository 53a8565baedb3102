"""Layers of modules, one for all modules with the same hyper-parameters.

A layer keeps what it compiled; whoever looks at whole networks, again and again, takes layers from
here, so that each is compiled once.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any

from diagrammar.layers import Conv, Linear
from diagrammar.layers.modules import arguments

if TYPE_CHECKING:
    from torch import Tensor, nn


def shared_layer(module: nn.Module, groups: int | None = None, **options: Any) -> Conv:
    """The layer of a torch.nn.Conv1d/2d/3d, ConvTranspose1d/2d/3d or Linear, as `Conv.of` has it,
    for reading only; with another number of `groups` where that is given. `options` are those of
    `Conv`. Raises TypeError for other modules.
    """
    given, about = arguments(module)
    if groups is not None and not about.linear:
        given["groups"] = groups
    return _made(about.linear, tuple((given | options).items()))


@lru_cache(maxsize=1024)
def _made(linear: bool, given: tuple[tuple[str, Any], ...]) -> Conv:
    return (Linear if linear else Conv)(**dict(given))


def lifted_layer(layer: Conv, **options: Any) -> Conv:
    """A convolution with one more dimension before the others, of kernel size one: along it stand
    inputs that belong to one example. `options` are those of `Conv`."""
    g = layer.geometry
    padding = ((0, 0), *zip(g.left, g.right, strict=True))
    given: dict[str, Any] = {
        "kernel_size": (1, *g.kernel_size), "stride": (1, *g.stride), "padding": padding,
        "dilation": (1, *g.dilation), "groups": g.groups, "padding_mode": g.padding_mode,
        "transposed": g.transposed,
    }  # fmt: skip
    if g.transposed:
        given["output_padding"] = (0, *g.output_padding)
    return _made(False, tuple((given | options).items()))


ROWS = 1 << 14
"""Rows of the unfolded input that a factor is computed of at once; a product of so many is fast."""


def parts_of(layer: Conv, x: Tensor) -> tuple[Tensor, ...]:
    """An input's examples in parts of one size, of at most `ROWS` rows where that is possible.

    A sum over examples can be taken part by part: with less memory for unfolded inputs, and, in
    float32, smaller rounding errors than one long sum has.
    """
    taps, count = layer.geometry.taps, len(x)
    if taps == 1 or x.ndim != layer.geometry.dims + 2:
        return (x,)
    most = max(ROWS // max(prod(layer.output_size(x.shape[2:])), 1), 1)
    size = max((n for n in range(1, min(most, count) + 1) if count % n == 0), default=count)
    if size == count:
        return (x,)
    from torch import split

    return split(x, size)
