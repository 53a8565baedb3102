"""Layers of modules, one for all modules with the same hyper-parameters.

A layer keeps what it compiled; whoever looks at whole networks, again and again, takes layers from
here, so that each is compiled once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from diagrammar.layers import Conv, Linear
from diagrammar.layers.modules import arguments

if TYPE_CHECKING:
    from torch import nn


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
