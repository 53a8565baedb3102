"""Gram matrices and sums of windows by stretches of rows."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from diagrammar.backends.torch.helpers.convolution import _weight_gradient


def _gram(x: Tensor, block: int) -> Tensor:
    """x @ x.mT, which is symmetric: blocks of rows up to the diagonal, and those mirrored."""
    rows = x.shape[-2]
    out = x.new_empty(*x.shape[:-1], rows)
    for start in range(0, rows, block):
        stop = min(start + block, rows)
        part = x[..., start:stop, :] @ x[..., :stop, :].mT
        out[..., start:stop, :stop] = part
        out[..., :start, start:stop] = part[..., :start].mT
    return out


def _window_sums(
    x: Tensor,
    axis: int,
    size: int,
    stretches: tuple[tuple[int, int, tuple[int, ...]], ...],
    step: int = 1,
) -> Tensor:
    """Sums along an axis over rows: entry k has the stretches (start, stop, those k) with k."""
    found: dict[int, Tensor] = {}
    for start, stop, inside in stretches:
        rows = x[(slice(None),) * axis + (slice(start, stop, step),)]
        part = rows.sum(axis) if stop - start > step else rows.select(axis, 0)
        for k in inside:
            found[k] = found[k] + part if k in found else part
    zero = x.new_zeros(x.shape[:axis] + x.shape[axis + 1 :]) if len(found) < size else x
    return torch.stack([found.get(k, zero) for k in range(size)], axis)


def _window_gram(
    x: Tensor,
    kernel: tuple[int, ...],
    stretches: tuple[tuple[tuple[int, int, tuple[int, ...]], ...], ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int = 1,
    scale: float = 1,
    gradient: Callable[..., Tensor] = _weight_gradient,
) -> Tensor:
    """Gram matrices [g, c, *k, c, *k] of the windows of x [b, g*c, *i].

    The entry of k and l depends on the rows in the windows' column k and on the distance l - k.
    Rows come in stretches (start, stop, those k); the weight gradient of x by rows of itself has
    all distances of a stretch at once. What lies below the diagonal in the longest k is mirrored.
    """
    n, c = len(kernel), x.shape[1] // groups
    half = n - 1 - kernel[::-1].index(max(kernel))  # the longest, the last of some
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    before = [0 if m == half else r for m, r in enumerate(reach)]
    pads = [p for pair in zip(before[::-1], reach[::-1], strict=True) for p in pair]
    padded, every = torch.nn.functional.pad(x, pads), slice(None)

    def product(rows: tuple[slice, ...], near: tuple[slice, ...], taps: tuple[int, ...]) -> Tensor:
        v, data = x[(every, every, *rows)], padded[(every, every, *near)].contiguous()
        v, size = (scale * v).contiguous(), (groups * c, c, *taps)
        return gradient(data, v, size, stride, (0,) * n, dilation, groups)

    sums = _window_products(product, kernel, stretches, stride, dilation, before, half)
    out = x.new_zeros(groups, c, *kernel, c, *kernel)
    for k, part in sums.items():
        block = part.reshape(groups, c, *part.shape[1:])
        at: list[int | slice] = [every, every, *k, every, *(every,) * half, slice(k[half], None)]
        out[tuple(at)] = block
        later = block.narrow(3 + half, 1, block.shape[3 + half] - 1)
        later = later.permute(0, 2, *range(3, n + 3), 1)
        at = [every, every, *(every,) * half, slice(k[half] + 1, None), *(every,) * (n - half), *k]
        out[tuple(at)] = later
    return out


def _window_products(
    product: Callable[..., Tensor],
    kernel: tuple[int, ...],
    stretches: tuple[tuple[tuple[int, int, tuple[int, ...]], ...], ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    before: list[int],
    half: int,
    rows: tuple[slice, ...] = (),
    near: tuple[slice, ...] = (),
    taps: tuple[int, ...] = (),
) -> dict[tuple[int, ...], Tensor]:
    """For each k of the dimensions after these rows, the sum of products of the stretches that
    have it, by distance; the rows of a product's second factor are `near`, its distances `taps`."""
    m = len(rows)
    if m == len(kernel):
        return {(): product(rows, near, taps)}
    found: dict[tuple[int, ...], Tensor] = {}
    for start, stop, inside in stretches[m]:
        low, high = (0 if m == half else -max(inside)), kernel[m] - 1 - min(inside)
        first, end = before[m] + dilation[m] * low, before[m] + dilation[m] * high
        shifted = slice(start + first, stop - stride[m] + 1 + end)
        own = slice(start, stop, stride[m])
        parts = _window_products(
            product,
            kernel,
            stretches,
            stride,
            dilation,
            before,
            half,
            (*rows, own),
            (*near, shifted),
            (*taps, high - low + 1),
        )
        for k in inside:
            first, count = (0, kernel[m] - k) if m == half else (-k - low, kernel[m])
            for rest, part in parts.items():
                at, some = (k, *rest), part.narrow(2 + m, first, count)
                found[at] = found[at] + some if at in found else some
    return found
