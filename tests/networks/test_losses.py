"""Vectors of losses against Hessians of torch's own losses, example by example, by torch.func."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import diagrammar as dg
from diagrammar.networks.losses import vectors_of
from tests.networks.hessians import C, close, examples_of, gradients, hessians, products

# -- the losses of torch, with all their options ---------------------------------------------------

SHAPES = {"classes": (), "sequence": (3,), "image": (2, 3)}


def labels(shape: tuple[int, ...], *, ignored: int | None = None) -> Tensor:
    y = torch.randint(0, C, (3, *shape))
    if ignored is not None:  # the first example keeps all its positions, others lose some
        lost = torch.rand(y.shape) < 0.4
        lost[0] = False
        y = y.masked_fill(lost if shape else torch.tensor([False, True, False]), ignored)
    return y


def cross_entropies() -> Iterator[Any]:
    weight = torch.tensor([0.5, 2.0, 0.0, 1.3]).double()
    kinds = {
        "plain": {}, "weighted": {"weight": weight}, "smoothed": {"label_smoothing": 0.2},
        "both": {"weight": weight, "label_smoothing": 0.3},
    }  # fmt: skip
    for where, reduction, kind in product(SHAPES, ("mean", "sum"), kinds):
        for ignored in (None, -100, 255, 1):
            options = {"reduction": reduction, **kinds[kind]}
            if ignored is not None:
                options["ignore_index"] = ignored
            yield pytest.param(where, ignored, options, id=f"{where}-{reduction}-{kind}-{ignored}")


class TestCrossEntropy:
    @pytest.mark.parametrize(("where", "ignored", "options"), [*cross_entropies()])
    def test_labels(self, where: str, ignored: int | None, options: dict[str, Any]):
        torch.manual_seed(0)
        f = torch.randn(3, C, *SHAPES[where]).double()
        y = labels(SHAPES[where], ignored=ignored)
        self.check(nn.CrossEntropyLoss(**options), f, y)

    @pytest.mark.parametrize("smoothing", [0.0, 0.2])
    @pytest.mark.parametrize("where", SHAPES)
    @pytest.mark.parametrize("reduction", ["mean", "sum"])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_probabilities(self, where: str, reduction: str, smoothing: float, weighted: bool):
        torch.manual_seed(0)
        f = torch.randn(3, C, *SHAPES[where]).double()
        y = torch.rand(f.shape).double()  # which need not sum to one
        weight = torch.rand(C).double() if weighted else None
        options = {"reduction": reduction, "label_smoothing": smoothing, "weight": weight}
        self.check(nn.CrossEntropyLoss(**options), f, y)

    @staticmethod
    def check(loss: nn.Module, f: Tensor, y: Tensor) -> None:
        """Against torch's, where an example has a number and not NaN, and else zeros."""
        H, g = hessians(loss, f, y), gradients(loss, f, y)
        H, g = ([t.nan_to_num(0) for t in of] for of in (H, g))
        assert close(products(vectors_of(loss)(f, y)), H)
        (joint,) = vectors_of(loss, "empirical")(f, y)
        assert close([*joint.split(1)], g)
        drawn = vectors_of(loss, "mc", 800, torch.Generator().manual_seed(0))(f, y)
        for ours, right in zip(products(drawn), H, strict=True):
            assert (ours - right).norm() <= 0.25 * right.norm()

    @pytest.mark.parametrize("rows", [1, 2, 3, 6])
    @pytest.mark.parametrize("reduction", ["mean", "sum"])
    @pytest.mark.parametrize("ignored", [None, -100, 0])
    def test_rows_of_one_example(self, rows: int, reduction: str, ignored: int | None):
        torch.manual_seed(0)
        f, y = torch.randn(12, C).double(), torch.randint(0, C, (12,))
        options: dict[str, Any] = {"reduction": reduction}
        if ignored is not None:
            y[2], options["ignore_index"] = ignored, ignored
            y[7] = ignored
        loss = nn.CrossEntropyLoss(**options)
        H = [t.nan_to_num(0) for t in hessians(loss, f, y, rows)]
        vectors = list(vectors_of(loss)(f, y, rows))
        assert len(vectors) == rows * C
        assert close(products(iter(vectors), rows), H)
        (joint,) = vectors_of(loss, "empirical")(f, y, rows)
        assert close([*joint.split(rows)], [t.nan_to_num(0) for t in gradients(loss, f, y, rows)])

    def test_an_example_without_positions_is_zero(self):
        f, y = torch.randn(3, C, 2).double(), torch.full((3, 2), 7)
        y[1] = 1
        loss = nn.CrossEntropyLoss(ignore_index=7)
        for kind in ("exact", "mc", "empirical"):
            for v in vectors_of(loss, kind)(f, y):
                assert v.isfinite().all()
                assert not v[0].any()
                assert not v[2].any()
                assert v[1].any()


BROADCAST = [(), (2,), (3, 1), (3, 2), (1, 3, 2)]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weight", [None, *BROADCAST])
@pytest.mark.parametrize("pos_weight", [None, *BROADCAST])
def test_binary_cross_entropy(reduction: str, weight: Any, pos_weight: Any):
    torch.manual_seed(0)
    f, y = torch.randn(2, 3, 2).double(), torch.rand(2, 3, 2).double()
    given = {
        name: None if shape is None else torch.rand(shape).double()
        for name, shape in (("weight", weight), ("pos_weight", pos_weight))
    }
    loss = nn.BCEWithLogitsLoss(reduction=reduction, **given)
    H = hessians(loss, f, y)
    assert close(products(vectors_of(loss)(f, y)), H)
    (joint,) = vectors_of(loss, "empirical")(f, y)
    assert close([*joint.split(1)], gradients(loss, f, y))
    drawn = vectors_of(loss, "mc", 800, torch.Generator().manual_seed(0))(f, y)
    for ours, right in zip(products(drawn), H, strict=True):
        assert (ours - right).norm() <= 0.25 * right.norm()


@pytest.mark.parametrize("cls", [nn.MSELoss, nn.BCEWithLogitsLoss])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (1, 2, 2)])
@pytest.mark.parametrize("rows", [1, 2, 4])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_losses_by_entry(cls: type, shape: tuple[int, ...], rows: int, reduction: str):
    torch.manual_seed(0)
    f, y = torch.randn(8, *shape).double(), torch.rand(8, *shape).double()
    loss = cls(reduction=reduction)
    assert close(products(vectors_of(loss)(f, y, rows), rows), hessians(loss, f, y, rows))
    (joint,) = vectors_of(loss, "empirical")(f, y, rows)
    assert close([*joint.split(rows)], gradients(loss, f, y, rows))


# -- scales of empirical vectors -------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", ["squared", "classes", "weighted", "ignored", "binary"])
@pytest.mark.parametrize("rows", [1, 2])
def test_terms_apart(name: str, reduction: str, rows: int):
    """Σ_t (w_t/Z) g_t g_tᵀ of terms' gradients g_t, each by torch from a loss with one term."""
    torch.manual_seed(0)
    f, T = torch.randn(4, C, 3).double(), 3 * rows
    weight = torch.tensor([0.5, 2.0, 1.0, 3.0]).double()
    y = torch.randint(0, C, (4, 3))
    options: dict[str, Any] = {"reduction": reduction}
    if name == "weighted":
        options["weight"] = weight
    if name == "ignored":
        options["ignore_index"] = 9
        y[0, 1] = y[3, 2] = 9
    if name in ("squared", "binary"):
        y, T = torch.randint(0, 2, f.shape).double(), 3 * C * rows
    cls = {"squared": nn.MSELoss, "binary": nn.BCEWithLogitsLoss}.get(name, nn.CrossEntropyLoss)
    ours = list(vectors_of(cls(**options), "empirical", terms="separate")(f, y, rows))
    assert len(ours) == T
    right = []
    for one, target in examples_of(f, y, rows):
        sums, divisor = torch.zeros(one.numel(), one.numel()).double(), 0.0
        for at in product(*map(range, target.shape)):
            if name == "ignored" and int(target[at]) == 9:
                continue
            w = float(weight[int(target[at])]) if name == "weighted" else 1.0

            def term(t: Tensor, at: Any = at, target: Tensor = target) -> Tensor:
                if cls is not nn.CrossEntropyLoss:
                    return cls(reduction="sum")(t[at], target[at])
                return F.cross_entropy(t[at[0], :, at[1]], target[at])

            g = torch.func.grad(term)(one).flatten()
            sums, divisor = sums + w * torch.outer(g, g), divisor + w
        right.append(sums / (divisor if reduction == "mean" else 1))
    assert close(products(iter(ours), rows), right)


def test_curvlinops_scale():
    torch.manual_seed(0)
    f, y = torch.randn(4, C, 6), torch.randint(0, C, (4, 6))
    for reduction, factor in (("mean", 6**0.5), ("sum", 1.0)):
        loss = nn.CrossEntropyLoss(reduction=reduction)
        (joint,) = vectors_of(loss, "empirical")(f, y)
        (theirs,) = vectors_of(loss, "empirical", terms="curvlinops")(f, y)
        assert torch.allclose(theirs, joint * factor)
    (joint,) = vectors_of(nn.MSELoss(), "empirical")(f, f + 1)
    (theirs,) = vectors_of(nn.MSELoss(), "empirical", terms="curvlinops")(f, f + 1)
    assert torch.allclose(theirs, joint * 24**0.5)
    model, x = nn.Conv1d(2, C, 1), torch.randn(4, 2, 6)
    made = {
        terms: dg.curvature(model, (x, y), nn.CrossEntropyLoss(), vectors="empirical", terms=terms)
        for terms in ("joint", "curvlinops")
    }
    assert torch.allclose(6 * made["joint"].factors("")[1], made["curvlinops"].factors("")[1])
    assert made["joint"].options["terms"] == "joint"
