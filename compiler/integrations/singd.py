"""singd's inputs by `diagrammar.layers`: padding modes and `'same'` with even kernels are right.

    from diagrammar.integrations.singd import inputs

    with inputs():
        loss.backward()          # singd's hooks process inputs of Conv2d here
        optimizer.step()

singd has no registry, so this replaces the function that its hooks call, `process_input`, until the
context ends. As in singd, rows are averaged over groups, end with a one for the bias, and are
divided by the square root of their number. Made for singd 0.0.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import sqrt

from diagrammar.integrations.versions import need, offers

need("singd", "singd", "0.0.5", "0.1")
offers("singd", "singd", ["singd.optim.optimizer:process_input"])

from singd.optim import optimizer  # noqa: E402
from torch import Tensor, cat, nn, unflatten  # noqa: E402

from diagrammar.layers.shared import shared_layer  # noqa: E402

__all__ = ["inputs", "process_input"]

THEIRS = optimizer.process_input


def process_input(x: Tensor, module: nn.Module, kfac_approx: str) -> Tensor:
    """Compute rows of a layer's unfolded input ("expand"), or their means over positions
    ("reduce"), whose product with themselves is the input's factor: [rows, c_in/g·∏k (+ 1)].

    Other modules than Conv2d are left to singd, with its errors.
    """
    if not isinstance(module, nn.Conv2d):
        rows: Tensor = THEIRS(x, module, kfac_approx)
        return rows
    layer = shared_layer(module, groups=1)
    if module.groups > 1:
        x = unflatten(x, 1, (module.groups, -1)).mean(1)
    if kfac_approx == "expand":
        rows = layer.unfold(x).movedim(1, 2).flatten(0, 1)
    else:
        rows = layer.averaged_patches(x)
    if module.bias is not None:
        rows = cat([rows, rows.new_ones(len(rows), 1)], 1)
    return rows / sqrt(len(rows))


@contextmanager
def inputs() -> Iterator[None]:
    """A context in which singd's hooks process inputs by `process_input` of this module."""
    before = optimizer.process_input
    optimizer.process_input = process_input
    try:
        yield
    finally:
        optimizer.process_input = before
