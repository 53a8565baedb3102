"""The helper of contractions with patterns in which a zero leaves out what it meets, also a NaN."""

from __future__ import annotations

MASKED = '''
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
'''
