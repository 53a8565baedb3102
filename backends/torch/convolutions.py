"""Write the options of torch's convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from diagrammar import program as ops
from diagrammar.backends.torch.lower import same
from diagrammar.program import Dim


def geometry(
    op: ops.Convolution | ops.TransposedConvolution | ops.WeightGradient,
) -> list[tuple[str, Sequence[Dim], int]]:
    """List the options of a convolution: keyword, values and default."""
    return [("stride", op.stride, 1), ("padding", op.padding, 0), ("dilation", op.dilation, 1)]


def one_tap(op: ops.Convolution, weight: Sequence[Dim]) -> bool:
    """Whether the kernel has size one, the stride is one and there is no padding."""
    taps, steps = weight[2:], op.stride
    return same((*taps, *steps), [1] * 2 * len(steps)) and same(op.padding, [0] * len(steps))


def dimensions(op: ops.Convolution | ops.TransposedConvolution | ops.WeightGradient) -> int:
    """Count the spatial dimensions. Raises ValueError unless torch has such a convolution."""
    if len(op.stride) not in (1, 2, 3):
        raise ValueError(f"torch convolves in 1, 2 or 3 dimensions, not {len(op.stride)}")
    return len(op.stride)
