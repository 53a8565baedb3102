"""Which programs are chosen where a library has fast code for one of several ways only."""

from __future__ import annotations

import pytest
import torch

import diagrammar as dg

CONV = dg.shipped("conv2d")


@pytest.mark.parametrize(
    ("kernel", "dilation", "flipped"),
    [((3, 3), 1, ()), ((3, 3), 2, ("dX",)), ((5, 5), 1, ("dX",)), ((2, 17), 1, ("Y",))],
)
def test_one_channel_a_group(
    kernel: tuple[int, int], dilation: int, flipped: tuple[str, ...]
) -> None:
    """A convolution of few columns, an input gradient of many, columns by three."""
    p = dilation * (kernel[0] - 1) // 2
    given = {"g": 32, "k1": kernel[0], "k2": kernel[1], "d": dilation, "p": p}
    x, w, bias = torch.randn(4, 32, 24, 24), torch.randn(32, 1, *kernel), torch.zeros(32)
    x, w = x.requires_grad_(), w.requires_grad_()
    y = torch.nn.functional.conv2d(x, w, bias, 1, p, dilation, 32)
    v = torch.randn_like(y)
    expected = dict(zip(("dX", "dW"), torch.autograd.grad(y, (x, w), v), strict=True)) | {"Y": y}
    operands = {"Y": {"X": x, "W": w, "bias": bias}, "dW": {"X": x, "dY": v}}
    operands["dX"] = {"W": w, "dY": v}
    for name, values in operands.items():
        more = {"i1": 24, "i2": 24} if name == "dX" else {}
        f = CONV[name].compile(**given, **more)
        made = f.specialise(**{n: tuple(t.shape) for n, t in values.items()})
        assert made.chosen.endswith("kernels flipped") == (name in flipped)
        by_three = any("three columns at a time" in c.name for c in made.candidates)
        assert by_three == (name == "dW" and kernel[1] > 3)
        with torch.no_grad():
            found = f(**values)
        assert (found - expected[name]).abs().max() <= 1e-5 * found.abs().max()


def test_few_channels_may_go_the_other_way() -> None:
    f = CONV["dX"].compile(i1=24, i2=24)
    made = f.specialise(W=(8, 8, 3, 3), dY=(4, 8, 24, 24))
    assert made.chosen.endswith("kernels flipped")
    assert not any(
        c.name.endswith("kernels flipped")
        for c in f.specialise(W=(16, 8, 3, 3), dY=(4, 16, 24, 24)).candidates
    )
