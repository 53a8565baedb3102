"""Products of matrices as library convolutions: which there are, and their values."""

from __future__ import annotations

import pytest
import torch

import diagrammar as dg
from diagrammar import program as ops
from diagrammar.backends.torch import emit as backend
from diagrammar.plan.candidates import Candidate

TEXT = """
tensor X[b, (g ci), i]
tensor W[(g co), ci]
Y[b, (g co), i] = X[b, (g ci), i] * W[(g co), ci]
dX = vjp(Y, X)
"""


def found(name: str, **shapes: tuple[int, ...]) -> list[Candidate]:
    """The candidates with a library convolution."""
    made = dg.parse(TEXT)[name].compile(g=2).specialise(**shapes).candidates
    return [c for c in made if calls(c)]


def calls(candidate: Candidate) -> list[ops.Convolution]:
    operations = [s.operation for s in candidate.planned.program.steps]
    return [o for o in operations if isinstance(o, ops.Convolution)]


@pytest.mark.parametrize("b", [1, 2, 15, 16, 17])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.complex64])
def test_one_tap_is_dilated_below_sixteen_images(b: int, dtype: torch.dtype) -> None:
    x, w = torch.randn(b, 64, 400).to(dtype), torch.randn(6, 32).to(dtype)
    dilation = (2,) if b < 16 else (1,)
    expected = torch.cat([wg @ xg for xg, wg in zip(x.chunk(2, 1), w.chunk(2), strict=True)], 1)

    (made,) = found("Y", X=(b, 64, 400), W=(6, 32))
    assert [c.dilation for c in calls(made)] == [dilation]
    text = backend.emit_module([made.planned.program], "", checked=False)
    assert ("_one_tap(" in text) == (b < 16)
    torch.testing.assert_close(backend.load(text, "Y")["Y"](x, w), expected)

    (made,) = found("dX", dY=(b, 64, 400), W=(64, 3))
    assert [c.dilation for c in calls(made)] == [dilation]
    text = backend.emit_module([made.planned.program], "", checked=False)
    back = torch.cat([m.mT for m in w.chunk(2)])
    torch.testing.assert_close(backend.load(text, "dX")["dX"](back, x), expected)


def test_one_small_image_stays_a_product() -> None:
    """PyTorch has no library call for up to 20,480 entries of one image."""
    assert not found("Y", X=(1, 64, 320), W=(6, 32))
    assert found("Y", X=(1, 64, 321), W=(6, 32))


def test_small_batches_are_priced_as_such() -> None:
    """A plain convolution of one tap costs what a product does; the dilated one is cheaper."""
    shapes = {"X": (8, 512, 784), "W": (512, 256)}
    dilated = {c.name for c in found("Y", **shapes)}
    assert dg.parse(TEXT)["Y"].compile(g=2).specialise(**shapes).chosen in dilated
    f = dg.shipped("conv2d")["dX"].compile(k1=1, k2=1, p=0, i1=28, i2=28)
    made = f.specialise(W=(256, 512, 1, 1), dY=(8, 256, 28, 28))
    assert "products as convolutions" in made.chosen


def test_the_convolved_side_is_the_one_with_images() -> None:
    """Of a strided input gradient, whose kernel might be convolved with the cotangent, too."""
    f = dg.shipped("conv2d")["dX"].compile(k1=3, k2=3, s=2, p=1, i1=28, i2=28)
    made = f.specialise(W=(256, 128, 3, 3), dY=(8, 256, 14, 14)).candidates
    (single,) = [c for c in made if c.name == "views and products, products as convolutions"]
    steps = single.planned.program.steps
    (call,) = calls(single)
    assert steps[call.x].shape == (8, 256, 14, 14)


def test_programs_that_do_the_same_are_one_candidate() -> None:
    f = dg.shipped("conv2d")["Y"].compile(k1=1, k2=1, p=0)
    made = f.specialise(X=(16, 64, 9, 9), W=(32, 64, 1, 1), bias=(32,)).candidates
    texts = [backend.emit_module([c.planned.program], "").rpartition('"""')[2] for c in made]
    assert len(set(texts)) == len(texts)
    assert any(c.name.endswith("one library call") for c in made)


@pytest.mark.parametrize(("dtype", "dilation"), [(torch.float32, 2), (torch.float64, 1)], ids=str)
def test_the_dilation_reaches_the_call(
    dtype: torch.dtype, dilation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of float32, which oneDNN has code for; it knows no float64."""
    seen, convolve = [], torch.nn.functional.conv1d

    def seeing(*operands: torch.Tensor, **options: int) -> torch.Tensor:
        seen.append(options["dilation"])
        return convolve(*operands, **options)

    (made,) = found("Y", X=(2, 64, 400), W=(6, 32))
    call = backend.load(backend.emit_module([made.planned.program], "", checked=False), "Y")["Y"]
    monkeypatch.setattr(torch.nn.functional, "conv1d", seeing)
    call(torch.randn(2, 64, 400, dtype=dtype), torch.randn(6, 32, dtype=dtype))
    assert seen == [dilation]


def test_a_transposed_kernel_is_copied_as_a_matrix() -> None:
    (made,) = found("dX", dY=(4, 64, 400), W=(64, 3))
    text = backend.emit_module([made.planned.program], "", checked=False)
    plain = dg.parse(TEXT)["dX"].compile(g=1).specialise(dY=(4, 64, 400), W=(64, 48)).candidates
    (single,) = [c for c in plain if calls(c)]
    assert ".contiguous()" not in text  # each group has a matrix of its own
    text = backend.emit_module([single.planned.program], "", checked=False)
    assert "w = W.mT.contiguous()" in text
    x, w = torch.randn(4, 64, 400), torch.randn(64, 48)
    torch.testing.assert_close(backend.load(text, "dX")["dX"](w, x), w.mT @ x, rtol=1e-4, atol=1e-4)
