"""Programs that run in parts: what parts are added to, put side by side in, and cast to."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def _total(part: Tensor, size: tuple[int, ...]) -> Tensor:
    """Zeros for a sum of parts; of float16 and bfloat16 it is in float32."""
    half = part.dtype in (torch.float16, torch.bfloat16)
    return part.new_zeros(size, dtype=torch.float32 if half else part.dtype)


def _rounded(total: Tensor, like: Tensor) -> Tensor:
    """A sum of parts in the dtype of an operand; an average of integers stays what it is."""
    numbers = like.is_floating_point() or like.is_complex()
    return total.to(like.dtype) if numbers else total


def _joined(parts: Iterator[Tensor], size: tuple[int, ...], dim: int = 0) -> Tensor:
    """Parts side by side, axes lying as in a part. Each is put into its place before the next is
    made, unless gradients are recorded: those of a copy into a place are as large as the whole."""
    part = next(parts)
    if part.requires_grad:
        return torch.cat([part, *parts], dim)
    shape, strides, entries, axes = part.shape, part.stride(), part.shape[dim], range(part.ndim)
    order = sorted(axes, key=lambda n: (shape[n] > 1, -strides[n]))
    total = part.new_empty([size[n] for n in order]).permute([order.index(n) for n in axes])
    total.narrow(dim, 0, entries).copy_(part)
    del part
    for start in range(entries, size[dim], entries):
        total.narrow(dim, start, entries).copy_(next(parts))
    return total


def _cast(x: Tensor, dtype: torch.dtype) -> Tensor:
    """x in this dtype; a complex x in the complex dtype of this precision."""
    return x.to(dtype.to_complex() if x.is_complex() else dtype)
