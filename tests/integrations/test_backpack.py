"""BackPACK with our convolutions, against gradients of single examples by autograd."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

backpack = pytest.importorskip("backpack", reason="pip install 'diagrammar[backpack]'")

from backpack import extensions  # noqa: E402

from diagrammar.integrations.backpack import ours  # noqa: E402

LAYERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "plain": (lambda: nn.Conv2d(2, 3, 3, padding=1), (4, 3)),
    "groups": (lambda: nn.Conv2d(4, 6, 3, groups=2, stride=2), (5, 7)),
    "dilation": (lambda: nn.Conv1d(2, 3, 3, dilation=2), (8,)),
    "circular": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (4, 3)),
    "same": (lambda: nn.Conv2d(2, 3, 3, padding="same"), (4, 3)),
    "even same": (lambda: nn.Conv1d(2, 3, 4, padding="same"), (5,)),
    "3-d": (lambda: nn.Conv3d(1, 2, 2), (3, 2, 3)),
    "output padding": (lambda: nn.ConvTranspose2d(2, 2, 3, stride=2, output_padding=1), (2, 3)),
    "transposed groups": (lambda: nn.ConvTranspose1d(4, 2, 2, groups=2), (4,)),
}


def problem(case: str) -> tuple[nn.Module, nn.Module, Tensor, Tensor]:
    """Two convolutions, so that one has vectors that came through the other."""
    torch.manual_seed(0)
    make, size = LAYERS[case]
    layer = make().double()
    pointwise = type(layer)(layer.in_channels, layer.in_channels, 1).double()
    model = nn.Sequential(pointwise, nn.Sigmoid(), layer, nn.Flatten())
    x = torch.randn(4, layer.in_channels, *size, dtype=torch.float64)
    return model, nn.MSELoss(reduction="sum"), x, torch.randn_like(model(x))


def run(case: str, *made: Any) -> nn.Module:
    model, loss, x, y = problem(case)
    model, loss = backpack.extend(model), backpack.extend(loss)
    with backpack.backpack(*made):
        loss(model(x), y).backward()
    return model


def gradients(case: str, roots: bool = False) -> dict[str, Tensor]:
    """Each example's gradient of the loss, [1, n, *p], or of √2 times each output, [v, n, *p]."""
    model, loss, x, y = problem(case)
    found: dict[str, list[Tensor]] = {}
    names, params = zip(*model.named_parameters(), strict=True)
    for n in range(len(x)):
        f = model(x[n : n + 1])
        scalars = [2**0.5 * entry for entry in f.flatten()] if roots else [loss(f, y[n : n + 1])]
        rows = [torch.autograd.grad(s, params, retain_graph=True) for s in scalars]
        for name, parts in zip(names, zip(*rows, strict=True), strict=True):
            found.setdefault(name, []).append(torch.stack(parts))
    return {name: torch.stack(parts, 1) for name, parts in found.items()}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", LAYERS)
class TestAgainstSingleExamples:
    def test_first_order(self, case: str):
        made = [extensions.BatchGrad, extensions.BatchL2Grad, extensions.SumGradSquared]
        model = run(case, *(ours(cls()) for cls in (*made, extensions.Variance)))
        for name, (g,) in gradients(case).items():
            p = model.get_parameter(name)
            assert torch.allclose(p.grad_batch, g, rtol=1e-9, atol=1e-11)
            assert torch.allclose(p.batch_l2, g.square().flatten(1).sum(1), rtol=1e-9)
            assert torch.allclose(p.sum_grad_squared, g.square().sum(0), rtol=1e-9)
            assert torch.allclose(p.variance, g.var(0, unbiased=False), rtol=1e-8, atol=1e-11)

    def test_gauss_newton_diagonals(self, case: str):
        model = run(case, ours(extensions.DiagGGNExact()), ours(extensions.BatchDiagGGNExact()))
        for name, g in gradients(case, roots=True).items():
            p = model.get_parameter(name)
            assert torch.allclose(p.diag_ggn_exact_batch, g.square().sum(0), rtol=1e-9)
            assert torch.allclose(p.diag_ggn_exact, g.square().sum((0, 1)), rtol=1e-9)


@pytest.mark.filterwarnings("ignore")
def test_some_examples_only():
    model = run("groups", ours(extensions.BatchGrad(subsampling=[2, 0])))
    for name, (g,) in gradients("groups").items():
        assert torch.allclose(model.get_parameter(name).grad_batch, g[[2, 0]], rtol=1e-9)


@pytest.mark.filterwarnings("ignore")
def test_drawn_vectors_average_to_the_exact_diagonal():
    model = run("circular", ours(extensions.DiagGGNMC(mc_samples=4000)))
    for name, g in gradients("circular", roots=True).items():
        exact = g.square().sum((0, 1))
        assert (model.get_parameter(name).diag_ggn_mc - exact).norm() < 0.1 * exact.norm()


def test_other_extensions():
    with pytest.raises(TypeError, match="nothing of ours for KFAC; there are BatchGrad"):
        ours(extensions.KFAC())
