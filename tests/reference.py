"""PyTorch's own answers: operators, autograd and unfold, for every hyper-parameter.

Nothing here may import diagrammar: these are what it is held against. Shapes: X [b, c_in, i1, i2],
W [c_out, c_in/g, k1, k2] and Y [b, c_out, o1, o2]. Factors are [g, d, d], with d in the order
(c_in/g, k1, k2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Pair = tuple[int, int]


@dataclass(frozen=True)
class Hyper:
    """The hyper-parameters of a 2-d convolution, one number a dimension; zeros pad both sides."""

    kernel_size: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1


def forward(h: Hyper, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The operator: [b, c_out, o1, o2]."""
    return functional.conv2d(x, weight, bias, h.stride, h.padding, h.dilation, h.groups)


def weight_vjp(h: Hyper, x: Tensor, weight: Tensor, v: Tensor) -> Tensor:
    """The gradient by the weight of ⟨Y, v⟩, by autograd."""
    weight = weight.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(forward(h, x, weight), weight, v)
    return gradient


def input_vjp(h: Hyper, x: Tensor, weight: Tensor, v: Tensor) -> Tensor:
    """The gradient by the input of ⟨Y, v⟩, by autograd."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(forward(h, x, weight), x, v)
    return gradient


def input_jvp(h: Hyper, x: Tensor, weight: Tensor, tangent: Tensor) -> Tensor:
    """The output's tangent along a tangent of the input, by forward-mode autograd."""
    return _tangent(lambda given: forward(h, given, weight), x, tangent)


def weight_jvp(h: Hyper, x: Tensor, weight: Tensor, tangent: Tensor) -> Tensor:
    """The output's tangent along a tangent of the weight, by forward-mode autograd."""
    return _tangent(lambda given: forward(h, x, given), weight, tangent)


def _tangent(function: Callable[[Tensor], Tensor], at: Tensor, tangent: Tensor) -> Tensor:
    result: Tensor = torch.func.jvp(function, (at,), (tangent,))[1]
    return result


def unfolded(h: Hyper, x: Tensor) -> Tensor:
    """im2col with groups apart: [b, g, d, o1·o2]."""
    rows = functional.unfold(x, h.kernel_size, h.dilation, h.padding, h.stride)
    return rows.reshape(len(x), h.groups, -1, rows.shape[-1])


def kfac_expand(h: Hyper, x: Tensor) -> Tensor:
    """Σ over examples and positions of a aᵀ, over the number of examples: [g, d, d]."""
    rows = unfolded(h, x).transpose(0, 1).transpose(1, 2).flatten(2)
    return rows @ rows.mT / len(x)


def kfac_reduce(h: Hyper, x: Tensor) -> Tensor:
    """Σ over examples of ā āᵀ over their number, ā the mean over positions: [g, d, d]."""
    rows = unfolded(h, x).mean(-1).permute(1, 2, 0)
    return rows @ rows.mT / len(x)


def relative_error(ours: Tensor, reference: Tensor) -> float:
    """The largest deviation over the reference's largest entry; infinite for a wrong shape, NaN."""
    if ours.shape != reference.shape:
        return float("inf")
    deviation = (ours - reference).abs().max().item()
    scale = reference.abs().max().item()
    error = deviation / scale if scale else deviation
    return error if error == error else float("inf")
