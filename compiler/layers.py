"""The shipped operations on layers: `Conv(kernel_size, …)`, or `Conv.of(module)`.

    conv = dg.layers.Conv.of(torch.nn.Conv2d(64, 64, 3, padding="same", padding_mode="circular"))
    A, B = conv.kfac_expand(x), conv.kfac_expand_grad(S)

Thin: a method chooses a definition of `library/*.tn`, compiles it for the layer's hyper-parameters
and calls it. Shapes, by wires: x [b, c_in, *i], weight [c_out, c_in/g, *k] (transposed: [c_in,
c_out/g, *k]), a cotangent v [b, c_out, *o], a stack of them S [n, b, c_out, *o]; d = c_in/g·∏k in
the order (c_in/g, *k), plus one, last, where a bias is joint. All may come unbatched, without b;
what has b in its shape then comes without it, too. Methods are pure, and right under autograd.
Complex: gradients are PyTorch's, with x and weight conjugated; squares are |·|², factors a aᴴ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from diagrammar.geometry import Geometry, Ints, Padding
from diagrammar.layer_modules import arguments
from diagrammar.layer_operations import Compiled, Operations
from diagrammar.scales import Sizes, input_scale, output_scale, scale_of

if TYPE_CHECKING:
    from torch import Tensor, nn

Pair = tuple["Tensor", "Tensor"]


class Conv:
    """A convolution, or transposed convolution, in any number of dimensions, and what can be
    computed of it.

    Arguments are those of torch.nn's layers; a tuple runs over dimensions, and a pair inside
    `padding` is (left, right). The number of dimensions is that of a tuple `kernel_size`, or
    `dims`. `plan`, `memory` and `accumulate` are the compiler's: how plans are chosen, the most
    bytes a call may allocate ("2GiB"), the dtype to compute in ("float32" for bfloat16 operands).
    Raises ValueError for hyper-parameters that no layer can have.
    """

    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Padding = 0,
        dilation: Ints = 1,
        groups: int = 1,
        padding_mode: str = "zeros",
        transposed: bool = False,
        output_padding: Ints = 0,
        dims: int | None = None,
        plan: str = "cost",
        memory: int | str | None = None,
        accumulate: str | None = None,
    ) -> None:
        self.geometry = Geometry.of(
            kernel_size, stride, padding, dilation, groups, padding_mode, transposed,
            output_padding, dims,
        )  # fmt: skip
        options: dict[str, Any] = {"memory": memory, "accumulate": accumulate}
        if plan != "cost":
            options["plan"] = plan
        self._run = Operations(self.geometry, options)
        self._channels: int | None = None
        self._folded_size: tuple[int, ...] | None = None

    @staticmethod
    def of(module: nn.Module, **options: Any) -> Conv:
        """The layer of a torch.nn.Conv1d/2d/3d, ConvTranspose1d/2d/3d, Unfold, Fold or Linear.

        A linear layer is a convolution without spatial dimensions; positions that share its weight,
        x [b, *t, c_in], take their place, and channels stay last. `options` are `plan`, `memory`
        and `accumulate`. Raises TypeError for other modules.
        """
        given, about = arguments(module)
        layer = (Linear if about.linear else Conv)(**given, **options)
        layer._channels, layer._folded_size = about.channels, about.folded_size
        return layer

    def __repr__(self) -> str:
        g = self.geometry
        kind = "transposed, " if g.transposed else ""
        return f"<{type(self).__name__} {kind}kernel {g.kernel_size}, stride {g.stride}>"

    # -- layouts: what a linear layer does in another way ------------------------------------------

    def _spread(self, x: Tensor, lead: int = 1) -> Tensor:
        """An input or output with `lead` axes before the channels, as [lead, c, *positions]."""
        dims = self.geometry.dims
        if x.ndim == dims + lead:
            return x.unsqueeze(lead - 1)
        if x.ndim == dims + lead + 1:
            return x
        axes = ["b", "n, b", ""][lead - 1]
        raise ValueError(
            f"an operand of shape {tuple(x.shape)} has {x.ndim} axes, not {dims + lead + 1} "
            f"([{axes}, c, *{dims} spatial]), or one less unbatched"
        )

    def _batched(self, x: Tensor, lead: int = 1) -> bool:
        return x.ndim == self.geometry.dims + lead + 1

    def _gathered(self, y: Tensor, like: Tensor, lead: int = 1) -> Tensor:
        """[…, b, c, *positions] in the layout of an operand `like`."""
        return y if self._batched(like, lead) else y.squeeze(lead - 1)

    def _size(self, size: Ints | None, output: Sequence[int]) -> tuple[int, ...]:
        return self.geometry.input_size(size, output)

    def _kernel(self, weight: Tensor) -> Tensor:
        """A weight with its kernel axes."""
        return weight

    def _plain(self, weights: Tensor) -> Tensor:
        """Weight-shaped results in the weight's own shape."""
        return weights

    # -- first order -------------------------------------------------------------------------------

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
        given = {"W": _conj(self._kernel(weight)), "V": V}
        return self._gathered(self._run("dX", given, i=size), v)

    def weight_vjp(self, x: Tensor, v: Tensor) -> Tensor:
        """The gradient of ⟨Y, v⟩ by the weight: the weight's shape."""
        given = {"X": _conj(self._spread(x)), "V": self._spread(v)}
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

    # -- Kronecker factors -------------------------------------------------------------------------

    def kfac_expand(
        self,
        x: Tensor,
        *,
        bias: bool = False,
        groups: str = "exact",
        scale: str = "default",
        n_data: int | None = None,
        vectors: int = 1,
    ) -> Tensor:
        """KFAC-expand (KFC), the input's factor: Σ over b and positions of a aᴴ, over b.

        [g, d, d], or [d, d] with `groups="average_rows"` (rows averaged over groups, as curvlinops
        does). With `bias`, rows end with a one. `scale` names a library whose pair of factors is
        wanted, `n_data` the data set's size and `vectors` the number of vectors where it uses them.
        """
        return self._input_factor("expand", x, bias, groups, scale, n_data, vectors)

    def kfac_reduce(
        self,
        x: Tensor,
        *,
        bias: bool = False,
        groups: str = "exact",
        scale: str = "default",
        n_data: int | None = None,
        vectors: int = 1,
    ) -> Tensor:
        """KFAC-reduce, the input's factor: Σ over b of ā āᴴ, over b, of rows averaged over
        positions; shapes and options as for `kfac_expand`."""
        return self._input_factor("reduce", x, bias, groups, scale, n_data, vectors)

    def kfac_expand_grad(
        self,
        S: Tensor,
        *,
        bias: bool = False,
        groups: str = "exact",
        scale: str = "default",
        n_data: int | None = None,
    ) -> Tensor:
        """KFAC-expand, the output's factor: Σ over n, b and positions of s sᴴ, over b·∏o.

        [g, c_out/g, c_out/g], or [c_out, c_out] with `groups="average_rows"`. `bias` makes no
        difference.
        """
        return self._output_factor("expand", S, groups, scale, n_data)

    def kfac_reduce_grad(
        self,
        S: Tensor,
        *,
        bias: bool = False,
        groups: str = "exact",
        scale: str = "default",
        n_data: int | None = None,
    ) -> Tensor:
        """KFAC-reduce, the output's factor: Σ over n and b of (Σ_o s)(Σ_o s)ᴴ, over b; shapes and
        options as for `kfac_expand_grad`."""
        return self._output_factor("reduce", S, groups, scale, n_data)

    def _input_factor(
        self,
        kind: str,
        x: Tensor,
        bias: bool,
        groups: str,
        scale: str,
        n_data: int | None,
        vectors: int,
    ) -> Tensor:
        X = self._spread(x)
        mean = "_mean" if _averaged(groups) else ""
        made = self._run.squares(f"A_{kind}{mean}", {"X": X}, {"X": _conj(X)})
        positions = self._run.positions(X)
        if bias:
            column = self._run(f"a_{kind}{mean}", {"X": X})
            made = _bordered(made, column, positions if kind == "expand" else 1, len(X))
        sizes = Sizes(len(X), positions, _given(n_data, len(X)), vectors, kind == "reduce")
        return _times(made, input_scale(scale, kind, sizes))

    def _output_factor(
        self, kind: str, S: Tensor, groups: str, scale: str, n_data: int | None
    ) -> Tensor:
        stack = self._spread(S, 2)
        summed = kind == "reduce" or scale_of(scale, kind).sums
        one = _averaged(groups)
        made = self._run.squares(
            "B_reduce" if summed else "B_expand", {"S": stack}, {"S": _conj(stack)},
            groups=1 if one else None,
        )  # fmt: skip
        v, n, positions = len(stack), stack.shape[1], prod(stack.shape[3:])
        sizes = Sizes(n, positions, _given(n_data, n), v, kind == "reduce")
        made = _times(made, output_scale(scale, kind, sizes))
        return made[0] if one else made

    def ekfac_diag(self, x: Tensor, S: Tensor, Q_A: Tensor, Q_B: Tensor) -> Tensor:
        """EKFAC's diagonal, in the basis of the factors' eigenvectors: Σ over n and b of
        |Q_Bᴴ (Σ_o s aᴴ) Q_A|², positions summed before squaring: [g, c_out/g, d].

        Q_A [g, d, d] and Q_B [g, c_out/g, c_out/g] have eigenvectors as columns; a Q_A of size
        d + 1 is that of a joint bias.
        """
        X, stack = self._spread(x), self._spread(S, 2)
        rows = X.shape[1] // self.geometry.groups * self.geometry.taps
        given = {"X": _conj(X), "S": stack, "Q_A": Q_A[:, :rows], "Q_B": _conj(Q_B)}
        if Q_A.shape[1] == rows:
            rotated = self._run("rotated", given)
        else:
            rotated = self._run("rotated_joint", {**given, "q_A": Q_A[:, rows]})
        return _squared(rotated).sum((0, 1))

    # -- per example -------------------------------------------------------------------------------

    def batch_grad(self, x: Tensor, v: Tensor, *, bias: bool = False) -> Tensor | Pair:
        """The gradient of ⟨Y, v⟩ by the weight for each example: [b, *weight]; with `bias` also
        [b, c_out]."""
        V = self._spread(v)
        made = self._plain(self._run("G", {"X": _conj(self._spread(x)), "V": V}))
        made = made if self._batched(x) else made.squeeze(0)
        if not bias:
            return made
        sums = _positions_summed(V, 2)
        return made, sums if self._batched(x) else sums.squeeze(0)

    def batch_l2(self, x: Tensor, v: Tensor, *, bias: bool = False) -> Tensor:
        """The squared norm of each example's gradient: [b]; with `bias`, that of both together."""
        X, V = self._spread(x), self._spread(v)
        made = self._squares("l2", X, {"V": V})
        if bias:
            made = made + _squared(_positions_summed(V, 2)).sum(1)
        return made if self._batched(x) else made.squeeze(0)

    def sum_grad_squared(self, x: Tensor, v: Tensor, *, bias: bool = False) -> Tensor | Pair:
        """Σ g² over examples: the weight's shape; with `bias` also [c_out]."""
        V = self._spread(v)
        made = self._plain(self._squares("squares", self._spread(x), {"V": V}))
        return (made, _squared(_positions_summed(V, 2)).sum(0)) if bias else made

    def grad_variance(self, x: Tensor, v: Tensor, *, bias: bool = False) -> Tensor | Pair:
        """Σ g²/N − (Σ g/N)² over N examples: the weight's shape; with `bias` also [c_out]."""
        V = self._spread(v)
        made = self._plain(self._squares("variance", self._spread(x), {"V": V}))
        if not bias:
            return made
        sums, count = _positions_summed(V, 2), max(len(V), 1)
        return made, _squared(sums).sum(0) / count - _squared(sums.sum(0) / count)

    # -- Gauss–Newton and Fisher -------------------------------------------------------------------

    def diag_ggn(self, x: Tensor, S: Tensor, *, bias: bool = False) -> Tensor | Pair:
        """The Gauss–Newton diagonal, Σ g² over vectors and examples: the weight's shape; with
        `bias` also [c_out]."""
        stack = self._spread(S, 2)
        made = self._plain(self._squares("diagonal", self._spread(x), {"S": stack}))
        return (made, _squared(_positions_summed(stack, 3)).sum((0, 1))) if bias else made

    def batch_diag_ggn(self, x: Tensor, S: Tensor, *, bias: bool = False) -> Tensor | Pair:
        """The same for each example: [b, *weight]; with `bias` also [b, c_out]."""
        stack = self._spread(S, 2)
        made = self._plain(self._squares("diagonal_each", self._spread(x), {"S": stack}))
        made = made if self._batched(x) else made.squeeze(0)
        if not bias:
            return made
        sums = _squared(_positions_summed(stack, 3)).sum(0)
        return made, sums if self._batched(x) else sums.squeeze(0)

    def blockdiag_ggn(
        self, x: Tensor, S: Tensor, *, bias: bool = False, per: str = "layer"
    ) -> Tensor:
        """The layer's Gauss–Newton block, Σ g gᴴ: [∏weight, ∏weight]; or with `per="channel"` the
        blocks of its output channels, [c_out, d, d]. With `bias`, joint: the bias last."""
        X, stack = self._spread(x), self._spread(S, 2)
        if per not in ("layer", "channel"):
            raise ValueError(f"per must be 'layer' or 'channel', not {per!r}")
        made = self._squares("block" if per == "layer" else "channels", X, {"S": stack})
        if not bias:
            return made
        return self._with_bias(made, X, stack, per)

    def _with_bias(self, made: Tensor, X: Tensor, stack: Tensor, per: str) -> Tensor:
        """Blocks bordered by the bias' part: Σ g s̄ and Σ s s̄."""
        from torch import einsum

        sums = _positions_summed(stack, 3)
        if per == "channel":
            given = {"X": _conj(X), "S": stack, "s": _conj(sums)}
            column = self._run("channel_border", given)
            return _bordered(made, column, _squared(sums).sum((0, 1)))
        g = self._run("G_stack", {"X": _conj(X), "S": stack}).flatten(2)
        border = einsum("nbp,nbc->pc", g, _conj(sums))
        corner = einsum("nbc,nbd->cd", sums, _conj(sums))
        return _blocks(made, border, corner)

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
        X, stack = self._spread(x1), self._spread(S1, 2)
        if x2 is None and S2 is None:
            made, other = self._squares("gram", X, {"S": stack}), stack
        elif x2 is None or S2 is None:
            raise ValueError("give both x2 and S2, or neither")
        else:
            other = self._spread(S2, 2)
            second = {"X_2": self._spread(x2), "S_2": _conj(other)}
            made = self._run("gram_2", {"X": _conj(X), "S": stack, **second})
        if bias:
            from torch import einsum

            sums, sums_2 = _positions_summed(stack, 3), _positions_summed(other, 3)
            made = made + einsum("nbc,mac->nbma", sums, _conj(sums_2))
        if not self._batched(S1 if S2 is None else S2, 2):
            made = made.squeeze(3)
        return made if self._batched(S1, 2) else made.squeeze(1)

    def ggn_product(self, x: Tensor, S: Tensor, t: Tensor) -> Tensor:
        """The Gauss–Newton block times a weight tangent t, Σ g (gᴴ t): the weight's shape."""
        X, stack = self._spread(x), self._spread(S, 2)
        return self._plain(self._squares("product", X, {"S": stack}, T_W=self._kernel(t)))

    def _squares(
        self, name: str, X: Tensor, vectors: Mapping[str, Tensor], **more: Tensor
    ) -> Tensor:
        """A definition that multiplies gradients g = Σ s ā by ḡ."""
        first = {"X": _conj(X), **vectors, **more}
        second = {"X": X, **{n: _conj(v) for n, v in vectors.items()}}
        return self._run.squares(name, first, second)

    # -- Hessian -----------------------------------------------------------------------------------

    def hessian_diag_vjp(self, h: Tensor, weight: Tensor, input_size: Ints | None = None) -> Tensor:
        """A diagonal of the Hessian by the output, h [b, c_out, *o], as one by the input,
        Σ (∂Y/∂X)² h: [b, c_in, *input_size] (BL89, HesScale)."""
        H, W = self._spread(h), self._kernel(weight)
        size = self._size(input_size, H.shape[2:])
        if self.geometry.meets_once(size):  # the sum over k has one term
            made = self._run("dX", {"W": W * W, "V": H}, i=size)
        else:
            made = self._run("by_input", {"W": W, "h": H}, i=size)
        return self._gathered(made, h)

    def hessian_diag_weight(self, x: Tensor, h: Tensor, *, bias: bool = False) -> Tensor | Pair:
        """The same by the weight, Σ (∂Y/∂W)² h: the weight's shape; with `bias` also [c_out]."""
        H = self._spread(h)
        made = self._plain(self._run("by_weight", {"X": self._spread(x), "h": H}))
        return (made, _positions_summed(H, 2).sum(0)) if bias else made

    def kfra_vjp(self, G: Tensor, weight: Tensor, input_size: Ints) -> Tensor:
        """Jᴴ G J, a Gauss–Newton matrix by the output [c_out·∏o, c_out·∏o] as one by the input:
        [c_in·∏i, c_in·∏i] (KFRA)."""
        w = self._kernel(weight)
        size = self._size(input_size, ())
        return self._run.squares("by_input_pair", {"W": _conj(w), "H": G}, {"W": w}, i=size)

    def kfra_factor(
        self, G: Tensor, *, positions: str = "all", channels: int | None = None
    ) -> Tensor:
        """The output's factor of KFRA: Σ over positions o and o′ of G [c_out·∏o, c_out·∏o], or over
        o = o′ with `positions="same"`: [c_out, c_out]. `channels` as in `weight_jacobian`."""
        if positions not in ("all", "same"):
            raise ValueError(f"positions must be 'all' or 'same', not {positions!r}")
        name = "factor" if positions == "all" else "factor_same"
        return self._run(name, {"F": G}, **self._run.factor_sizes(G, self._c_out(channels)))

    def _c_out(self, channels: int | None) -> int:
        found = channels if channels is not None else self._channels
        if found is None:
            raise ValueError("the number of output channels is not known; give channels=c_out")
        return found

    # -- what is compiled --------------------------------------------------------------------------

    def compiled(self) -> tuple[Compiled, ...]:
        """The definitions that were compiled so far; each has its `diagram` and `function`."""
        return self._run.compiled()


class Linear(Conv):
    """A linear layer as a pointwise convolution over positions: x [b, *t, c_in], y [b, *t, c_out].

    As for `Conv`, with channels last; without positions x is [b, c_in]. Unbatched, x is [c_in].
    """

    def _batched(self, x: Tensor, lead: int = 1) -> bool:
        return x.ndim > lead

    def _spread(self, x: Tensor, lead: int = 1) -> Tensor:
        if x.ndim < lead:
            raise ValueError(f"an operand of shape {tuple(x.shape)} has too few axes")
        if x.ndim == lead:
            return x.unsqueeze(lead - 1).unsqueeze(-1)
        positions = prod(x.shape[lead:-1])
        return x.reshape(*x.shape[:lead], positions, x.shape[-1]).movedim(-1, -2)

    def _gathered(self, y: Tensor, like: Tensor, lead: int = 1) -> Tensor:
        channels_last = y.movedim(-2, -1)
        return channels_last.reshape(*like.shape[:-1], y.shape[-2])

    def _size(self, size: Ints | None, output: Sequence[int]) -> tuple[int, ...]:
        if size is None:
            return (int(output[0]),) if output else (1,)
        return (size if isinstance(size, int) else prod(size),)

    def _kernel(self, weight: Tensor) -> Tensor:
        return weight.unsqueeze(-1)

    def _plain(self, weights: Tensor) -> Tensor:
        return weights.squeeze(-1)


# -- on tensors ------------------------------------------------------------------------------------


def _conj(x: Tensor) -> Tensor:
    return x.conj() if x.is_complex() else x


def _squared(x: Tensor) -> Tensor:
    """|x|², of x's dtype."""
    return x * x.conj() if x.is_complex() else x * x


def _positions_summed(x: Tensor, lead: int) -> Tensor:
    return x.flatten(lead).sum(-1)


def _given(n_data: int | None, n: int) -> int:
    return n if n_data is None else n_data


def _times(x: Tensor, factor: float) -> Tensor:
    return x if factor == 1 else x * factor


def _averaged(groups: str) -> bool:
    if groups not in ("exact", "average_rows"):
        raise ValueError(f"groups must be 'exact' or 'average_rows', not {groups!r}")
    return groups == "average_rows"


def _bordered(
    matrix: Tensor, column: Tensor, corner: Tensor | float, count: int | None = None
) -> Tensor:
    """[[M, m], [mᴴ, corner]] of [..., d, d], [..., d] and [...]; no examples, no corner."""
    from torch import Tensor, cat

    if not isinstance(corner, Tensor):
        corner = matrix.new_full(column.shape[:-1], corner if count else 0)
    above = cat([matrix, column.unsqueeze(-1)], -1)
    below = cat([_conj(column), corner.unsqueeze(-1)], -1)
    return cat([above, below.unsqueeze(-2)], -2)


def _blocks(matrix: Tensor, border: Tensor, corner: Tensor) -> Tensor:
    """[[M, m], [mᴴ, corner]] of matrices."""
    from torch import cat

    return cat([cat([matrix, border], 1), cat([_conj(border).T, corner], 1)])
