"""Share one layer among all modules with the same hyper-parameters.

A layer keeps the definitions that it compiled. Code that looks at whole networks takes layers from
here, so that each definition is compiled once.
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
    """The layer of a torch.nn.Conv1d/2d/3d, ConvTranspose1d/2d/3d or Linear, as from `Conv.of`, but
    for reading only.

    `groups` replaces the module's number of groups; `options` go to `Conv`. Raises TypeError for
    other modules.
    """
    parameters, about = arguments(module)
    if groups is not None and not about.linear:
        parameters["groups"] = groups
    return _made(about.linear, tuple((parameters | options).items()))


@lru_cache(maxsize=1024)
def _made(linear: bool, parameters: tuple[tuple[str, Any], ...]) -> Conv:
    """Make a layer, or take the one made before."""
    return (Linear if linear else Conv)(**dict(parameters))


def lifted_layer(layer: Conv, **options: Any) -> Conv:
    """A convolution with one more dimension before the others, of kernel size one: the rows of one
    example lie along it. `options` go to `Conv`."""
    g = layer.geometry
    padding = ((0, 0), *zip(g.left, g.right, strict=True))
    parameters: dict[str, Any] = {
        "kernel_size": (1, *g.kernel_size), "stride": (1, *g.stride), "padding": padding,
        "dilation": (1, *g.dilation), "groups": g.groups, "padding_mode": g.padding_mode,
        "transposed": g.transposed,
    }  # fmt: skip
    if g.transposed:
        parameters["output_padding"] = (0, *g.output_padding)
    return _made(False, tuple((parameters | options).items()))


ROWS = 1 << 14
"""Rows of the unfolded input that one product for a factor takes at most."""


def parts_of(layer: Conv, x: Tensor) -> tuple[Tensor, ...]:
    """Split an input's examples into parts of equal size, of at most `ROWS` rows where that is
    possible.

    A sum over examples can be taken part by part: unfolded inputs then take less memory and, in
    float32, rounding errors are smaller than in one long sum.
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
