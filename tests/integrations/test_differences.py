"""Where results of other libraries differ from ours: docs/integrations.md, each line reproduced."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import diagrammar as dg

pytestmark = pytest.mark.filterwarnings("ignore")


class Mean(nn.Module):
    """A layer, averaged over positions: KFAC-reduce is exact under squared loss."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).flatten(2).mean(2)


def off(module: str, layer: nn.Module, size: tuple[int, ...]) -> float:
    """How far KFAC-reduce of a module's operator is from curvlinops' own GGN, relatively."""
    curvlinops = pytest.importorskip("curvlinops", reason="pip install 'diagrammar[curvlinops]'")
    library = importlib.import_module(module)
    torch.manual_seed(0)
    model = Mean(layer).double()
    x = 1 + torch.randn(4, layer.in_channels, *size, dtype=torch.float64)
    given = model, nn.MSELoss(), list(model.parameters()), [(x, model(x).detach())]
    eye = torch.eye(sum(p.numel() for p in given[2]), dtype=torch.float64)
    ggn = curvlinops.GGNLinearOperator(*given) @ eye
    options = {"fisher_type": "type-2", "kfac_approx": "reduce", "separate_weight_and_bias": False}
    return float((library.KFACLinearOperator(*given, **options) @ eye - ggn).norm() / ggn.norm())


OURS = "diagrammar.integrations.curvlinops"


def test_curvlinops_groups():
    layer = nn.Conv2d(4, 4, 3, groups=2)
    assert off("curvlinops", layer, (5, 5)) > 0.01
    assert off(OURS, layer, (5, 5)) < 1e-12


def test_curvlinops_circular():
    layer = nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular")
    assert off("curvlinops", layer, (5, 5)) > 0.01
    assert off(OURS, layer, (5, 5)) < 1e-12


def test_curvlinops_dilation_is_right():
    assert off("curvlinops", nn.Conv2d(2, 3, 3, dilation=2), (6, 6)) < 1e-12


def test_curvlinops_even_same():
    curvlinops = pytest.importorskip("curvlinops", reason="pip install 'diagrammar[curvlinops]'")
    layer, x = nn.Conv2d(2, 3, 2, padding="same"), torch.randn(2, 2, 4, 4)
    model = nn.Sequential(layer, nn.Flatten())
    given = model, nn.MSELoss(), list(model.parameters()), [(x, model(x).detach())]
    with pytest.raises(NotImplementedError, match="Unequal padding"):
        curvlinops.KFACLinearOperator(*given).compute_kronecker_factors()


@pytest.mark.parametrize("layer", [nn.Conv1d(2, 3, 2), nn.ConvTranspose2d(2, 3, 2)])
def test_curvlinops_other_layers(layer: nn.Module):
    with pytest.raises(NotImplementedError, match="un-supported layers"):
        off("curvlinops", layer, (5,) if isinstance(layer, nn.Conv1d) else (5, 5))


class Positions(nn.Module):
    """Outputs at 7 positions, classes on axis 1 or last."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.one, self.two, self.axis = nn.Linear(3, 5), nn.Linear(5, 4), axis

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.one(x).tanh()).movedim(-1, self.axis)


@pytest.mark.parametrize("classes", [True, False])
def test_curvlinops_empirical_terms(classes: bool):
    """Of a mean of T terms theirs is T times the square of an example's gradient."""
    curvlinops = pytest.importorskip("curvlinops", reason="pip install 'diagrammar[curvlinops]'")
    torch.manual_seed(0)
    model, x = Positions(1 if classes else 2).double(), torch.randn(6, 7, 3).double()
    y = torch.randint(0, 4, (6, 7)) if classes else torch.randn(6, 7, 4).double()
    loss = nn.CrossEntropyLoss() if classes else nn.MSELoss()
    operator = curvlinops.KFACLinearOperator(
        model, loss, list(model.parameters()), [(x, y)], fisher_type="empirical",
        separate_weight_and_bias=False, check_deterministic=False,
    )  # fmt: skip
    operator.compute_kronecker_factors()
    for terms, times in (("joint", 7 if classes else 28), ("curvlinops", 1)):
        made = dg.curvature(model, (x, y), loss, vectors="empirical", terms=terms)
        for layer in ("one", "two"):
            A, B = (factor[0] for factor in made.factors(layer))
            covariances = operator._gradient_covariances, operator._input_covariances
            theirs = torch.kron(*(of[layer] for of in covariances))
            assert torch.allclose(theirs, times * torch.kron(B, A), rtol=1e-10, atol=1e-15)


def backpacks(layer: nn.Module, size: tuple[int, ...], name: str) -> tuple[Tensor, Tensor]:
    """A quantity by BackPACK's own code, and each example's gradient by autograd."""
    backpack = pytest.importorskip("backpack", reason="pip install 'diagrammar[backpack]'")
    from backpack import extensions

    torch.manual_seed(0)
    x, layer = torch.randn(3, layer.in_channels, *size).double(), layer.double()
    grads = [torch.autograd.grad(layer(one[None]).square().sum(), layer.weight) for one in x]
    model, loss = backpack.extend(nn.Sequential(layer, nn.Flatten())), nn.MSELoss(reduction="sum")
    loss, made = backpack.extend(loss), getattr(extensions, name)()
    with backpack.backpack(made):
        y = model(x)
        loss(y, torch.zeros_like(y)).backward()
    return getattr(layer.weight, made.savefield), torch.stack([g for (g,) in grads])


WRONG: dict[str, tuple[Any, tuple[int, ...], str]] = {
    "groups": (lambda: nn.Conv2d(4, 4, 3, groups=2), (5, 5), "BatchL2Grad"),
    "circular": (
        lambda: nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), (5, 5), "BatchGrad",
    ),
    "circular, norms": (
        lambda: nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), (5, 5), "BatchL2Grad",
    ),
    "same": (lambda: nn.Conv2d(2, 2, 3, padding="same"), (5, 5), "BatchGrad"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_backpack_wrong(case: str):
    make, size, name = WRONG[case]
    found, g = backpacks(make(), size, name)
    expected = g if name == "BatchGrad" else g.square().flatten(1).sum(1)
    assert (found - expected).norm() > 0.01 * expected.norm()


@pytest.mark.parametrize("name", ["BatchGrad", "BatchL2Grad"])
def test_backpack_dilation_is_right(name: str):
    found, g = backpacks(nn.Conv2d(2, 2, 3, dilation=2), (6, 6), name)
    expected = g if name == "BatchGrad" else g.square().flatten(1).sum(1)
    assert torch.allclose(found, expected)


@pytest.mark.parametrize("name", ["BatchL2Grad", "DiagGGNExact"])
def test_backpack_same_raises(name: str):
    with pytest.raises(TypeError, match="padding"):
        backpacks(nn.Conv2d(2, 2, 3, padding="same"), (5, 5), name)


@pytest.mark.parametrize("name", ["BatchGrad", "BatchL2Grad", "DiagGGNExact"])
def test_backpack_output_padding_raises(name: str):
    with pytest.raises((RuntimeError, ValueError), match=r"[Ss]ize|shape"):
        backpacks(nn.ConvTranspose2d(2, 2, 3, stride=2, output_padding=1), (3, 3), name)
