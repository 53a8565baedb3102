"""Diagonals of the Hessian, and KFRA: second derivatives carried back through a layer."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from diagrammar.layers.geometry import Ints
from diagrammar.layers.given import check_flag, check_matrix
from diagrammar.layers.layer import Layer
from diagrammar.layers.tensors import conj, positions_summed, squared

if TYPE_CHECKING:
    from torch import Tensor


class Hessian(Layer):
    """Steps of Hessian diagonals (BL89, HesScale) and of KFRA."""

    def hessian_diag_vjp(self, h: Tensor, weight: Tensor, input_size: Ints | None = None) -> Tensor:
        """Carry a diagonal of the Hessian by the output, h [b, c_out, *o], back to the input, Σ
        |∂Y/∂X|² h: [b, c_in, *input_size] (BL89, HesScale)."""
        H, W = self._output("h", h), self._weight("weight", weight)
        size = self._size(input_size, H.shape[2:], self._run.channels(W)[1])
        if self.geometry.meets_once(size):  # the sum over k has one term
            diagonal = self._run("dX", {"W": squared(W), "V": H}, {"V": "h"}, i=size)
        else:
            diagonal = self._run.squares("by_input", {"W": W, "h": H}, {"W": conj(W)}, i=size)
        return self._gathered(diagonal, h)

    def hessian_diag_weight(
        self, x: Tensor, h: Tensor, *, bias: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Carry a diagonal of the Hessian by the output back to the weight, Σ |∂Y/∂W|² h: the
        weight's shape; with `bias` also [c_out]."""
        check_flag("bias", bias)
        X, H = self._input("x", x), self._output("h", h)
        self._aligned("x", x, "h", h)
        diagonal = self._plain(self._run.squares("by_weight", {"X": X, "h": H}, {"X": conj(X)}))
        return (diagonal, positions_summed(H, 2).sum(0)) if bias else diagonal

    def kfra_vjp(self, G: Tensor, weight: Tensor, input_size: Ints) -> Tensor:
        """Carry a Gauss–Newton matrix by the output, G [c_out·∏o, c_out·∏o], back to the input, Jᴴ
        G J: [c_in·∏i, c_in·∏i] (KFRA)."""
        check_matrix("G", G)
        w = self._weight("weight", weight)
        out, into = self._run.channels(w)
        size = self._size(input_size, self._positions_of(G, out), into)
        check_matrix("G", G, out * prod(self._run.output_size(size)))
        return self._run.squares("by_input_pair", {"W": conj(w), "H": G}, {"W": w}, i=size)

    def kfra_factor(
        self, G: Tensor, *, positions: str = "all", channels: int | None = None
    ) -> Tensor:
        """The output's factor of KFRA: Σ over positions o and o′ of G [c_out·∏o, c_out·∏o], or over
        o = o′ with `positions="same"`: [c_out, c_out]. `channels` as in `weight_jacobian`."""
        if positions not in ("all", "same"):
            raise ValueError(f"positions must be 'all' or 'same', not {positions!r}")
        check_matrix("G", G)
        out = self._c_out(channels)
        if len(G) % out:
            raise ValueError(f"G is {len(G)}×{len(G)}, which is no multiple of {out} channels")
        name = "factor" if positions == "all" else "factor_same"
        return self._run(name, {"F": G}, **self._run.factor_sizes(G, out))
