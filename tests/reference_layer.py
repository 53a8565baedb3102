"""One layer as PyTorch's own operators compute it, and its gradients.

Nothing here may import diagrammar. A layer is one function, `Layer.forward`, made of PyTorch's own
operators (in more than three dimensions: of sums over kernel offsets, with numpy's padding).
Shapes as in `diagrammar.layers`.
"""

from __future__ import annotations

from collections.abc import Sequence
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
