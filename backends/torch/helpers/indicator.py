"""Relations as 0/1 tensors, and what keeps a NaN or infinity out of sums without it: contractions
in which a zero leaves out what it meets, and marks of where a product has one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def _indicator(
    sizes: tuple[int, ...], holds: Callable[..., Tensor], like: Tensor | None = None
) -> Tensor:
    """The 0/1 tensor of the indices for which `holds` is true, in the dtype and on the device of
    `like`. It is made a few rows at a time, since indices take more memory than entries."""
    out = torch.empty(sizes) if like is None else like.new_empty(sizes)
    first, *others = (
        torch.arange(size, device=out.device).view(-1, *(1,) * (len(sizes) - n - 1))
        for n, size in enumerate(sizes)
    )
    rows = max(2**16 // max(out[:1].numel(), 1), 1)
    for start in range(0, sizes[0], rows):
        out[start : start + rows] = holds(first[start : start + rows], *others)
    return out


def _masked(equation: str, pattern: Tensor, x: Tensor) -> Tensor:
    """The contraction of a pattern with x, where zeros leave out what they meet, also NaN."""
    if not (x.is_floating_point() or x.is_complex()):
        return torch.einsum(equation, pattern, x)
    finite = x.isfinite()
    total = torch.einsum(equation, pattern, torch.where(finite, x, 0))
    if x.is_complex():
        met = torch.einsum(equation, pattern, (~finite).to(x.dtype)).real > 0
        return torch.where(met, torch.nan, total)
    up, down = (
        torch.einsum(equation, pattern, (~finite & ~away).to(x.dtype)) > 0
        for away in (x < 0, x > 0)
    )
    return total + torch.where(up, torch.inf, 0.0) + torch.where(down, -torch.inf, 0.0)


def _not_finite(x: Tensor) -> Tensor:
    """Ones where x is NaN or infinite, zeros elsewhere."""
    return (~x.isfinite()).to(x.dtype)


def _present(counts: Tensor) -> Tensor:
    """Ones where there are terms, zeros elsewhere."""
    return ((counts.real if counts.is_complex() else counts) > 0.5).to(counts.dtype)


def _spoiled(x: Tensor, counts: Tensor) -> Tensor:
    """x, with NaN where the sum has terms that are not finite."""
    if not (x.is_floating_point() or x.is_complex()):
        return x
    counts = counts.real if counts.is_complex() else counts
    return torch.where(counts > 0.5, torch.nan, x)
