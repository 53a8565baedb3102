"""Convolutions and linear layers: `Conv(kernel_size, …)`, or `Conv.of(module)`.

    conv = dg.layers.Conv.of(torch.nn.Conv2d(64, 64, 3, padding="same", padding_mode="circular"))
    A, B = conv.kfac_expand(x), conv.kfac_expand_grad(S)

A method chooses a definition of `library/*.tn`, compiles it for the layer's hyper-parameters and
calls it. Shapes, by wires: x [b, c_in, *i], weight [c_out, c_in/g, *k] (transposed: [c_in, c_out/g,
*k]), a cotangent v [b, c_out, *o], a stack of cotangents S [n, b, c_out, *o]. Rows have d =
c_in/g·∏k entries in the order (c_in/g, *k), and one more at the end where a bias is joint. All
operands may come unbatched, without b; results with b in their shape then come without it, too.
Methods are pure, and autograd differentiates them. For complex operands, gradients are PyTorch's,
with x and weight conjugated; squares are |·|², factors a aᴴ.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from diagrammar.layers.first_order import FirstOrder
from diagrammar.layers.geometry import Ints, positions_of
from diagrammar.layers.given import check_tensor, integers
from diagrammar.layers.gradients import Gradients
from diagrammar.layers.hessian import Hessian
from diagrammar.layers.kronecker import Kronecker
from diagrammar.layers.modules import arguments

if TYPE_CHECKING:
    from torch import Tensor, nn


class Conv(FirstOrder, Kronecker, Gradients, Hessian):
    """A convolution, or transposed convolution, in any number of dimensions, and its operations.

    It takes the arguments of torch.nn's layers; a tuple runs over dimensions, and a pair inside
    `padding` is (left, right). The number of dimensions is the length of `kernel_size`, or `dims`
    where that is an int. The compiler takes `plan` (how plans are chosen), `memory` (the most bytes
    a call may allocate, "2GiB"), `accumulate` (the dtype to compute in, "float32" for bfloat16
    operands) and `nonfinite` (whether a NaN or infinity stays "contained" in the sums that have it,
    or may "spread" for speed). Raises ValueError for hyper-parameters that no layer can have.
    """

    @staticmethod
    def of(module: nn.Module, **options: Any) -> Conv:
        """The layer of a torch.nn.Conv1d/2d/3d, ConvTranspose1d/2d/3d, Unfold, Fold or Linear.

        A linear layer is a convolution without spatial dimensions; positions that share its weight,
        x [b, *t, c_in], take their place, and channels stay last. `options` are `plan`, `memory`,
        `accumulate` and `nonfinite`. Raises TypeError for other modules.
        """
        parameters, about = arguments(module)
        layer = (Linear if about.linear else Conv)(**parameters, **options)
        layer._channels, layer._inputs = about.channels, about.inputs
        layer._folded_size = about.folded_size
        return layer


class Linear(Conv):
    """A linear layer as a pointwise convolution over positions: x [b, *t, c_in], y [b, *t, c_out].

    It has the methods of `Conv`, with channels last; without positions x is [b, c_in], unbatched
    [c_in]. An `input_size` is the number of positions, their axes, or a whole shape, x.shape.
    """

    def _batched(self, x: Tensor, lead: int = 1) -> bool:
        return x.ndim > lead

    @staticmethod
    def of(module: nn.Module, **options: Any) -> Conv:
        """The layer of a torch.nn.Linear. Raises TypeError for other modules."""
        if not arguments(module)[1].linear:
            raise TypeError(f"Linear.of takes a torch.nn.Linear, not {type(module).__name__}")
        return Conv.of(module, **options)

    def _spread(self, name: str, x: Tensor, lead: int = 1) -> Tensor:
        """Lay [*lead, *t, c] out as [*lead, c, ∏t]. Raises ValueError for too few axes."""
        check_tensor(name, x)
        if x.ndim < lead:
            axes = ["b, *t, c", "n, b, *t, c"][lead - 1]
            raise ValueError(f"{name} of shape {tuple(x.shape)} has too few axes for [{axes}]")
        if x.ndim == lead:
            return x.unsqueeze(lead - 1).unsqueeze(-1)
        positions = prod(x.shape[lead:-1])
        return x.reshape(*x.shape[:lead], positions, x.shape[-1]).movedim(-1, -2)

    def _gathered(self, y: Tensor, like: Tensor, lead: int = 1) -> Tensor:
        channels_last = y.movedim(-2, -1)
        return channels_last.reshape(*like.shape[:-1], y.shape[-2])

    def _aligned(self, first: str, x: Tensor, second: str, v: Tensor, lead: int = 1) -> None:
        """Raise ValueError where input and output differ in their positions."""
        if not self._batched(x) or not self._batched(v, lead):
            return
        ours, theirs = tuple(x.shape[1:-1]), tuple(v.shape[lead:-1])
        if ours != theirs:
            raise ValueError(
                f"{second} has positions {theirs}, between examples and channels, {first} {ours}"
            )

    def _size(
        self, size: Ints | None, output: Sequence[int], channels: int | None
    ) -> tuple[int, ...]:
        known = channels if self._inputs is None else self._inputs
        return (positions_of(size, output[0] if output else None, known),)

    def _by_output(self, jacobian: Tensor, like: Tensor) -> Tensor:
        channels_last = jacobian.movedim(1, 2)
        return channels_last.reshape(*like.shape[:-1], *channels_last.shape[2:])

    def _positions_of(self, G: Tensor, channels: int) -> tuple[int, ...]:
        return (len(G) // channels,)

    def output_size(self, size: Ints) -> tuple[int, ...]:
        """The number of output positions, as many as input positions: `size` is an int, or several
        axes."""
        return (prod(integers("size", size)),)

    def _kernel(self, name: str, weight: Tensor) -> Tensor:
        if weight.ndim != 2:
            raise ValueError(
                f"{name} has shape {tuple(weight.shape)}; that of a linear layer is [c_out, c_in]"
            )
        return weight.unsqueeze(-1)

    def _plain(self, weights: Tensor) -> Tensor:
        return weights.squeeze(-1)
