"""Operands of weight gradients, the gradient in float64, and cases that PyTorch 2.13 has wrong."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 3e-2}
"""Of the largest entry."""


@dataclass(frozen=True)
class Case:
    """A convolution: `more` rows of input than the least, channels in and out of a group."""

    kernel: tuple[int, ...]
    more: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    groups: int = 1
    channels: tuple[int, int] = (1, 1)
    dtype: torch.dtype = torch.float32
    batch: int = 3

    @property
    def size(self) -> tuple[int, ...]:
        """The weight's shape."""
        return (self.groups * self.channels[1], self.channels[0], *self.kernel)

    def operands(self) -> tuple[Tensor, Tensor]:
        """Input [b, g*ci, *i] and cotangent [b, g*co, *o]."""
        pairs = zip(self.kernel, self.padding, self.more, strict=True)
        rows = [max(k - 2 * p, 1) + m for k, p, m in pairs]
        zipped = zip(rows, self.kernel, self.stride, self.padding, strict=True)
        outputs = [(i + 2 * p - k) // s + 1 for i, k, s, p in zipped]
        random = torch.Generator().manual_seed(0)
        shapes = (self.channels[0], rows), (self.channels[1], outputs)
        x, v = (torch.randn((self.batch, self.groups * c, *n), generator=random) for c, n in shapes)
        return x.to(self.dtype), v.to(self.dtype)

    def of_torch(self, x: Tensor, v: Tensor) -> Tensor:
        """PyTorch's own gradient, of the operands' dtype."""
        return _gradient(self, x, v, list(self.padding))

    def exact(self, x: Tensor, v: Tensor) -> Tensor:
        """The gradient in float64, without padding in the call."""
        pads = [p for p in reversed(self.padding) for _ in range(2)]
        padded = torch.nn.functional.pad(x.double(), pads)
        return _gradient(self, padded, v.double(), [0] * len(pads[::2]))


def _gradient(case: Case, x: Tensor, v: Tensor, padding: list[int]) -> Tensor:
    n = len(padding)
    found: list[Tensor] = torch.ops.aten.convolution_backward(
        v, x, v.new_empty(case.size), None, list(case.stride), padding, [1] * n, False, [0] * n,
        case.groups, (False, True, False),
    )  # fmt: skip
    return found[1]


def error(found: Tensor, exact: Tensor) -> float:
    """The largest, of the largest entry."""
    largest = exact.abs().max().clamp(min=1e-30)
    return float((found.double() - exact).abs().max() / largest)


WRONG = (
    Case((51, 1), (50, 0), (1, 1), (25, 0), 16),
    Case((9, 1), (32, 2), (2, 1), (4, 0), 16),
    Case((12, 3), (31, 2), (2, 1), (6, 1), 20),
    Case((57, 1), (54, 24), (3, 3), (28, 0), 1, (3, 16)),
    Case((58, 3), (42, 34), (3, 2), (28, 2), 1, (32, 32)),
    Case((4, 3), (10, 0), (3, 2), (1, 2), 1, (16, 19), torch.bfloat16),
    Case((1, 11), (35, 0), (3, 3), (0, 5), 1, (16, 19), torch.bfloat16),
    Case((3, 5), (10, 1), (2, 3), (1, 4), 1, (16, 19), torch.bfloat16),
)
"""Where its call has other numbers or NaN on some processors, or ends the process."""
