"""Gradients of each example, and the Gauss–Newton matrices that they make."""

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
    """Per-example quantities; Gauss–Newton diagonals, blocks, products and Gram matrices."""

    def batch_grad(self, x: Tensor, v: Tensor, *, bias: bool = False) -> Tensor | Pair:
        """The gradient of ⟨Y, v⟩ by the weight for each example: [b, *weight]; with `bias` also
        [b, c_out]."""
        X, V = self._pair(x, v, bias)
        made = self._plain(self._run("G", {"X": conj(X), "V": V}))
        made = made if self._batched(x) else made.squeeze(0)
        if not bias:
            return made
        sums = positions_summed(V, 2)
        return made, sums if self._batched(x) else sums.squeeze(0)

    def batch_l2(self, x: Tensor, v: Tensor, *, bias: bool = False) -> Tensor:
        """The squared norm of each example's gradient: [b]; with `bias`, that of both together."""
        X, V = self._pair(x, v, bias)
        made = self._squares("l2", X, {"V": V})
        if bias:
            made = made + squared(positions_summed(V, 2)).sum(1)
        return made if self._batched(x) else made.squeeze(0)

    def sum_grad_squared(self, x: Tensor, v: Tensor, *, bias: bool = False) -> Tensor | Pair:
        """Σ g² over examples: the weight's shape; with `bias` also [c_out]."""
        X, V = self._pair(x, v, bias)
        made = self._plain(self._squares("squares", X, {"V": V}))
        return (made, squared(positions_summed(V, 2)).sum(0)) if bias else made

    def grad_variance(self, x: Tensor, v: Tensor, *, bias: bool = False) -> Tensor | Pair:
        """Σ g²/N − (Σ g/N)² over N examples: the weight's shape; with `bias` also [c_out]."""
        X, V = self._pair(x, v, bias)
        made = self._plain(self._squares("variance", X, {"V": V}))
        if not bias:
            return made
        sums, count = positions_summed(V, 2), max(V.shape[0], 1)
        return made, squared(sums).sum(0) / count - squared(sums.sum(0) / count)

    # -- Gauss–Newton and Fisher -------------------------------------------------------------------

    def diag_ggn(self, x: Tensor, S: Tensor, *, bias: bool = False) -> Tensor | Pair:
        """The Gauss–Newton diagonal, Σ g² over vectors and examples: the weight's shape; with
        `bias` also [c_out]."""
        X, stack = self._stacked("x", x, "S", S, bias)
        made = self._plain(self._squares("diagonal", X, {"S": stack}))
        return (made, squared(positions_summed(stack, 3)).sum((0, 1))) if bias else made

    def batch_diag_ggn(self, x: Tensor, S: Tensor, *, bias: bool = False) -> Tensor | Pair:
        """The same for each example: [b, *weight]; with `bias` also [b, c_out]."""
        X, stack = self._stacked("x", x, "S", S, bias)
        made = self._plain(self._squares("diagonal_each", X, {"S": stack}))
        made = made if self._batched(x) else made.squeeze(0)
        if not bias:
            return made
        sums = squared(positions_summed(stack, 3)).sum(0)
        return made, sums if self._batched(x) else sums.squeeze(0)

    def blockdiag_ggn(
        self, x: Tensor, S: Tensor, *, bias: bool = False, per: str = "layer"
    ) -> Tensor:
        """The layer's Gauss–Newton block, Σ g gᴴ: [∏weight, ∏weight]; or with `per="channel"` the
        blocks of its output channels, [c_out, d, d]. With `bias`, joint: the bias last."""
        X, stack = self._stacked("x", x, "S", S, bias)
        if per not in ("layer", "channel"):
            raise ValueError(f"per must be 'layer' or 'channel', not {per!r}")
        made = self._squares("block" if per == "layer" else "channels", X, {"S": stack})
        if not bias:
            return made
        return self._with_bias(made, X, stack, per)

    def _with_bias(self, made: Tensor, X: Tensor, stack: Tensor, per: str) -> Tensor:
        """Blocks bordered by the bias' part: Σ g s̄ and Σ s s̄."""
        from torch import einsum

        sums = positions_summed(stack, 3)
        if per == "channel":
            given = {"X": conj(X), "S": stack, "s": conj(sums)}
            column = self._run("channel_border", given)
            return bordered(made, column, squared(sums).sum((0, 1)))
        g = self._run("G_stack", {"X": conj(X), "S": stack}).flatten(2)
        border = einsum("nbp,nbc->pc", g, conj(sums))
        corner = einsum("nbc,nbd->cd", sums, conj(sums))
        return blocks(made, border, corner)

    def gram(
        self,
        x1: Tensor,
        S1: Tensor,
        x2: Tensor | None = None,
        S2: Tensor | None = None,
        *,
        bias: bool = False,
    ) -> Tensor:
        """Inner products of gradients, the empirical tangent kernel: [n1, b1, n2, b2]; of a batch
        with itself without x2 and S2."""
        X, stack = self._stacked("x1", x1, "S1", S1, bias)
        words = {"X": "x1", "S": "S1"}
        if x2 is None and S2 is None:
            made, other = self._squares("gram", X, {"S": stack}, words), stack
        elif x2 is None or S2 is None:
            raise ValueError("give both x2 and S2, or neither")
        else:
            X_2, other = self._stacked("x2", x2, "S2", S2, bias)
            given = {"X": conj(X), "S": stack, "X_2": X_2, "S_2": conj(other)}
            made = self._run("gram_2", given, words)
        if bias:
            from torch import einsum

            sums, sums_2 = positions_summed(stack, 3), positions_summed(other, 3)
            made = made + einsum("nbc,mac->nbma", sums, conj(sums_2))
        if not self._batched(S1 if S2 is None else S2, 2):
            made = made.squeeze(3)
        return made if self._batched(S1, 2) else made.squeeze(1)

    def ggn_product(self, x: Tensor, S: Tensor, t: Tensor) -> Tensor:
        """The Gauss–Newton block times a weight tangent t, Σ g (gᴴ t): the weight's shape."""
        X, stack = self._stacked("x", x, "S", S)
        return self._plain(self._squares("product", X, {"S": stack}, T_W=self._weight("t", t)))

    def _pair(self, x: Tensor, v: Tensor, bias: bool) -> tuple[Tensor, Tensor]:
        """An input and a cotangent."""
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
        **more: Tensor,
    ) -> Tensor:
        """A definition that multiplies gradients g = Σ s ā by ḡ."""
        first = {"X": conj(X), **vectors, **more}
        second = {"X": X, **{n: conj(v) for n, v in vectors.items()}}
        return self._run.squares(name, first, second, words)
