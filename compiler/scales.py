"""How libraries split the product A ⊗ B of a layer's Kronecker factors between the two.

A factor of theirs is a factor of ours times a number. With N examples, T positions, V vectors, rows
a and vectors s of the summed loss, ours are

    expand: A = Σ a aᵀ/N, B = Σ s sᵀ/(N·T)      reduce: A = Σ ā āᵀ/N, B = Σ (Σ_o s)(Σ_o s)ᵀ/N
"""

from __future__ import annotations


def factor(
    scale: str, kind: str, side: str, n: int, positions: int, n_data: int | None, vectors: int
) -> float:
    """What a factor at the default scale is multiplied by."""
    if scale == "default":
        return 1
    raise ValueError(f"unknown scale {scale!r}")
