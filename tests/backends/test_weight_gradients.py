"""Weight gradients in float32 and halves, which libraries compute by code of their own, against
float64: wide, tall and long kernels, with one channel a group or more.

PyTorch 2.13 itself is wrong at some of these: `test_tall_kernels_and_halves` has such cases.
"""

from __future__ import annotations

import pytest
import torch
from hand_programs import Builder
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from diagrammar import program as ops
from diagrammar.backends.torch import emit_module, load

TOLERANCE = {torch.float32: 2e-5, torch.bfloat16: 3e-2, torch.float16: 5e-3}
"""Of the largest entry."""


def check(
    x: Tensor, v: Tensor, size: tuple[int, ...], geometry: ops.WeightGradient, dtype: torch.dtype
) -> None:
    """The emitted gradient for operands of this dtype against PyTorch's in float64, without
    padding in the call."""
    n = len(size) - 2
    b = Builder("f")
    places = " ".join(f"i{m}" for m in range(n))
    given = b.operand("X", f"b c {places}", *x.shape), b.operand("V", f"b d {places}", *v.shape)
    source = emit_module([b.program(b.put(geometry, size))], "A test.")
    assert given == (geometry.x, geometry.cotangent)
    x, v = x.to(dtype), v.to(dtype)
    found = load(source, "f")["f"](x, v)

    pads = [int(p) for p in reversed(geometry.padding) for _ in range(2)]
    options = [list(geometry.stride), [0] * n, list(geometry.dilation), False, [0] * n]
    expected = torch.ops.aten.convolution_backward(
        v.double(), torch.nn.functional.pad(x.double(), pads), v.new_empty(size).double(), None,
        *options, geometry.groups, (False, True, False),
    )[1]  # fmt: skip
    assert found.dtype == dtype
    assert found.shape == expected.shape
    largest = expected.abs().max().clamp(min=1e-30)
    assert (found.double() - expected).abs().max() <= TOLERANCE[dtype] * largest, source


def gradient(
    kernel: tuple[int, ...], more: tuple[int, ...], stride: tuple[int, ...],
    padding: tuple[int, ...], groups: int, channels: tuple[int, int], batch: int,
    *, narrow: bool,
) -> tuple[Tensor, Tensor, tuple[int, ...], ops.WeightGradient]:  # fmt: skip
    """Operands, the weight's size and the operation; an input has `more` rows than the least."""
    rows = [max(k - 2 * p, 1) + m for k, p, m in zip(kernel, padding, more, strict=True)]
    zipped = zip(rows, kernel, stride, padding, strict=True)
    outputs = [(i + 2 * p - k) // s + 1 for i, k, s, p in zipped]
    random = torch.Generator().manual_seed(0)
    x = torch.randn((batch, groups * channels[0], *rows), generator=random)
    v = torch.randn((batch, groups * channels[1], *outputs), generator=random)
    size = (groups * channels[1], channels[0], *kernel)
    ones = (1,) * len(kernel)
    return x, v, size, ops.WeightGradient(0, 1, stride, padding, ones, groups, narrow)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_one_channel_a_group_in_parts(data: st.DataObject) -> None:
    """Any kernel of up to three dimensions, cut where it is wide."""
    n = data.draw(st.integers(1, 3))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(data.draw(st.integers(low, high)) for _ in range(n))

    kernel = each(1, 9 if n < 3 else 5)
    padding = tuple(data.draw(st.integers(0, k - 1)) for k in kernel)
    groups, batch = data.draw(st.integers(2, 20)), data.draw(st.integers(1, 3))
    made = gradient(kernel, each(0, 9), each(1, 3), padding, groups, (1, 1), batch, narrow=True)
    check(*made, torch.float32)


@pytest.mark.parametrize(
    ("kernel", "more", "stride", "padding", "groups", "channels", "dtype"),
    [
        ((51, 1), (50, 0), (1, 1), (25, 0), 16, (1, 1), torch.float32),
        ((9, 1), (32, 2), (2, 1), (4, 0), 16, (1, 1), torch.float32),
        ((12, 3), (32, 2), (2, 1), (6, 1), 20, (1, 1), torch.float32),
        ((57, 1), (54, 24), (3, 3), (28, 0), 1, (3, 16), torch.float32),
        ((58, 3), (42, 34), (3, 2), (28, 2), 1, (32, 32), torch.float32),
        ((4, 3), (10, 0), (3, 2), (1, 2), 1, (16, 19), torch.bfloat16),
        ((1, 11), (35, 0), (3, 3), (0, 5), 1, (16, 19), torch.bfloat16),
        ((3, 5), (10, 1), (2, 3), (1, 4), 1, (16, 19), torch.bfloat16),
        ((3, 5), (10, 1), (2, 3), (1, 4), 1, (16, 19), torch.float16),
    ],
)
def test_tall_kernels_and_halves(
    kernel: tuple[int, int], more: tuple[int, int], stride: tuple[int, int],
    padding: tuple[int, int], groups: int, channels: tuple[int, int], dtype: torch.dtype,
) -> None:  # fmt: skip
    """PyTorch's own call gives other numbers here on some processors, NaN, or ends the process."""
    made = gradient(kernel, more, stride, padding, groups, channels, 3, narrow=False)
    check(*made, dtype)
