"""Relations as 0/1 tensors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def _indicator(
    sizes: tuple[int, ...],
    holds: Callable[..., Tensor],
    device: torch.device | None = None,
) -> Tensor:
    """The 0/1 tensor of the indices for which `holds` is true."""
    ranges = [torch.arange(size, device=device) for size in sizes]
    return holds(*torch.meshgrid(*ranges, indexing="ij")).float()


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
