"""A scalar that all layers' outputs depend on: what a backward pass is asked for.

Asked for the gradient by it, autograd visits every layer's output, where hooks wait, and computes
no gradients by parameters, which nobody wants here: a third of a network's time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def new_anchor(like: Tensor) -> Tensor:
    """A zero that requires a gradient, on the device of a tensor."""
    from torch import zeros

    return zeros((), device=like.device, requires_grad=True)


def anchored(output: Tensor, anchor: Tensor) -> Tensor:
    """A layer's output, the same tensor, which now depends on the anchor; its derivative by it is
    zero."""
    made: Tensor = _function().apply(output, anchor)
    return made


@lru_cache(maxsize=1)
def _function() -> Any:
    from torch import zeros
    from torch.autograd import Function

    class Anchored(Function):
        """The first argument. Not as a view, which activations in place may not overwrite."""

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
