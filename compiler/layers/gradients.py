"""Gradients of each example, and the Gauss–Newton matrices that are sums of their products."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from diagrammar.layers.given import check_flag
from diagrammar.layers.layer import Layer
from diagrammar.layers.tensors import blocks, bordered, conj, positions_summed, squared

if TYPE_CHECKING:
    from torch import Tensor

Pair = tuple["Tensor", "Tensor"]


class Gradients(Layer):
    """Quantities of each example's gradient; Gauss–Newton diagonals, blocks, products, Gram
    matrices."""

    def batch_grad(self, x: Tensor, v: Tensor, *, bias: bool = False) -> Tensor | Pair:
        """The gradient of ⟨Y, v⟩ by the weight for each example: [b, *weight]; with `bias` also
        [b, c_out]."""
        X, V = self._pair(x, v, bias)
        gradients = self._by_example(self._plain(self._run("G", {"X": conj(X), "V": V})), x)
        return (gradients, self._by_example(positions_summed(V, 2), x)) if bias else gradients

    def batch_l2(self, x: Tensor, v: Tensor, *, bias: bool = False) -> Tensor:
        """The squared norm of each example's gradient: [b]; with `bias`, of weight and bias
        together."""
        X, V = self._pair(x, v, bias)
        norms = self._squares("l2", X, {"V": V})
        if bias:
            norms = norms + squared(positions_summed(V, 2)).sum(1)
        return self._by_example(norms, x)

    def sum_grad_squared(self, x: Tensor, v: Tensor, *, bias: bool = False) -> Tensor | Pair:
        """Σ g² over examples: the weight's shape; with `bias` also [c_out]."""
        X, V = self._pair(x, v, bias)
        squares = self._plain(self._squares("squares", X, {"V": V}))
        return (squares, squared(positions_summed(V, 2)).sum(0)) if bias else squares

    def grad_variance(self, x: Tensor, v: Tensor, *, bias: bool = False) -> Tensor | Pair:
        """Σ g²/N − (Σ g/N)² over N examples: the weight's shape; with `bias` also [c_out]."""
        X, V = self._pair(x, v, bias)
        variance = self._plain(self._squares("variance", X, {"V": V}))
        if not bias:
            return variance
        sums, count = positions_summed(V, 2), max(V.shape[0], 1)
        return variance, squared(sums).sum(0) / count - squared(sums.sum(0) / count)

    # -- Gauss–Newton and Fisher -------------------------------------------------------------------

    def diag_ggn(self, x: Tensor, S: Tensor, *, bias: bool = False) -> Tensor | Pair:
        """The Gauss–Newton diagonal, Σ g² over vectors and examples: the weight's shape; with
        `bias` also [c_out]."""
        X, stack = self._stacked("x", x, "S", S, bias)
        diagonal = self._plain(self._squares("diagonal", X, {"S": stack}))
        return (diagonal, squared(positions_summed(stack, 3)).sum((0, 1))) if bias else diagonal

    def batch_diag_ggn(self, x: Tensor, S: Tensor, *, bias: bool = False) -> Tensor | Pair:
        """The Gauss–Newton diagonal of each example, Σ g² over vectors: [b, *weight]; with `bias`
        also [b, c_out]."""
        X, stack = self._stacked("x", x, "S", S, bias)
        diagonals = self._by_example(
            self._plain(self._squares("diagonal_each", X, {"S": stack})), x
        )
        if not bias:
            return diagonals
        return diagonals, self._by_example(squared(positions_summed(stack, 3)).sum(0), x)

    def blockdiag_ggn(
        self, x: Tensor, S: Tensor, *, bias: bool = False, per: str = "layer"
    ) -> Tensor:
        """The layer's Gauss–Newton block, Σ g gᴴ: [∏weight, ∏weight]; or with `per="channel"` the
        blocks of its output channels: [c_out, d, d]. With `bias` blocks are joint, the bias
        last."""
        X, stack = self._stacked("x", x, "S", S, bias)
        if per not in ("layer", "channel"):
            raise ValueError(f"per must be 'layer' or 'channel', not {per!r}")
        matrices = self._squares("block" if per == "layer" else "channels", X, {"S": stack})
        if not bias:
            return matrices
        return self._with_bias(matrices, X, stack, per)

    def _with_bias(self, matrices: Tensor, X: Tensor, stack: Tensor, per: str) -> Tensor:
        """Border blocks with the parts of the bias, Σ g s̄ and Σ s s̄."""
        from torch import einsum

        sums = positions_summed(stack, 3)
        if per == "channel":
            operands = {"X": conj(X), "S": stack, "s": conj(sums)}
            column = self._run("channel_border", operands)
            return bordered(matrices, column, squared(sums).sum((0, 1)))
        g = self._run("G_stack", {"X": conj(X), "S": stack}).flatten(2)
        border = einsum("nbp,nbc->pc", g, conj(sums))
        corner = einsum("nbc,nbd->cd", sums, conj(sums))
        return blocks(matrices, border, corner)

    def gram(
        self,
        x1: Tensor,
        S1: Tensor,
        x2: Tensor | None = None,
        S2: Tensor | None = None,
        *,
        bias: bool = False,
    ) -> Tensor:
        """Inner products of gradients, the empirical tangent kernel: [n1, b1, n2, b2]. Without x2
        and S2 the batch is compared with itself."""
        X, stack = self._stacked("x1", x1, "S1", S1, bias)
        words = {"X": "x1", "S": "S1"}
        if x2 is None and S2 is None:
            products, other = self._squares("gram", X, {"S": stack}, words), stack
        elif x2 is None or S2 is None:
            raise ValueError("give both x2 and S2, or neither")
        else:
            X_2, other = self._stacked("x2", x2, "S2", S2, bias)
            operands = {"X": conj(X), "S": stack, "X_2": X_2, "S_2": conj(other)}
            products = self._run("gram_2", operands, words)
        if bias:
            from torch import einsum

            sums, sums_2 = positions_summed(stack, 3), positions_summed(other, 3)
            products = products + einsum("nbc,mac->nbma", sums, conj(sums_2))
        if not self._batched(S1 if S2 is None else S2, 2):
            products = products.squeeze(3)
        return products if self._batched(S1, 2) else products.squeeze(1)

    def ggn_product(self, x: Tensor, S: Tensor, t: Tensor) -> Tensor:
        """The Gauss–Newton block times a weight tangent t, Σ g (gᴴ t): the weight's shape."""
        X, stack = self._stacked("x", x, "S", S)
        return self._plain(self._squares("product", X, {"S": stack}, T_W=self._weight("t", t)))

    def _pair(self, x: Tensor, v: Tensor, bias: bool) -> tuple[Tensor, Tensor]:
        """Check an input and a cotangent."""
        check_flag("bias", bias)
        X, V = self._input("x", x), self._output("v", v)
        self._aligned("x", x, "v", v)
        return X, V

    def _squares(
        self,
        name: str,
        X: Tensor,
        vectors: Mapping[str, Tensor],
        words: Mapping[str, str] | None = None,
        **others: Tensor,
    ) -> Tensor:
        """Run a definition that multiplies gradients g = Σ s ā by ḡ."""
        first = {"X": conj(X), **vectors, **others}
        second = {"X": X, **{n: conj(v) for n, v in vectors.items()}}
        return self._run.squares(name, first, second, words)
