"""Windows of arrays, for the dense oracle: the inputs that each entry of a kernel meets."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class Windows:
    """The windows of a convolution over a padded input [b, g, c, *i]."""

    def __init__(
        self,
        stride: tuple[int, ...],
        dilation: tuple[int, ...],
        padding: tuple[tuple[int, int], ...],
        outputs: tuple[int, ...],
        sizes: tuple[int, ...],
    ) -> None:
        self.stride, self.dilation, self.padding = stride, dilation, padding
        self.outputs, self.sizes = outputs, sizes

    def entries(self) -> list[tuple[Any, Any]]:
        """List each kernel entry k with the inputs D·k + S·o that it meets, as indices into
        arrays."""
        pairs: list[tuple[Any, Any]] = []
        for k in itertools.product(*map(range, self.sizes)):
            inputs = tuple(
                slice(d * n, d * n + s * (o - 1) + 1, s)
                for n, d, s, o in zip(k, self.dilation, self.stride, self.outputs, strict=True)
            )
            pairs.append(((..., *k), (..., *inputs)))
        return pairs


def grouped(x: Array, axis: int, groups: int) -> Array:
    """Split the axis (g c) into two axes."""
    return x.reshape(*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])


def picked(x: Array, positions: list[list[int]]) -> Array:
    """Take the entries of the last axes that have these indices along each axis."""
    for axis, indices in enumerate(positions, start=x.ndim - len(positions)):
        x = np.take(x, np.array(indices, int), axis)
    return x


def flat(x: Array) -> Array:
    """Join the positions of [b, g, c, *p] into one axis."""
    return x.reshape(*x.shape[:3], math.prod(x.shape[3:]))
