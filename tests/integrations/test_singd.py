"""singd's inputs by our layers: its own numbers where those are right, and right elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

pytest.importorskip("singd", reason="pip install 'diagrammar[singd]'")

from singd.optim import optimizer
from singd.optim.optimizer import SINGD

from diagrammar.integrations import singd as ours
from diagrammar.layers import Conv


@pytest.mark.parametrize("kind", ["expand", "reduce"])
@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(2, 3, 3, padding=1),
        nn.Conv2d(4, 6, (2, 3), stride=2, groups=2, dilation=2, bias=False),
        nn.Conv2d(2, 3, 3, padding="same"),
        nn.Linear(5, 2),
    ],
    ids=["plain", "groups", "same", "linear"],
)
def test_its_own_rows(module: nn.Module, kind: str):
    torch.manual_seed(0)
    shape = (3, 6, 5) if isinstance(module, nn.Linear) else (3, module.in_channels, 6, 7)
    x = torch.randn(shape)
    theirs = ours.THEIRS(x.clone(), module, kind)
    made = ours.process_input(x, module, kind)
    assert torch.allclose(made.T @ made, theirs.T @ theirs, atol=1e-5)


@pytest.mark.parametrize("kind", ["expand", "reduce"])
@pytest.mark.parametrize("options", [{"padding_mode": "circular"}, {}], ids=["circular", "even"])
def test_what_it_has_wrong_or_refuses(options: dict[str, Any], kind: str):
    torch.manual_seed(0)
    size = 3 if options else 2
    module = nn.Conv2d(2, 3, size, padding="same", bias=False, **options).double()
    x = torch.randn(3, 2, 4, 5, dtype=torch.float64)
    rows = ours.process_input(x, module, kind)
    factor = getattr(Conv.of(module), f"kfac_{kind}")(x, scale="singd")[0]
    assert torch.allclose(rows.T @ rows, factor)
    if options:
        theirs = ours.THEIRS(x.clone(), module, kind)
        assert not torch.allclose(theirs.T @ theirs, factor, rtol=1e-2)
    elif kind == "expand":
        with pytest.raises(NotImplementedError, match="Unequal padding"):
            ours.THEIRS(x.clone(), module, kind)


def trained(context: Any) -> torch.Tensor:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Flatten(), nn.Linear(32, 2))
    x, y = torch.randn(5, 1, 4, 4), torch.randint(0, 2, (5,))
    steps = SINGD(model, lr=1e-2, T=1)
    for _ in range(3):
        with context():
            steps.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            steps.step()
    return model[0].weight.detach()


def test_training_is_the_same_where_its_rows_are_right():
    from contextlib import nullcontext

    assert torch.allclose(trained(ours.inputs), trained(nullcontext), atol=1e-6)


def test_the_function_is_given_back():
    with ours.inputs():
        assert optimizer.process_input is ours.process_input
    assert optimizer.process_input is ours.THEIRS
