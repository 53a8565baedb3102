"""Sums over a loader do not stop, leave the range or lose digits in half precision: the mean over
many equal batches is that of one, but for rounding in float32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import diagrammar as dg
from benchmarks.low_precision import KINDS, WHAT, drift, network

EPS = 2.0**-24


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"accumulate": "float32"}], ids=["", "accumulate"])
def test_the_mean_of_equal_batches_is_theirs(kind: str, options: dict[str, Any]):
    for name, error in drift(kind, 400, **options).items():
        assert error <= 400 * EPS, name  # as many additions of one number


@pytest.mark.parametrize("kind", KINDS)
def test_results_are_those_of_the_same_numbers_in_float64(kind: str):
    """To the rounding of activations and gradients, which are in half precision."""
    model, x, y = network(kind)
    wide = network(kind)[0]
    inner = getattr(wide, "inner", wide).double()
    made = dg.curvature(model, (x, y), nn.CrossEntropyLoss(), WHAT)
    right = dg.curvature(inner, (x.double(), y), nn.CrossEntropyLoss(), WHAT)
    for ours, theirs in zip(made.sums.values(), right.sums.values(), strict=True):
        for name, value in theirs.items():
            assert ours[name].dtype in (torch.float32, torch.float64)
            assert (ours[name] - value).double().norm() <= 0.02 * value.double().norm(), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_eigenvectors_of_half_precision(dtype: torch.dtype):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).to(dtype)
    data = torch.randn(6, 4).to(dtype), torch.randint(3, (6,))
    basis = dg.curvature(model, data, nn.CrossEntropyLoss())
    made = dg.curvature(model, data, nn.CrossEntropyLoss(), "ekfac", basis=basis)
    diagonal = dg.curvature(model, data, nn.CrossEntropyLoss(), "diag_ggn").diagonal("0")
    trace = made.ekfac("0")[0].sum()  # which no rotation changes
    assert torch.allclose(trace, sum(part.sum() for part in diagonal), rtol=1e-3)


def test_two_dtypes_in_one_network():
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.low, self.high = nn.Linear(4, 5).bfloat16(), nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.high(self.low(x.bfloat16()).float().tanh())

    torch.manual_seed(0)
    given = torch.randn(6, 4), torch.randint(3, (6,))
    made = dg.curvature(Mixed(), given, nn.CrossEntropyLoss(), WHAT)
    assert {v.dtype for s in made.sums.values() for v in s.values()} == {
        torch.float32, torch.float64
    }  # fmt: skip


def test_buffers_that_a_loader_writes_into_again():
    """What "gram" keeps of a batch is its own."""
    torch.manual_seed(0)
    model, x, y = nn.Linear(4, 3), torch.randn(6, 4), torch.randn(6, 3)

    def reusing() -> Iterator[tuple[Tensor, Tensor]]:
        buffer = torch.empty(2, 4)
        for n in range(0, 6, 2):
            buffer.copy_(x[n : n + 2])
            yield buffer, y[n : n + 2]

    made = dg.curvature(model, reusing(), nn.MSELoss(), "gram").gram()
    assert torch.allclose(made, dg.curvature(model, (x, y), nn.MSELoss(), "gram").gram())
