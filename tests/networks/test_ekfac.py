"""EKFAC of a whole network: the Gauss–Newton diagonal in the basis of the factors' eigenvectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import diagrammar as dg
from tests.networks.test_curvature import LOSSES, Roots, batches, gradients, network

GROUPS = {"0": 1, "2": 2, "4": 2, "6": 1}


def by_group(grad: Tensor, layer: str) -> Tensor:
    """Gradients by a weight [v, n, *weight] as matrices [v, n, g, c_out/g, d]; channels that come
    in are a transposed weight's first."""
    parts = grad.unflatten(2, (GROUPS[layer], -1))
    if layer == "4":
        parts = parts.transpose(3, 4)
    return parts.flatten(4)


def reference(name: str, model: Any, data: Any, layer: str, basis: Any, bias: bool) -> Tensor:
    """Qᵀ G Q's diagonal for each group's dense block G, Q = Q_B ⊗ Q_A."""
    roots = Roots(LOSSES[name], data)
    rows = by_group(gradients(model, roots, f"{layer}.weight"), layer)
    if bias:
        by_bias = gradients(model, roots, f"{layer}.bias")
        column = by_bias.unflatten(2, (GROUPS[layer], -1))[..., None]
        rows = torch.cat([rows, column], -1)
    made = []
    for group, (Q_A, Q_B) in enumerate(zip(*basis, strict=True)):
        g = rows[:, :, group].flatten(2).flatten(0, 1)
        block = g.T @ g / 5
        Q = torch.kron(Q_B, Q_A)
        made.append((Q.T @ block @ Q).diagonal().reshape(len(Q_B), len(Q_A)))
    return torch.stack(made)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("kind", ["kfac_expand", "kfac_reduce"])
@pytest.mark.parametrize("bias", [True, False])
def test_it_is_the_diagonal_of_the_rotated_matrix(name: str, kind: str, bias: bool):
    model, data = network(), batches(name)
    factors = dg.curvature(model, data, LOSSES[name], kind, bias=bias)
    made = dg.curvature(model, data, LOSSES[name], "ekfac", basis=factors, bias=bias)
    for layer in made.layers:
        values, Q_A, Q_B = made.ekfac(layer)
        A, B = factors.factors(layer, kind)
        for Q, factor in ((Q_A, A), (Q_B, B)):
            rotated = Q.mT @ factor @ Q
            off = rotated - torch.diag_embed(torch.diagonal(rotated, dim1=1, dim2=2))
            assert off.abs().max() <= 1e-12 * factor.abs().max()
        joint = bias and layer != "2"
        expected = reference(name, model, data, layer, (Q_A, Q_B), joint)
        assert torch.allclose(values, expected, rtol=1e-9, atol=1e-12)


def test_no_diagonal_in_this_basis_is_nearer():
    model, data, loss = network(), batches(), LOSSES["squared"]
    factors = dg.curvature(model, data, loss)
    made = dg.curvature(model, data, loss, "ekfac", basis=factors)
    g = gradients(model, Roots(loss, data), "2.weight")
    rows = by_group(g, "2")[:, :, 0].flatten(2).flatten(0, 1)
    block = rows.T @ rows / 5
    values, Q_A, Q_B = (part[0] for part in made.ekfac("2"))
    A, B = (factor[0] for factor in factors.factors("2"))
    Q = torch.kron(Q_B, Q_A)
    ekfac = Q @ torch.diag(values.flatten()) @ Q.T
    assert (ekfac - block).norm() < 0.99 * (torch.kron(B, A) - block).norm()


def test_parts_files_and_shapes(tmp_path: Path):
    pytest.importorskip("safetensors", reason="pip install 'diagrammar[save]'")
    model, data, loss = network(), batches(), LOSSES["squared"]
    factors = dg.curvature(model, data, loss)
    made = dg.curvature(model, data, loss, ("ekfac", "diag_ggn"), basis=factors)
    one, two = (dg.curvature(model, [b], loss, "ekfac", basis=factors) for b in data)
    made.save(tmp_path / "made.safetensors")
    for other in (one + two, dg.Curvature.load(tmp_path / "made.safetensors")):
        for layer in made.layers:
            for a, b in zip(made.ekfac(layer), other.ekfac(layer), strict=True):
                assert torch.allclose(a, b, rtol=1e-12)
    shapes = [tuple(part.shape) for part in made.ekfac("4")]
    assert shapes == [(2, 1, 9), (2, 9, 9), (2, 1, 1)]


def test_errors():
    model, data, loss = network(), batches(), LOSSES["squared"]
    factors = dg.curvature(model, data, loss)

    def run(what: str = "ekfac", **options: Any) -> dg.Curvature:
        return dg.curvature(model, data, loss, what, **options)

    with pytest.raises(ValueError, match=r"ekfac needs basis=, the Kronecker factors"):
        run()
    with pytest.raises(ValueError, match=r"basis is for ekfac"):
        run("diag_ggn", basis=factors)
    with pytest.raises(ValueError, match="bias is True in the basis and False here"):
        run(basis=factors, bias=False)
    with pytest.raises(ValueError, match="groups='average_rows' has no ekfac"):
        run(basis=run("kfac_expand", groups="average_rows"), groups="average_rows")
    with pytest.raises(ValueError, match="no Kronecker factors in the basis"):
        run(basis=run("diag_ggn"))
    with pytest.raises(ValueError, match="layer '6' is not in the basis"):
        run(basis=run("kfac_expand", layers=["0", "2", "4"]))
    with pytest.raises(KeyError, match="ekfac was not computed"):
        factors.ekfac("0")
    other = dg.curvature(model, data[:1], loss)
    with pytest.raises(ValueError, match="bases differ"):
        run(basis=factors) + run(basis=other)
