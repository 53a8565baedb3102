"""A scalar that all layers' outputs depend on, which backward passes differentiate by.

For its gradient, autograd visits every layer's output, where hooks wait, but computes no gradients
by parameters. Nobody needs these here, and they take a third of a network's time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def new_anchor(like: Tensor) -> Tensor:
    """Make a zero that requires a gradient, on the device of a tensor."""
    from torch import zeros

    return zeros((), device=like.device, requires_grad=True)


def anchored(output: Tensor, anchor: Tensor) -> Tensor:
    """Make a layer's output, the same tensor, depend on the anchor, with derivative zero."""
    result: Tensor = _function().apply(output, anchor)
    return result


@lru_cache(maxsize=1)
def _function() -> Any:
    """The function of autograd, made once torch is imported."""

    from torch import zeros
    from torch.autograd import Function

    class Anchored(Function):
        """The first argument, but never as a view: activations in place may not overwrite views."""

        @staticmethod
        def forward(ctx: Any, output: Tensor, anchor: Tensor) -> Tensor:
            if output._is_view():
                return output.clone()
            ctx.mark_dirty(output)
            return output

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
            return grad, zeros((), device=grad.device)

    return Anchored
