"""Convolutions with kernels in factors, against the rebuilt kernel and PyTorch's convolution."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import diagrammar as dg
from diagrammar import factorised
from diagrammar import program as ops

SHAPES = {
    "cp": ("co r", "ci r", "k1 r", "k2 r"),
    "tucker": ("co r", "r q k1 k2", "ci q"),
    "tt": ("co r", "r k1 q", "q k2 t", "t ci"),
    "tr": ("u co r", "r k1 q", "q k2 t", "t ci u"),
}


def factors(form: str, sizes: dict[str, int]) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return [
        torch.randn([sizes[a] for a in axes.split()], generator=random, dtype=torch.float64)
        for axes in SHAPES[form]
    ]


def einsum(form: str, parts: list[torch.Tensor]) -> torch.Tensor:
    equation = {
        "cp": "or,ir,kr,lr->oikl",
        "tucker": "or,rqkl,iq->oikl",
        "tt": "or,rkq,qlt,ti->oikl",
        "tr": "uor,rkq,qlt,tiu->oikl",
    }[form]
    return torch.einsum(equation, *parts)


@pytest.mark.parametrize("form", SHAPES)
@settings(max_examples=12, deadline=None)
@given(
    sizes=st.fixed_dictionaries(
        {n: st.integers(1, 5) for n in ("b", "co", "ci", "r", "q", "t", "u")}
    ),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 3) | st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.integers(0, 2) | st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dilation=st.integers(1, 2) | st.tuples(st.integers(1, 2), st.integers(1, 2)),
)
def test_it_is_the_convolution_with_the_rebuilt_kernel(
    form: str,
    sizes: dict[str, int],
    kernel: tuple[int, int],
    stride: int | tuple[int, int],
    padding: int | tuple[int, int],
    dilation: int | tuple[int, int],
) -> None:
    sizes = {**sizes, "k1": kernel[0], "k2": kernel[1]}
    parts = factors(form, sizes)
    x = torch.randn(sizes["b"], sizes["ci"], 7, 6, dtype=torch.float64)
    hyper = {"stride": stride, "padding": padding, "dilation": dilation}
    found = factorised.conv2d(form, x, *parts, **hyper)
    expected = torch.nn.functional.conv2d(x, einsum(form, parts), **hyper)
    assert torch.allclose(found, expected, rtol=1e-10, atol=1e-10)
    assert torch.allclose(factorised.kernel(form, *parts), einsum(form, parts), rtol=1e-12)


@pytest.mark.parametrize(
    ("padding", "pads"), [("same", (1, 2, 1, 1)), ((1, (0, 2)), (0, 2, 1, 1)), ("valid", (0,) * 4)]
)
def test_paddings_that_are_not_even(padding: Any, pads: tuple[int, ...]) -> None:
    """The kernel is 3 by 4; PyTorch's pads begin with the last dimension."""
    sizes = dict.fromkeys(("r", "q", "t", "u"), 2) | {"co": 3, "ci": 2, "k1": 3, "k2": 4}
    parts = factors("tt", sizes)
    x = torch.randn(2, 2, 5, 6, dtype=torch.float64)
    found = factorised.conv2d("tt", x, *parts, padding=padding)
    padded = torch.nn.functional.pad(x, pads)
    expected = torch.nn.functional.conv2d(padded, einsum("tt", parts))
    assert torch.allclose(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("form", SHAPES)
def test_it_has_gradients(form: str) -> None:
    sizes = dict.fromkeys(("r", "q", "t", "u"), 2) | {"co": 3, "ci": 2, "k1": 3, "k2": 3}
    leaves = [
        t.requires_grad_()
        for t in (torch.randn(2, 2, 4, 4, dtype=torch.float64), *factors(form, sizes))
    ]
    assert torch.autograd.gradcheck(
        lambda *given: factorised.conv2d(form, *given, padding=1), leaves, fast_mode=True
    )


@pytest.mark.parametrize(
    ("form", "rank", "is_made"),
    [(form, 4, False) for form in SHAPES] + [("cp", 64, False), ("tr", 24, True)],
)
def test_the_kernel_is_made_only_where_that_is_cheapest(
    form: str, rank: int, is_made: bool
) -> None:
    sizes = dict.fromkeys(("r", "q", "t", "u"), rank) | {"co": 64, "ci": 64, "k1": 3, "k2": 3}
    f = factorised.compiled(form, (("p", 1),))
    names = [o.name for o in f.operands]
    shapes = [(8, 64, 28, 28), *(tuple(p.shape) for p in factors(form, sizes))]
    program = f.specialise(**dict(zip(names, shapes, strict=True))).program
    kernels = {
        program.steps[s.operation.weight].shape
        for s in program.steps
        if isinstance(s.operation, ops.Convolution)
    }
    assert ((64, 64, 3, 3) in kernels) is is_made


def test_an_unknown_form() -> None:
    with pytest.raises(dg.DiagramError) as caught:
        factorised.conv2d("tuker", torch.zeros(1, 1, 3, 3))
    assert str(caught.value) == (
        "error: no form of kernels is called 'tuker'\n  = help: did you mean 'tucker'?"
    )
