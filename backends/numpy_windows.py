"""Windows of arrays, for the dense oracle: which inputs meet which entries of a kernel."""

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
        """Each kernel entry k, and the inputs D·k + S·o that it meets, as indices into arrays."""
        found: list[tuple[Any, Any]] = []
        for k in itertools.product(*map(range, self.sizes)):
            at = tuple(
                slice(d * n, d * n + s * (o - 1) + 1, s)
                for n, d, s, o in zip(k, self.dilation, self.stride, self.outputs, strict=True)
            )
            found.append(((..., *k), (..., *at)))
        return found


def grouped(x: Array, axis: int, groups: int) -> Array:
    """Axis (g c) as two axes."""
    return x.reshape(*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])


def picked(x: Array, at: list[list[int]]) -> Array:
    """The entries of the last axes with these indices along each."""
    for axis, indices in enumerate(at, start=x.ndim - len(at)):
        x = np.take(x, np.array(indices, int), axis)
    return x


def flat(x: Array) -> Array:
    """[b, g, c, *p] with the positions as one axis."""
    return x.reshape(*x.shape[:3], math.prod(x.shape[3:]))
