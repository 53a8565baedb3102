"""A layer's outputs, Jacobians and their products, and unfolded inputs."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from diagrammar.layers.geometry import Ints
from diagrammar.layers.given import check_channels, check_tensor
from diagrammar.layers.layer import Layer
from diagrammar.layers.tensors import conj

if TYPE_CHECKING:
    from torch import Tensor


class FirstOrder(Layer):
    """Outputs, Jacobians, VJPs and JVPs; unfolded inputs and kernels."""

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """The layer's output: [b, c_out, *o]."""
        operands = {"X": self._input("x", x), "W": self._weight("weight", weight)}
        if bias is None:
            return self._gathered(self._run("Y", operands), x)
        check_tensor("bias", bias)
        if bias.ndim != 1:
            raise ValueError(f"bias must have shape [c_out], not {tuple(bias.shape)}")
        return self._gathered(self._run("Y_bias", {**operands, "bias": bias}), x)

    def input_vjp(self, v: Tensor, weight: Tensor, input_size: Ints | None = None) -> Tensor:
        """The gradient of ⟨Y, v⟩ by the input: [b, c_in, *input_size].

        `input_size` is an int, the spatial sizes or a whole shape; it may be left out where only
        one size fits. Raises ValueError where several fit (stride above 1).
        """
        V, W = self._output("v", v), self._weight("weight", weight)
        size = self._size(input_size, V.shape[2:], self._run.channels(W)[1])
        operands = {"W": conj(W), "V": V}
        return self._gathered(self._run("dX", operands, i=size), v)

    def weight_vjp(self, x: Tensor, v: Tensor) -> Tensor:
        """The gradient of ⟨Y, v⟩ by the weight: the weight's shape."""
        operands = {"X": conj(self._input("x", x)), "V": self._output("v", v)}
        self._aligned("x", x, "v", v)
        return self._plain(self._run("dW", operands))

    def bias_vjp(self, v: Tensor) -> Tensor:
        """The gradient of ⟨Y, v⟩ by the bias: [c_out]."""
        return self._run("dbias", {"V": self._output("v", v)})

    def input_jvp(self, t: Tensor, weight: Tensor) -> Tensor:
        """The output's tangent along an input tangent t [b, c_in, *i]: [b, c_out, *o]."""
        operands = {"T_X": self._input("t", t), "W": self._weight("weight", weight)}
        return self._gathered(self._run("JX", operands), t)

    def weight_jvp(self, x: Tensor, t: Tensor) -> Tensor:
        """The output's tangent along a weight tangent t: [b, c_out, *o]."""
        operands = {"X": self._input("x", x), "T_W": self._weight("t", t)}
        return self._gathered(self._run("JW", operands), x)

    def input_jacobian(self, weight: Tensor, input_size: Ints) -> Tensor:
        """∂Y/∂X of one example: [c_out, *o, c_in, *i]."""
        weight = self._weight("weight", weight)
        out, into = self._run.channels(weight)
        size = self._size(input_size, (), into)
        matrix = self._run("toeplitz", {"W": weight}, i=size)
        return matrix.reshape(out, *self._run.output_size(size), into, *size)

    def weight_jacobian(self, x: Tensor, channels: int | None = None) -> Tensor:
        """∂Y/∂W: [b, c_out, *o, *weight]; of a linear layer [b, *t, c_out, *weight].

        `channels` is c_out, which `Conv.of(module)` knows; raises ValueError where it is not known.
        """
        size = self._run.channel_sizes(self._c_out(channels))
        jacobian = self._run("jacobian_W", {"X": self._input("x", x)}, **size)
        return self._by_output(self._plain(jacobian), x)

    # -- structure ---------------------------------------------------------------------------------

    def unfold(self, x: Tensor) -> Tensor:
        """im2col, the inputs that each output sees: [b, c_in·∏k, ∏o]."""
        return self._by_example(self._run("unfolded", {"X": self._input("x", x)}), x)

    def fold(self, u: Tensor, input_size: Ints | None = None) -> Tensor:
        """col2im, the adjoint of `unfold`: u [b, c_in·∏k, ∏o] back to [b, c_in, *input_size]."""
        wanted = self._folded_size if input_size is None else input_size
        if wanted is None:
            raise ValueError("give input_size: the size that was unfolded, spatial or whole")
        rows = self._rows(u)
        channels = rows.shape[1] // self.geometry.taps
        spatial = self._size(wanted, rows.shape[2:], channels)
        output = self._run.output_size(spatial)
        if rows.shape[2] != prod(output):
            raise ValueError(
                f"u has {rows.shape[2]} positions; unfolded inputs of {spatial} have {prod(output)}"
            )
        folded = self._run("folded", {"R": rows}, i=spatial)
        return folded if u.ndim == 3 else folded.squeeze(0)

    def _rows(self, u: Tensor) -> Tensor:
        """Check rows and add the axis b: [b, c_in·∏k, ∏o]. Raises ValueError for other shapes."""
        check_tensor("u", u)
        taps = self.geometry.taps
        if u.ndim not in (2, 3) or u.shape[-2] % taps:
            raise ValueError(
                f"u of shape {tuple(u.shape)} is not [b, c_in·{taps}, ∏o], with {taps} kernel "
                "entries, or without b"
            )
        rows = u if u.ndim == 3 else u.unsqueeze(0)
        known, groups = self._inputs, self.geometry.groups
        check_channels("u", rows.shape[1] // taps, known, groups, "in")
        return rows

    def averaged_patches(self, x: Tensor) -> Tensor:
        """`unfold(x)` averaged over positions, computed without unfolding: [b, c_in·∏k]."""
        return self._by_example(self._run("averaged", {"X": self._input("x", x)}), x)

    def toeplitz(self, weight: Tensor, input_size: Ints) -> Tensor:
        """The layer as a matrix: [c_out·∏o, c_in·∏i]."""
        W = self._weight("weight", weight)
        size = self._size(input_size, (), self._run.channels(W)[1])
        return self._run("toeplitz", {"W": W}, i=size)
