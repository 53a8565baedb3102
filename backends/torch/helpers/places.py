"""Entries put into zeros, picked, and added back."""

from __future__ import annotations

import torch
from torch import Tensor


def _fold(u: Tensor, size: int, stride: int, dilation: int, padding: int) -> Tensor:
    """Windows u[..., o, k] summed into [..., i], where i = stride*o + dilation*k - padding."""
    count, entries = u.shape[-2:]
    reach = stride * (count - 1) + 1
    padded = u.new_zeros(*u.shape[:-2], max(reach + dilation * (entries - 1), padding + size))
    for k in range(entries):
        padded[..., dilation * k : dilation * k + reach : stride] += u[..., k]
    return padded[..., padding : padding + size]


def _place(
    x: Tensor, size: tuple[int, ...], step: tuple[int, ...], start: tuple[int, ...]
) -> Tensor:
    """Zeros with x at every step-th index from start, along each axis."""
    out = x.new_zeros(size)
    at = zip(start, step, x.shape, strict=True)
    out[tuple(slice(a, a + max(s * (n - 1) + 1, 0), s) for a, s, n in at)] = x
    return out


def _pick(x: Tensor, axis: int, runs: tuple[tuple[int, int, int], ...]) -> Tensor:
    """Entries along an axis: for each run, `length` of them from `start` in steps of `step`."""
    parts = []
    for start, length, step in runs:
        if length == 0:
            continue
        first = min(start, start + step * (length - 1))
        part = x.narrow(axis, first, abs(step) * (length - 1) + 1)
        if step == 0:
            part = part.expand(*x.shape[:axis], length, *x.shape[axis + 1 :])
        elif abs(step) > 1:
            part = part.unfold(axis, 1, abs(step)).squeeze(-1)
        parts.append(part.flip(axis) if step < 0 else part)
    return parts[0] if len(parts) == 1 else torch.cat(parts, axis)


def _return(x: Tensor, axis: int, size: int, runs: tuple[tuple[int, int, int], ...]) -> Tensor:
    """The transpose of picking: every entry is added to the one, of `size`, it was picked from."""
    index = torch.cat(
        [start + step * torch.arange(length, device=x.device) for start, length, step in runs]
    )
    zeros = x.new_zeros(*x.shape[:axis], size, *x.shape[axis + 1 :])
    return zeros.index_add(axis, index, x)


def _blocks(grid: list[list[Tensor]], axes: tuple[int, int]) -> Tensor:
    """Tensors of one shape as rows and columns: two new axes, each tensor copied once."""
    first, shape = grid[0][0], list(grid[0][0].shape)
    for axis, size in sorted(zip(axes, (len(grid), len(grid[0])), strict=True)):
        shape.insert(axis, size)
    out = first.new_empty(shape)
    for n, row in enumerate(grid):
        for m, x in enumerate(row):
            at: list[int | slice] = [slice(None)] * len(shape)
            at[axes[0]], at[axes[1]] = n, m
            out[tuple(at)] = x
    return out
