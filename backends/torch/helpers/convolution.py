"""Convolutions and their gradients by PyTorch's library calls."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def _one_tap(x: Tensor, weight: Tensor, bias: Tensor | None = None, groups: int = 1) -> Tensor:
    """The convolution with a kernel of size one.

    A dilation changes nothing about it, but with one PyTorch takes oneDNN's code for fewer than 16
    images, too, on one thread.
    """
    convolve = getattr(torch.nn.functional, f"conv{x.ndim - 2}d")
    dilation = 2 if x.is_cpu and x.dtype == torch.float32 else 1
    made: Tensor = convolve(x, weight, bias, dilation=dilation, groups=groups)
    return made


def _backward(
    wanted: int,
    v: Tensor,
    x: Tensor,
    weight: Tensor,
    geometry: tuple[int | tuple[int, ...], ...],
    groups: int,
) -> Tensor:
    """A gradient of convolving x with weight, for the cotangent v: number 0 is that by x, number 1
    that by weight. Only the shape of the wanted one is read. `geometry`: stride, padding, dilation.
    """
    n = v.ndim - 2
    stride, padding, dilation = (p if isinstance(p, tuple) else (p,) * n for p in geometry)
    if v.is_cpu and v.dtype == torch.float32 and all(k == 1 for k in weight.shape[2:]):
        dilation = (2,) * n  # of one tap: the same, but oneDNN takes small batches too
    options = (
        None,
        stride,
        padding,
        dilation,
        False,
        (0,),
        groups,
        (wanted == 0, wanted == 1, False),
    )
    gradients: list[Tensor] = torch.ops.aten.convolution_backward(v, x, weight, *options)
    return gradients[wanted]


def _bilinear(f: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor) -> Tensor:
    """f of complex tensors by their real parts; f is linear in each, and nothing is conjugated."""
    parts = [f(p, q) for p in (a.real, a.imag) for q in (b.real, b.imag)]
    return torch.complex(parts[0] - parts[3], parts[1] + parts[2])


def _input_gradient(
    v: Tensor,
    weight: Tensor,
    size: tuple[int, ...],
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Tensor:
    """The gradient, for an input of this size, of convolving it with weight; v is the cotangent."""
    geometry = stride, padding, dilation
    if v.is_complex():
        return _bilinear(lambda a, b: _input_gradient(a, b, size, *geometry, groups), v, weight)
    return _backward(0, v, v.new_empty(size), weight, geometry, groups)


def _weight_gradient(
    x: Tensor,
    v: Tensor,
    size: tuple[int, ...],
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Tensor:
    """The gradient, for a weight of this size, of convolving x with it; v is the cotangent."""
    geometry = stride, padding, dilation
    if x.is_complex():
        return _bilinear(lambda a, b: _weight_gradient(a, b, size, *geometry, groups), x, v)
    pads = padding if isinstance(padding, tuple) else (padding,) * (v.ndim - 2)
    tall = any(k > 7 and p for k, p in zip(size[2:-1], pads[:-1], strict=True))
    if v.is_cpu and (tall or (any(pads) and v.dtype == torch.bfloat16)):
        # oneDNN 3.12 is wrong about, or crashes at, padding of tall kernels and of bfloat16
        x = torch.nn.functional.pad(x, [p for n in reversed(pads) for p in (n, n)])
        geometry = stride, 0, dilation
    return _backward(1, v, x, v.new_empty(size), geometry, groups)


def _depthwise_gradient(
    x: Tensor,
    v: Tensor,
    size: tuple[int, ...],
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Tensor:
    """The weight gradient of a convolution with one channel a group.

    On the CPU, oneDNN has fast code for kernels of up to three columns, so that wider ones are cut;
    a kernel of one dimension stands upright, one of three is computed plane by plane.
    """
    n = v.ndim - 2
    stride, padding, dilation = (
        p if isinstance(p, tuple) else (p,) * n for p in (stride, padding, dilation)
    )
    if not x.is_cpu or x.dtype != torch.float32 or any(d > 1 for d in dilation):
        return _weight_gradient(x, v, size, stride, padding, dilation, groups)
    if n == 1:
        upright = (*size, 1), (*stride, 1), (*padding, 0)
        return _weight_gradient(x[..., None], v[..., None], *upright, 1, groups)[..., 0]
    if n == 3:
        around = (0, 0, 0, 0, 0, 0, padding[0], padding[0])
        x = torch.nn.functional.pad(x.transpose(1, 2), around)
        stop, v = stride[0] * (v.shape[2] - 1) + 1, v.transpose(1, 2).flatten(0, 1)
        flat = (*size[:2], *size[3:]), stride[1:], padding[1:], 1, groups
        planes = [x[:, k : k + stop : stride[0]].flatten(0, 1) for k in range(size[2])]
        return torch.stack([_depthwise_gradient(plane, v, *flat) for plane in planes], 2)
    if size[3] <= 3:
        return _weight_gradient(x, v, size, stride, padding, 1, groups)
    x = torch.nn.functional.pad(x, (padding[1], padding[1]))
    stop, parts = stride[1] * (v.shape[3] - 1), []
    for k in range(0, size[3], 3):
        few = (*size[:3], min(3, size[3] - k))
        part = x[..., k : k + stop + few[3]]
        parts.append(_weight_gradient(part, v, few, stride, (padding[0], 0), 1, groups))
    return torch.cat(parts, 3)
