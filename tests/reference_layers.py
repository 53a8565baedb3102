"""What every layer method must return, for every hyper-parameter and any number of dimensions.

Nothing here may import diagrammar. A layer is one function, `Layer.forward`, made of PyTorch's own
operators (in more than three dimensions: of sums over kernel offsets, with numpy's padding); all
else follows from it by autograd, by probing with unit vectors (it is linear in the input and in the
weight), and by sums over rows that are written out.

Shapes as in `diagrammar.layers`: x [b, c_in, *i], weight [c_out, c_in/g, *k] (transposed: [c_in,
c_out/g, *k]), v [b, c_out, *o], S [n, b, c_out, *o], d = c_in/g·∏k.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Padding = int | str | Sequence[Any]

CONV = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
TRANSPOSED = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}
MODES = {"zeros": "constant", "circular": "wrap", "reflect": "reflect", "replicate": "edge"}
"""numpy's names of PyTorch's padding modes."""


@dataclass(frozen=True)
class Layer:
    """A convolution by the arguments that PyTorch's modules take; `kernel_size` is a tuple."""

    kernel_size: tuple[int, ...]
    stride: int | tuple[int, ...] = 1
    padding: Any = 0
    dilation: int | tuple[int, ...] = 1
    groups: int = 1
    padding_mode: str = "zeros"
    transposed: bool = False
    output_padding: int | tuple[int, ...] = 0

    @property
    def dims(self) -> int:
        return len(self.kernel_size)

    def each(self, value: int | Sequence[int]) -> tuple[int, ...]:
        return (value,) * self.dims if isinstance(value, int) else tuple(value)

    def sides(self) -> list[tuple[int, int]]:
        """(left, right) of each dimension."""
        if self.padding == "valid":
            return [(0, 0)] * self.dims
        if self.padding == "same":
            reach = [
                d * (k - 1)
                for d, k in zip(self.each(self.dilation), self.kernel_size, strict=False)
            ]
            return [(r // 2, r - r // 2) for r in reach]
        given = [self.padding] * self.dims if isinstance(self.padding, int) else self.padding
        return [(p, p) if isinstance(p, int) else tuple(p) for p in given]

    @property
    def equal_sides(self) -> bool:
        return self.padding != "same" and all(a == b for a, b in self.sides())

    def output_size(self, size: Sequence[int]) -> tuple[int, ...]:
        """The spatial size of the output."""
        found = []
        for n, i in enumerate(size):
            (left, right), k = self.sides()[n], self.kernel_size[n]
            s, d = self.each(self.stride)[n], self.each(self.dilation)[n]
            if self.transposed:
                more = self.each(self.output_padding)[n]
                found.append((i - 1) * s - left - right + d * (k - 1) + more + 1)
            else:
                found.append((i + left + right - d * (k - 1) - 1) // s + 1)
        return tuple(found)

    # -- forward --

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """[b, c_out, *o], as PyTorch's layer of these hyper-parameters."""
        if self.transposed:
            return self._transposed(x, weight, bias)
        if self.padding_mode == "zeros" and self.dims <= 3:
            call: Any = CONV[self.dims]
            stride, dilation = self.each(self.stride), self.each(self.dilation)
            if isinstance(self.padding, str) or self.equal_sides:
                padding = self.padding
                if not isinstance(padding, str):
                    padding = tuple(p for p, _ in self.sides())
                return call(x, weight, bias, stride, padding, dilation, self.groups)
        return self._convolved(self.padded(x), weight, bias)

    def padded(self, x: Tensor) -> Tensor:
        """The input with its padding written out."""
        flat = [p for pair in reversed(self.sides()) for p in pair]
        if self.padding_mode == "zeros":
            return functional.pad(x, flat)
        if self.dims <= 3 and not x.is_complex():
            return functional.pad(x, flat, mode=self.padding_mode)
        for n, pair in enumerate(self.sides()):
            size = x.shape[2 + n]
            index = np.pad(np.arange(size), pair, mode=MODES[self.padding_mode])  # type: ignore[call-overload]
            x = x.index_select(2 + n, torch.from_numpy(index))
        return x

    def _convolved(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Without padding."""
        stride, dilation = self.each(self.stride), self.each(self.dilation)
        if self.dims in CONV:
            call: Any = CONV[self.dims]
            return call(x, weight, bias, stride, 0, dilation, self.groups)
        size = [
            (i - d * (k - 1) - 1) // s + 1
            for i, k, s, d in zip(x.shape[2:], self.kernel_size, stride, dilation, strict=True)
        ]
        x = x.unflatten(1, (self.groups, -1))
        w = weight.unflatten(0, (self.groups, -1))
        total: Any = 0
        for offset in np.ndindex(*self.kernel_size):
            at = tuple(
                slice(k * d, k * d + s * (o - 1) + 1, s)
                for k, d, s, o in zip(offset, dilation, stride, size, strict=True)
            )
            taken = x[(slice(None),) * 3 + at]
            total = total + torch.einsum("ngi...,goi->ngo...", taken, w[(..., *offset)])
        y: Tensor = total.flatten(1, 2)
        return y if bias is None else y + bias.reshape(-1, *(1,) * self.dims)

    def _transposed(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        stride, dilation = self.each(self.stride), self.each(self.dilation)
        more = self.each(self.output_padding)
        call: Any = TRANSPOSED.get(self.dims)
        if call is not None and self.equal_sides:
            padding = tuple(p for p, _ in self.sides())
            return call(x, weight, bias, stride, padding, more, self.groups, dilation)
        full = [
            (i - 1) * s + d * (k - 1) + 1
            for i, k, s, d in zip(x.shape[2:], self.kernel_size, stride, dilation, strict=True)
        ]
        x = x.unflatten(1, (self.groups, -1))
        w = weight.unflatten(0, (self.groups, -1))
        y = x.new_zeros(x.shape[0], self.groups, w.shape[2], *full)
        for offset in np.ndindex(*self.kernel_size):
            part = torch.einsum("ngi...,gio->ngo...", x, w[(..., *offset)])
            at = tuple(
                slice(k * d, k * d + s * (i - 1) + 1, s)
                for k, d, s, i in zip(offset, dilation, stride, x.shape[3:], strict=True)
            )
            grown = torch.zeros_like(y)
            grown[(slice(None),) * 3 + at] = part
            y = y + grown
        sides = zip(reversed(self.sides()), reversed(more), strict=True)
        crop = [n for (left, right), m in sides for n in (-left, m - right)]
        y = functional.pad(y.flatten(1, 2), [max(n, 0) for n in crop])
        y = functional.pad(y, [min(n, 0) for n in crop])  # more may go than there was before
        return y if bias is None else y + bias.reshape(-1, *(1,) * self.dims)

    # -- rows --

    def rows(self, x: Tensor) -> Tensor:
        """The unfolded input with channels and kernel apart: [b, c_in, ∏k, *o], by probing each
        channel with the unit kernels."""
        taps = prod(self.kernel_size)
        units = torch.eye(taps, dtype=x.dtype).reshape(taps, 1, *self.kernel_size)
        channels = x.shape[1]
        if self.transposed:
            weight = units.reshape(1, taps, *self.kernel_size).repeat(
                channels, 1, *(1,) * self.dims
            )
        else:
            weight = units.repeat(channels, 1, *(1,) * self.dims)
        alone = Layer(
            self.kernel_size, self.stride, self.padding, self.dilation, channels,
            self.padding_mode, self.transposed, self.output_padding,
        )  # fmt: skip
        return alone.forward(x, weight).unflatten(1, (channels, taps))

    def grouped_rows(self, x: Tensor, bias: bool = False) -> Tensor:
        """[b, g, d, ∏o]; with a row of ones, last, for the bias."""
        rows = self.rows(x).flatten(3)
        rows = rows.unflatten(1, (self.groups, -1)).flatten(2, 3)
        if bias:
            rows = torch.cat([rows, torch.ones_like(rows[:, :, :1])], 2)
        return rows

    def toeplitz(self, weight: Tensor, size: Sequence[int]) -> Tensor:
        """∂Y/∂X as [c_out·∏o, c_in·∏i], by probing with unit inputs."""
        channels = weight.shape[0] if self.transposed else weight.shape[1] * self.groups
        entries = channels * prod(size)
        units = torch.eye(entries, dtype=weight.dtype).reshape(entries, channels, *size)
        return self.forward(units, weight).flatten(1).T


# -- from the layer's function ---------------------------------------------------------------------


def gradient(layer: Layer, x: Tensor, weight: Tensor, v: Tensor, by: str) -> Tensor:
    """PyTorch's gradient of ⟨Y, v⟩ by "x" or "weight"."""
    leaves = {"x": x.detach().requires_grad_(), "weight": weight.detach().requires_grad_()}
    (found,) = torch.autograd.grad(layer.forward(leaves["x"], leaves["weight"]), leaves[by], v)
    return found


def per_example(layer: Layer, x: Tensor, weight: Tensor, S: Tensor) -> Tensor:
    """Gradients by the weight of each vector and example apart: [n, b, *weight]."""
    made = [
        gradient(layer, x[b : b + 1], weight, S[n, b : b + 1], "weight")
        for n in range(S.shape[0])
        for b in range(S.shape[1])
    ]
    if not made:
        return x.new_zeros(*S.shape[:2], *weight.shape)
    return torch.stack(made).reshape(*S.shape[:2], *weight.shape)


def as_matrices(layer: Layer, gradients: Tensor) -> Tensor:
    """Weight-shaped [..., *weight] as [..., g, c_out/g, d], d in the order (c_in/g, *k)."""
    lead = gradients.ndim - layer.dims - 2
    g = gradients.unflatten(lead, (layer.groups, -1))
    if layer.transposed:  # [..., g, c_in/g, c_out/g, *k]
        g = g.transpose(lead + 1, lead + 2)
    return g.flatten(lead + 2)


def _square(value: Tensor) -> Tensor:
    return (value * value.conj()).real.to(value.dtype)


# -- one function a method -------------------------------------------------------------------------

Given = dict[str, Tensor]
Options = dict[str, Any]


def _size(layer: Layer, given: Given) -> tuple[int, ...]:
    return tuple(given["x"].shape[2:])


def forward(layer: Layer, given: Given, options: Options) -> Tensor:
    bias = given["bias"] if options.get("bias") else None
    return layer.forward(given["x"], given["weight"], bias)


def input_vjp(layer: Layer, given: Given, options: Options) -> Tensor:
    return gradient(layer, given["x"], given["weight"], given["v"], "x")


def weight_vjp(layer: Layer, given: Given, options: Options) -> Tensor:
    return gradient(layer, given["x"], given["weight"], given["v"], "weight")


def bias_vjp(layer: Layer, given: Given, options: Options) -> Tensor:
    leaf = given["bias"].detach().requires_grad_()
    y = layer.forward(given["x"], given["weight"], leaf)
    return torch.autograd.grad(y, leaf, given["v"])[0]


def input_jvp(layer: Layer, given: Given, options: Options) -> Tensor:
    return layer.forward(given["x_tangent"], given["weight"])


def weight_jvp(layer: Layer, given: Given, options: Options) -> Tensor:
    return layer.forward(given["x"], given["weight_tangent"])


def input_jacobian(layer: Layer, given: Given, options: Options) -> Tensor:
    size = _size(layer, given)
    y, x = given["v"], given["x"]
    matrix = layer.toeplitz(given["weight"], size)
    return matrix.reshape(*y.shape[1:], *x.shape[1:])


def weight_jacobian(layer: Layer, given: Given, options: Options) -> Tensor:
    x, weight = given["x"], given["weight"]
    units = torch.eye(weight.numel(), dtype=x.dtype).reshape(-1, *weight.shape)
    columns = torch.stack([layer.forward(x, unit) for unit in units], -1)
    return columns.unflatten(-1, weight.shape)


def unfold(layer: Layer, given: Given, options: Options) -> Tensor:
    return layer.rows(given["x"]).flatten(3).flatten(1, 2)


def fold(layer: Layer, given: Given, options: Options) -> Tensor:
    """The adjoint of `unfold`, by autograd."""
    leaf = given["x"].detach().requires_grad_()
    rows = layer.rows(leaf).flatten(3).flatten(1, 2)
    return torch.autograd.grad(rows, leaf, given["u"])[0]


def averaged_patches(layer: Layer, given: Given, options: Options) -> Tensor:
    return layer.rows(given["x"]).flatten(3).mean(-1).flatten(1)


def toeplitz(layer: Layer, given: Given, options: Options) -> Tensor:
    return layer.toeplitz(given["weight"], _size(layer, given))


def _outer(rows: Tensor, count: int) -> Tensor:
    """Σ a aᴴ / count of columns: [..., d, N] → [..., d, d]; zero over nothing."""
    return rows @ rows.mH / max(count, 1)


def _kfac_rows(layer: Layer, given: Given, options: Options) -> Tensor:
    rows = layer.grouped_rows(given["x"], options.get("bias", False))
    if options.get("groups") == "average_rows":
        rows = rows.mean(1, keepdim=True)
    return rows


def kfac_expand(layer: Layer, given: Given, options: Options) -> Tensor:
    rows = _kfac_rows(layer, given, options)
    made = _outer(rows.permute(1, 2, 0, 3).flatten(2), len(rows))
    return made[0] if options.get("groups") == "average_rows" else made


def kfac_reduce(layer: Layer, given: Given, options: Options) -> Tensor:
    rows = _kfac_rows(layer, given, options)
    made = _outer(rows.mean(-1).permute(1, 2, 0), len(rows))
    return made[0] if options.get("groups") == "average_rows" else made


def _cotangents(layer: Layer, given: Given, options: Options) -> Tensor:
    """[n, b, g, c_out/g, ∏o]"""
    groups = 1 if options.get("groups") == "average_rows" else layer.groups
    return given["S"].flatten(3).unflatten(2, (groups, -1))


def kfac_expand_grad(layer: Layer, given: Given, options: Options) -> Tensor:
    s = _cotangents(layer, given, options)
    made = _outer(s.permute(2, 3, 0, 1, 4).flatten(2), s.shape[1] * s.shape[-1])
    return made[0] if options.get("groups") == "average_rows" else made


def kfac_reduce_grad(layer: Layer, given: Given, options: Options) -> Tensor:
    s = _cotangents(layer, given, options)
    made = _outer(s.sum(-1).permute(2, 3, 0, 1).flatten(2), s.shape[1])
    return made[0] if options.get("groups") == "average_rows" else made


def _gradients(layer: Layer, given: Given, options: Options, S: str = "S") -> Tensor:
    """Per vector and example, the bias last: [n, b, g, c_out/g, d (+ 1)]."""
    x, s = given[{"S": "x", "S2": "x2"}[S]], given[S]
    made = as_matrices(layer, per_example(layer, x, given["weight"], s))
    if options.get("bias"):
        sums = s.flatten(3).sum(-1).unflatten(2, (layer.groups, -1))
        made = torch.cat([made, sums.unsqueeze(-1)], -1)
    return made


def ekfac_diag(layer: Layer, given: Given, options: Options) -> Tensor:
    g = _gradients(layer, given, options)
    rotated = given["Q_B"].mH @ g @ given["Q_A"]
    return _square(rotated).sum((0, 1))


def _with_bias(layer: Layer, given: Given, options: Options, reduce: Any, S: str) -> Any:
    """A weight-shaped result and, with bias, the bias' own."""
    s = given[S] if S == "S" else given["v"].unsqueeze(0)
    g = per_example(layer, given["x"], given["weight"], s)
    made = reduce(g)
    if not options.get("bias"):
        return made
    return made, reduce(s.flatten(3).sum(-1))


def batch_grad(layer: Layer, given: Given, options: Options) -> Any:
    return _with_bias(layer, given, options, lambda g: g[0], "v")


def batch_l2(layer: Layer, given: Given, options: Options) -> Tensor:
    def norms(g: Tensor) -> Tensor:
        return _square(g[0]).flatten(1).sum(1)

    made = _with_bias(layer, given, options, norms, "v")
    return sum(made) if options.get("bias") else made


def sum_grad_squared(layer: Layer, given: Given, options: Options) -> Any:
    return _with_bias(layer, given, options, lambda g: _square(g[0]).sum(0), "v")


def grad_variance(layer: Layer, given: Given, options: Options) -> Any:
    def variance(g: Tensor) -> Tensor:
        count = max(g.shape[1], 1)
        return _square(g[0]).sum(0) / count - _square(g[0].sum(0) / count)

    return _with_bias(layer, given, options, variance, "v")


def diag_ggn(layer: Layer, given: Given, options: Options) -> Any:
    return _with_bias(layer, given, options, lambda g: _square(g).sum((0, 1)), "S")


def batch_diag_ggn(layer: Layer, given: Given, options: Options) -> Any:
    return _with_bias(layer, given, options, lambda g: _square(g).sum(0), "S")


def blockdiag_ggn(layer: Layer, given: Given, options: Options) -> Tensor:
    """The layer's block; `per="channel"`: the block of each output channel."""
    if options.get("per") == "channel":
        g = _gradients(layer, given, options).flatten(2, 3).flatten(0, 1)
        return torch.einsum("ncd,nce->cde", g, g.conj())
    g = per_example(layer, given["x"], given["weight"], given["S"]).flatten(2)
    if options.get("bias"):
        g = torch.cat([g, given["S"].flatten(3).sum(-1)], -1)
    g = g.flatten(0, 1)
    return g.T @ g.conj()


def gram(layer: Layer, given: Given, options: Options) -> Tensor:
    first = _gradients(layer, given, options).flatten(2)
    second = _gradients(layer, given, options, "S2").flatten(2) if options.get("two") else first
    return torch.einsum("nbp,mcp->nbmc", first, second.conj())


def hessian_diag_vjp(layer: Layer, given: Given, options: Options) -> Tensor:
    h, x = given["h"], given["x"]
    jacobian = layer.toeplitz(given["weight"], _size(layer, given))
    return (h.flatten(1) @ _square(jacobian)).reshape(x.shape)


def hessian_diag_weight(layer: Layer, given: Given, options: Options) -> Any:
    jacobian = weight_jacobian(layer, given, options)
    h = given["h"]
    made = torch.tensordot(h, _square(jacobian), h.ndim)
    return (made, h.flatten(2).sum((0, 2))) if options.get("bias") else made


def kfra_vjp(layer: Layer, given: Given, options: Options) -> Tensor:
    jacobian = layer.toeplitz(given["weight"], _size(layer, given))
    return jacobian.mH @ given["G"] @ jacobian


def kfra_factor(layer: Layer, given: Given, options: Options) -> Tensor:
    channels = given["v"].shape[1]
    blocks = given["G"].reshape(channels, -1, channels, given["G"].shape[0] // channels)
    if options.get("positions") == "same":
        return torch.einsum("apbp->ab", blocks)
    return blocks.sum((1, 3))


METHODS: dict[str, Callable[[Layer, Given, Options], Any]] = {
    f.__name__: f
    for f in (
        forward, input_vjp, weight_vjp, bias_vjp, input_jvp, weight_jvp, input_jacobian,
        weight_jacobian, unfold, fold, averaged_patches, toeplitz, kfac_expand, kfac_reduce,
        kfac_expand_grad, kfac_reduce_grad, ekfac_diag, batch_grad, batch_l2, sum_grad_squared,
        grad_variance, diag_ggn, batch_diag_ggn, blockdiag_ggn, gram, hessian_diag_vjp,
        hessian_diag_weight, kfra_vjp, kfra_factor,
    )
}  # fmt: skip
"""By the name of the method that is held against it."""
