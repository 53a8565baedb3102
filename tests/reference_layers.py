"""What every layer method must return, for every hyper-parameter and any number of dimensions.

Nothing here may import diagrammar. All follows from `Layer.forward` by autograd, by probing with
unit vectors (it is linear in the input and in the weight), and by sums over rows that are written
out.

Shapes as in `diagrammar.layers`: x [b, c_in, *i], weight [c_out, c_in/g, *k] (transposed: [c_in,
c_out/g, *k]), v [b, c_out, *o], S [n, b, c_out, *o], d = c_in/g·∏k.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tests.reference_layer import Layer, as_matrices, gradient, per_example

Given = dict[str, Tensor]
Options = dict[str, Any]


def _square(value: Tensor) -> Tensor:
    return (value * value.conj()).real.to(value.dtype)


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
