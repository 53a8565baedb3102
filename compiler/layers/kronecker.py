"""Kronecker factors of a layer: KFAC-expand, KFAC-reduce, EKFAC."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from diagrammar.layers.given import check_count, check_flag, check_tensor
from diagrammar.layers.layer import Layer
from diagrammar.layers.scales import Counts, input_scale, output_scale, scale_of
from diagrammar.layers.tensors import bordered, conj, squared

if TYPE_CHECKING:
    from torch import Tensor


class Kronecker(Layer):
    """Kronecker factors, and the diagonal in their eigenbasis."""

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
        """The input's factor of KFAC-expand (KFC): Σ a aᴴ/b over examples and positions.

        The shape is [g, d, d], or [d, d] with `groups="average_rows"` (rows averaged over groups,
        as in curvlinops). With `bias`, rows end with a one. `scale` names a library whose pair of
        factors is wanted; where that library uses them, give `n_data`, the data set's size, and
        `vectors`, the number of vectors.
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
        """The input's factor of KFAC-reduce: Σ ā āᴴ/b over examples, of rows averaged over
        positions. Shapes and options as for `kfac_expand`."""
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
        """The output's factor of KFAC-expand: Σ s sᴴ/(b·∏o) over vectors, examples and positions.

        The shape is [g, c_out/g, c_out/g], or [c_out, c_out] with `groups="average_rows"`. `bias`
        makes no difference.
        """
        check_flag("bias", bias)
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
        """The output's factor of KFAC-reduce: Σ (Σ_o s)(Σ_o s)ᴴ/b over vectors and examples. Shapes
        and options as for `kfac_expand_grad`."""
        check_flag("bias", bias)
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
        """Compute the input's factor, `kind` "expand" or "reduce", at a library's scale."""
        check_flag("bias", bias)
        check_count("n_data", n_data, 0)
        check_count("vectors", vectors)
        scale_of(scale, kind)
        X = self._input("x", x)
        mean = "_mean" if _averaged(groups) else ""
        factor = self._run.squares(f"A_{kind}{mean}", {"X": X}, {"X": conj(X)})
        count, positions = X.shape[0], self._run.positions(X)  # in a trace, perhaps symbols
        if bias:
            column = self._run(f"a_{kind}{mean}", {"X": X})
            factor = bordered(factor, column, positions if kind == "expand" else 1, count)
        sizes = Counts(count, positions, _given(n_data, count), vectors, kind == "reduce")
        return _times(factor, input_scale(scale, kind, sizes))

    def _output_factor(
        self, kind: str, S: Tensor, groups: str, scale: str, n_data: int | None
    ) -> Tensor:
        """Compute the output's factor, `kind` "expand" or "reduce", at a library's scale."""
        check_count("n_data", n_data, 0)
        stack = self._stack("S", S)
        summed = kind == "reduce" or scale_of(scale, kind).sums
        averaged = _averaged(groups)
        factor = self._run.squares(
            "B_reduce" if summed else "B_expand", {"S": stack}, {"S": conj(stack)},
            groups=1 if averaged else None,
        )  # fmt: skip
        v, n, positions = stack.shape[0], stack.shape[1], prod(stack.shape[3:])
        sizes = Counts(n, positions, _given(n_data, n), v, kind == "reduce")
        factor = _times(factor, output_scale(scale, kind, sizes))
        return factor[0] if averaged else factor

    def ekfac_diag(self, x: Tensor, S: Tensor, Q_A: Tensor, Q_B: Tensor) -> Tensor:
        """EKFAC's diagonal, in the basis of the factors' eigenvectors: Σ over n and b of |Q_Bᴴ (Σ_o
        s aᴴ) Q_A|², positions summed before squaring: [g, c_out/g, d].

        Q_A [g, d, d] and Q_B [g, c_out/g, c_out/g] have eigenvectors as columns; a Q_A of size d +
        1 is for a joint bias.
        """
        X, stack = self._stacked("x", x, "S", S)
        groups = self.geometry.groups
        rows = X.shape[1] // groups * self.geometry.taps
        _check_bases(Q_A, Q_B, groups, rows, stack.shape[2] // groups)
        operands = {"X": conj(X), "S": stack, "Q_A": Q_A[:, :rows], "Q_B": conj(Q_B)}
        if Q_A.shape[1] == rows:
            rotated = self._run("rotated", operands)
        else:
            rotated = self._run("rotated_joint", {**operands, "q_A": Q_A[:, rows]})
        return squared(rotated).sum((0, 1))


def _check_bases(Q_A: Tensor, Q_B: Tensor, groups: int, rows: int, out: int) -> None:
    """Raise ValueError for eigenvectors that have other shapes than the layer's factors."""
    check_tensor("Q_A", Q_A)
    check_tensor("Q_B", Q_B)
    d = rows + 1 if Q_A.shape[-1:] == (rows + 1,) else rows
    for name, Q, size, alternative in (
        ("Q_A", Q_A, d, f" (or {rows + 1} with a bias)"),
        ("Q_B", Q_B, out, ""),
    ):
        if tuple(Q.shape) != (groups, size, size):
            raise ValueError(
                f"{name} has shape {tuple(Q.shape)}, not [{groups}, {size}, {size}]{alternative}"
            )


def _given(n_data: int | None, n: int) -> int:
    return n if n_data is None else n_data


def _times(x: Tensor, factor: float) -> Tensor:
    """Multiply a new tensor by a number: in place unless autograd needs it, since a factor may be
    as large as all other memory of a call."""
    if factor == 1:
        return x
    return x * factor if x.requires_grad else x.mul_(factor)


def _averaged(groups: str) -> bool:
    """Whether groups are averaged. Raises ValueError for another option."""
    if groups not in ("exact", "average_rows"):
        raise ValueError(f"groups must be 'exact' or 'average_rows', not {groups!r}")
    return groups == "average_rows"
