"""Outputs, Jacobians and their products of a layer, and the arrays that they are written with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from diagrammar.layers.geometry import Ints
from diagrammar.layers.layer import Layer
from diagrammar.layers.tensors import conj

if TYPE_CHECKING:
    from torch import Tensor


class FirstOrder(Layer):
    """Forward, Jacobians, VJPs, JVPs; unfolded inputs and kernels."""

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """The layer's output: [b, c_out, *o]."""
        given = {"X": self._spread(x), "W": self._kernel(weight)}
        if bias is None:
            return self._gathered(self._run("Y", given), x)
        return self._gathered(self._run("Y_bias", {**given, "bias": bias}), x)

    def input_vjp(self, v: Tensor, weight: Tensor, input_size: Ints | None = None) -> Tensor:
        """The gradient of ⟨Y, v⟩ by the input: [b, c_in, *input_size].

        `input_size` is an int, the spatial sizes or a whole shape; without it, that of which there
        is only one. Raises ValueError where there are several (stride above 1).
        """
        V = self._spread(v)
        size = self._size(input_size, V.shape[2:])
        given = {"W": conj(self._kernel(weight)), "V": V}
        return self._gathered(self._run("dX", given, i=size), v)

    def weight_vjp(self, x: Tensor, v: Tensor) -> Tensor:
        """The gradient of ⟨Y, v⟩ by the weight: the weight's shape."""
        given = {"X": conj(self._spread(x)), "V": self._spread(v)}
        return self._plain(self._run("dW", given))

    def bias_vjp(self, v: Tensor) -> Tensor:
        """The gradient of ⟨Y, v⟩ by the bias: [c_out]."""
        return self._run("dbias", {"V": self._spread(v)})

    def input_jvp(self, t: Tensor, weight: Tensor) -> Tensor:
        """The output's tangent along an input tangent t [b, c_in, *i]: [b, c_out, *o]."""
        given = {"T_X": self._spread(t), "W": self._kernel(weight)}
        return self._gathered(self._run("JX", given), t)

    def weight_jvp(self, x: Tensor, t: Tensor) -> Tensor:
        """The output's tangent along a weight tangent t: [b, c_out, *o]."""
        given = {"X": self._spread(x), "T_W": self._kernel(t)}
        return self._gathered(self._run("JW", given), x)

    def input_jacobian(self, weight: Tensor, input_size: Ints) -> Tensor:
        """∂Y/∂X of one example: [c_out, *o, c_in, *i]."""
        weight = self._kernel(weight)
        size = self._size(input_size, ())
        made = self._run("toeplitz", {"W": weight}, i=size)
        out, into = self._run.channels(weight)
        return made.reshape(out, *self._run.output_size(size), into, *size)

    def weight_jacobian(self, x: Tensor, channels: int | None = None) -> Tensor:
        """∂Y/∂W: [b, c_out, *o, *weight]. `channels`, c_out, is that of the module in
        `Conv.of(module)`; raises ValueError where it is not known."""
        size = self._run.channel_sizes(self._c_out(channels))
        made = self._run("jacobian_W", {"X": self._spread(x)}, **size)
        return self._gathered(self._plain(made), x)

    # -- structure ---------------------------------------------------------------------------------

    def unfold(self, x: Tensor) -> Tensor:
        """im2col, what each output sees: [b, c_in·∏k, ∏o]."""
        made = self._run("unfolded", {"X": self._spread(x)})
        return made if self._batched(x) else made.squeeze(0)

    def fold(self, u: Tensor, input_size: Ints | None = None) -> Tensor:
        """col2im, the adjoint of `unfold`: u [b, c_in·∏k, ∏o] back to [b, c_in, *input_size]."""
        size = self._folded_size if input_size is None else input_size
        if size is None:
            raise ValueError("give input_size: the size that was unfolded, spatial or whole")
        rows = u if u.ndim == 3 else u.unsqueeze(0)
        made = self._run("folded", {"R": rows}, i=self._size(size, ()))
        return made if u.ndim == 3 else made.squeeze(0)

    def averaged_patches(self, x: Tensor) -> Tensor:
        """`unfold(x)` averaged over positions, never unfolded: [b, c_in·∏k]."""
        made = self._run("averaged", {"X": self._spread(x)})
        return made if self._batched(x) else made.squeeze(0)

    def toeplitz(self, weight: Tensor, input_size: Ints) -> Tensor:
        """The layer as a matrix: [c_out·∏o, c_in·∏i]."""
        given = {"W": self._kernel(weight)}
        return self._run("toeplitz", given, i=self._size(input_size, ()))
