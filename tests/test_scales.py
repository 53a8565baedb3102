"""Presets of other libraries against numbers worked out by hand, and against the libraries.

One channel in, one out, a pointwise layer on N = 2 examples with T = 2 positions: rows 1, 2 and
3, 4; vectors of the summed loss 1, 1 and 2, 0. So A₀ = 1 + 4 + 9 + 16 = 30, Ā₀ = 1.5² + 3.5² =
14.5, G₀ = 1 + 1 + 4 = 6, and with positions summed 2² + 2² = 8.
"""

from __future__ import annotations

import pytest
import torch

import diagrammar as dg
from diagrammar.layers.scales import SCALES

X = torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]], dtype=torch.float64)
S = torch.zeros(4, 2, 1, 2, dtype=torch.float64)  # V = 4 vectors, three of them zero
S[0] = torch.tensor([[[1.0, 1.0]], [[2.0, 0.0]]])

EXPAND = {
    "default": (30 / 2, 6 / 4),
    "curvlinops": (30 / (10 * 2), 6 / 10),  # n_data = 10
    "curvlinops-sum": (30 / (10 * 2), 6),
    "singd": (30 / 4, 6 / 2),
    "backpack": (30 / 2, 8 / 2),
    "nngeometry": (2 * 30 / 10, 6 / (10 * 2 * 2)),
    "kfac-pytorch": (30 / (2 * 8), 6 / (8 * 8)),
    "kfac-jax": (30 / 4, 6 / 4),
    "einconv": (30 / 2, None),
}
REDUCE = {
    "default": (14.5 / 2, 8 / 2),
    "curvlinops": (14.5 / 10, 8 / 10),
    "curvlinops-sum": (14.5 / 10, 8),
    "singd": (14.5 / 2, 8 / 2),
    "einconv": (14.5 / 2, None),
}


def conv() -> dg.layers.Conv:
    return dg.layers.Conv((1,))


def test_every_preset_is_worked_out() -> None:
    assert set(EXPAND) == set(SCALES)
    assert set(REDUCE) == {n for n, s in SCALES.items() if s.reduces}


@pytest.mark.parametrize("scale", EXPAND)
def test_expand(scale: str) -> None:
    a, b = EXPAND[scale]
    found = conv().kfac_expand(X, scale=scale, n_data=10, vectors=4)
    assert found.item() == pytest.approx(a, rel=1e-12)
    if b is None:
        with pytest.raises(ValueError, match="has no output factor"):
            conv().kfac_expand_grad(S, scale=scale)
    else:
        found = conv().kfac_expand_grad(S, scale=scale, n_data=10)
        assert found.item() == pytest.approx(b, rel=1e-12)


@pytest.mark.parametrize("scale", SCALES)
def test_reduce(scale: str) -> None:
    if scale not in REDUCE:
        with pytest.raises(ValueError, match=f"{scale} has no KFAC-reduce"):
            conv().kfac_reduce(X, scale=scale)
        return
    a, b = REDUCE[scale]
    found = conv().kfac_reduce(X, scale=scale, n_data=10)
    assert found.item() == pytest.approx(a, rel=1e-12)
    if b is not None:
        found = conv().kfac_reduce_grad(S, scale=scale, n_data=10)
        assert found.item() == pytest.approx(b, rel=1e-12)


def test_an_unknown_scale_names_those_there_are() -> None:
    with pytest.raises(ValueError, match="there are default, curvlinops, "):
        conv().kfac_expand(X, scale="tensorflow")
