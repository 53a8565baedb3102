"""Outputs, Jacobians and their products of a layer, and the arrays that they are written with."""

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
    """Forward, Jacobians, VJPs, JVPs; unfolded inputs and kernels."""

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """The layer's output: [b, c_out, *o]."""
        given = {"X": self._input("x", x), "W": self._weight("weight", weight)}
        if bias is None:
            return self._gathered(self._run("Y", given), x)
        check_tensor("bias", bias)
        if bias.ndim != 1:
            raise ValueError(f"bias must have shape [c_out], not {tuple(bias.shape)}")
        return self._gathered(self._run("Y_bias", {**given, "bias": bias}), x)

    def input_vjp(self, v: Tensor, weight: Tensor, input_size: Ints | None = None) -> Tensor:
        """The gradient of ⟨Y, v⟩ by the input: [b, c_in, *input_size].

        `input_size` is an int, the spatial sizes or a whole shape; without it, that of which there
        is only one. Raises ValueError where there are several (stride above 1).
        """
        V, W = self._output("v", v), self._weight("weight", weight)
        size = self._size(input_size, V.shape[2:], self._run.channels(W)[1])
        given = {"W": conj(W), "V": V}
        return self._gathered(self._run("dX", given, i=size), v)

    def weight_vjp(self, x: Tensor, v: Tensor) -> Tensor:
        """The gradient of ⟨Y, v⟩ by the weight: the weight's shape."""
        given = {"X": conj(self._input("x", x)), "V": self._output("v", v)}
        self._aligned("x", x, "v", v)
        return self._plain(self._run("dW", given))

    def bias_vjp(self, v: Tensor) -> Tensor:
        """The gradient of ⟨Y, v⟩ by the bias: [c_out]."""
        return self._run("dbias", {"V": self._output("v", v)})

    def input_jvp(self, t: Tensor, weight: Tensor) -> Tensor:
        """The output's tangent along an input tangent t [b, c_in, *i]: [b, c_out, *o]."""
        given = {"T_X": self._input("t", t), "W": self._weight("weight", weight)}
        return self._gathered(self._run("JX", given), t)

    def weight_jvp(self, x: Tensor, t: Tensor) -> Tensor:
        """The output's tangent along a weight tangent t: [b, c_out, *o]."""
        given = {"X": self._input("x", x), "T_W": self._weight("t", t)}
        return self._gathered(self._run("JW", given), x)

    def input_jacobian(self, weight: Tensor, input_size: Ints) -> Tensor:
        """∂Y/∂X of one example: [c_out, *o, c_in, *i]."""
        weight = self._weight("weight", weight)
        out, into = self._run.channels(weight)
        size = self._size(input_size, (), into)
        made = self._run("toeplitz", {"W": weight}, i=size)
        return made.reshape(out, *self._run.output_size(size), into, *size)

    def weight_jacobian(self, x: Tensor, channels: int | None = None) -> Tensor:
        """∂Y/∂W: [b, c_out, *o, *weight]; of a linear layer [b, *t, c_out, *weight].

        `channels`, c_out, is that of the module in `Conv.of(module)`; raises ValueError where it is
        not known.
        """
        size = self._run.channel_sizes(self._c_out(channels))
        made = self._run("jacobian_W", {"X": self._input("x", x)}, **size)
        return self._by_output(self._plain(made), x)

    # -- structure ---------------------------------------------------------------------------------

    def unfold(self, x: Tensor) -> Tensor:
        """im2col, what each output sees: [b, c_in·∏k, ∏o]."""
        made = self._run("unfolded", {"X": self._input("x", x)})
        return made if self._batched(x) else made.squeeze(0)

    def fold(self, u: Tensor, input_size: Ints | None = None) -> Tensor:
        """col2im, the adjoint of `unfold`: u [b, c_in·∏k, ∏o] back to [b, c_in, *input_size]."""
        size = self._folded_size if input_size is None else input_size
        if size is None:
            raise ValueError("give input_size: the size that was unfolded, spatial or whole")
        rows = self._rows(u)
        channels = rows.shape[1] // self.geometry.taps
        found = self._size(size, rows.shape[2:], channels)
        made = self._run.output_size(found)
        if rows.shape[2] != prod(made):
            raise ValueError(
                f"u has {rows.shape[2]} positions; unfolded inputs of {found} have {prod(made)}"
            )
        folded = self._run("folded", {"R": rows}, i=found)
        return folded if u.ndim == 3 else folded.squeeze(0)

    def _rows(self, u: Tensor) -> Tensor:
        """Rows as [b, c_in·∏k, ∏o]. Raises ValueError for other shapes."""
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
        """`unfold(x)` averaged over positions, never unfolded: [b, c_in·∏k]."""
        made = self._run("averaged", {"X": self._input("x", x)})
        return made if self._batched(x) else made.squeeze(0)

    def toeplitz(self, weight: Tensor, input_size: Ints) -> Tensor:
        """The layer as a matrix: [c_out·∏o, c_in·∏i]."""
        W = self._weight("weight", weight)
        size = self._size(input_size, (), self._run.channels(W)[1])
        return self._run("toeplitz", {"W": W}, i=size)
