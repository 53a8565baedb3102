"""Operations on tensors that layers' methods share. Torch is imported when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def conj(x: Tensor) -> Tensor:
    """The conjugate x̄; a real x itself."""
    return x.conj() if x.is_complex() else x


def squared(x: Tensor) -> Tensor:
    """The square |x|², in x's dtype."""
    return x * x.conj() if x.is_complex() else x * x


def positions_summed(x: Tensor, lead: int) -> Tensor:
    """Sum over all axes from `lead` on."""
    return x.flatten(lead).sum(-1)


def bordered(
    matrix: Tensor, column: Tensor, corner: Tensor | float, count: int | None = None
) -> Tensor:
    """Border matrices: [[M, m], [mᴴ, corner]] of [..., d, d], [..., d] and [...]. A number as
    `corner` is zero without examples."""
    from torch import Tensor, cat

    if not isinstance(corner, Tensor):
        corner = matrix.new_full(column.shape[:-1], corner if count else 0)
    above = cat([matrix, column.unsqueeze(-1)], -1)
    below = cat([conj(column), corner.unsqueeze(-1)], -1)
    return cat([above, below.unsqueeze(-2)], -2)


def blocks(matrix: Tensor, border: Tensor, corner: Tensor) -> Tensor:
    """Put blocks together: [[M, m], [mᴴ, corner]] of matrices."""
    from torch import cat

    return cat([cat([matrix, border], 1), cat([conj(border).T, corner], 1)])
