"""Packs: any number of dimensions from one file, held against PyTorch's operators."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

import diagrammar as dg

CONV = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
TRANSPOSED = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}
SIZES, KERNEL = (7, 8, 5), (3, 2, 3)


def random(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def problem(call: object, *arguments: object, **named: object) -> str:
    with pytest.raises(dg.DiagramError) as caught:
        call(*arguments, **named)  # type: ignore[operator]
    return str(caught.value)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_operands_set_the_rank(rank: int) -> None:
    f = dg.shipped("convnd")["Y"].compile(p=1, s=2)
    x, w, bias = random(2, 4, *SIZES[:rank]), random(6, 2, *KERNEL[:rank]), random(6)
    expected = CONV[rank](x, w, bias, stride=2, padding=1, groups=2)
    torch.testing.assert_close(f(X=x, W=w, bias=bias), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["dX", "dW"])
def test_derivatives_take_a_number_for_each_dimension(name: str) -> None:
    x, w = random(2, 4, 7, 8).requires_grad_(), random(6, 2, 3, 2).requires_grad_()
    hyper = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 2}
    y = functional.conv2d(x, w, **hyper)
    v = random(*y.shape)
    by, other = (x, w) if name == "dX" else (w, x)
    (expected,) = torch.autograd.grad(y, by, v)
    f = dg.shipped("convnd")[name].compile(s=(2, 1), p=(1, 0), d=(1, 2), g=2, i=(7, 8), k=(3, 2))
    result = f(**{"W" if name == "dX" else "X": other.detach()}, dY=v)
    torch.testing.assert_close(result, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_transposed_convolution_with_output_padding(rank: int) -> None:
    x, w, bias = random(2, 4, *SIZES[:rank]), random(4, 3, *KERNEL[:rank]), random(6)
    hyper = {"stride": 3, "padding": 1, "output_padding": (2, 0, 1)[:rank]}
    expected = TRANSPOSED[rank](x, w, bias, groups=2, **hyper)
    f = dg.shipped("transposed")["Y"].compile(s=3, p=1, q=(2, 0, 1)[:rank], rank=rank)
    torch.testing.assert_close(f(X=x, W=w, bias=bias), expected, rtol=1e-10, atol=1e-10)


def test_a_file_may_fix_its_rank() -> None:
    text = "rank 1\ntensor X[b, i...]\nparam p... = 1\nY[b, o...] = X[b, i...] * P[i, o, k]...\n"
    text += "size k... = 3\npattern P[i, o, k]... = conv(padding=p...)\n"
    spec = dg.parse(text)
    assert spec["Y"].open == ("b", "o.0")
    assert problem(spec["Y"].compile, rank=2) == (
        "error: the rank of 'Y' is not open\n"
        "  = help: leave it out; the file sets it, or has no packs"
    )


def test_a_scalar_has_the_product_over_a_pack() -> None:
    text = "tensor X[b, i...]\nparam s... = 2\nM[b] = s.../|i...|^2 * X[b, i...]\n"
    x = random(3, 4, 5)
    result = dg.parse(text)["M"].compile()(x)
    torch.testing.assert_close(result, x.sum((1, 2)) * 4 / 20**2, rtol=1e-12, atol=1e-12)


def test_primes_and_delta_over_packs() -> None:
    text = "tensor X[b, i...]\nG[b, i..., i'...] = X[b, i...] * delta[i, i']...\n"
    x = random(2, 3, 4)
    expected = torch.diag_embed(x.flatten(1)).reshape(2, 3, 4, 3, 4)
    assert torch.equal(dg.parse(text)["G"].compile()(x), expected)


def test_what_does_not_fit_is_said() -> None:
    y = dg.shipped("convnd")["Y"]
    assert problem(y.compile, rank=0) == (
        "error: 'rank' must be an integer from 1 to 64, not 0\n  = help: give it as rank=2"
    )
    assert problem(y.compile, rank=2, p=(1, 2, 3)) == (
        "error: 'p' has 2 members, not 3: (1, 2, 3)\n"
        "  = help: give one number for all of them, or one for each"
    )
    f = y.compile()
    assert problem(f, random(3), random(2, 3, 3), random(2)) == (
        "error: operand 'X' has 1 axes, which no rank fits\n"
        "  = help: at rank 1 it has 3, at rank 2 4"
    )
    assert "operand 'W' has 3 axes, not 4" in problem(
        f, random(1, 2, 5, 5), random(2, 2, 3), 0 * random(2)
    )
    assert problem(lambda: f.source) == (
        "error: the rank of 'Y' is open\n  = help: give it: compile(rank=2)"
    )


@pytest.mark.parametrize("name", ["convnd", "transposed"])
def test_what_is_printed_is_the_same_diagram(name: str) -> None:
    spec = dg.shipped(name)
    for definition in spec:
        for rank in (1, 2, 3):
            d = spec.at(rank)[definition]
            assert dg.parse(str(d))[definition] == d
