"""Vectors of losses that autograd differentiates; half precision, empty batches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diagrammar.networks.losses import vectors_of
from tests.networks.hessians import C, close, gradients, hessians, products

# -- losses that are asked -------------------------------------------------------------------------


class Tempered(nn.CrossEntropyLoss):
    def forward(self, f: Tensor, y: Tensor) -> Tensor:
        return super().forward(f / 2, y)


class Fourth(nn.MSELoss):
    def forward(self, f: Tensor, y: Tensor) -> Tensor:
        return ((f - y) ** 4).mean()


class Kept(nn.CrossEntropyLoss):
    """A subclass that changes nothing."""


def hooked() -> nn.Module:
    loss = nn.MSELoss()
    loss.register_forward_hook(lambda module, given, made: 3 * made)
    return loss


def replaced() -> nn.Module:
    loss = nn.MSELoss()
    loss.forward = lambda f, y: 5 * F.mse_loss(f, y)
    return loss


ASKED: dict[str, tuple[Any, str]] = {
    "tempered": (Tempered(), "labels"),
    "a subclass as it is": (Kept(), "labels"),
    "F.cross_entropy": (F.cross_entropy, "labels"),
    "its options": (partial(F.cross_entropy, ignore_index=2, reduction="sum"), "labels"),
    "[b]": (lambda f, y: F.cross_entropy(f, y, reduction="none"), "labels"),
    "reduction none": (nn.CrossEntropyLoss(reduction="none"), "labels"),
    "two losses": (lambda f, y: F.cross_entropy(f, y) + f.square().mean(), "labels"),
    "log of softmax": (lambda f, y: F.nll_loss(f.log_softmax(1), y), "labels"),
    "Brier": (lambda f, y: (f - F.one_hot(y, C)).square().sum(), "labels"),
    "fourth": (Fourth(), "real"),
    "hook": (hooked(), "real"),
    "replaced": (replaced(), "real"),
    "F.mse_loss": (F.mse_loss, "real"),
    "Huber": (nn.HuberLoss(), "real"),
    "smooth L1": (nn.SmoothL1Loss(reduction="sum"), "real"),
    "Poisson": (nn.PoissonNLLLoss(), "positive"),
    "coupled entries": (lambda f, y: ((f - y).sum(1) ** 2).mean(), "real"),
    "of pairs": (lambda f, y: ((f - y[0]) ** 2 * y[1]["w"][:, None]).mean(), "pair"),
    "soft margin": (nn.MultiLabelSoftMarginLoss(), "binary"),
    "F.binary": (F.binary_cross_entropy_with_logits, "binary"),
    "by example": (lambda f, y: (f - y).square().sum(1), "real"),
    "cosh": (lambda f, y: (f - y).cosh().log().sum(), "real"),
}


def target_for(kind: str, f: Tensor) -> Any:
    real = torch.randn(f.shape).double()
    match kind:
        case "labels":
            return torch.randint(0, C, (len(f),))
        case "positive":
            return real.abs()
        case "binary":
            return (real > 0).double()
        case "pair":
            return Pair((real, {"w": torch.rand(len(f)).double()}))
    return real


class Pair(tuple):
    """A target of two parts; a slice of it is that of both."""

    def __getitem__(self, at: Any) -> Any:
        if not isinstance(at, slice):
            return super().__getitem__(at)
        real, more = self
        return Pair((real[at], {"w": more["w"][at]}))


@pytest.mark.parametrize("name", ASKED)
class TestAskedLosses:
    def test_vectors(self, name: str):
        torch.manual_seed(0)
        loss, kind = ASKED[name]
        f = torch.randn(5, C).double()
        y = target_for(kind, f)
        H = [t.nan_to_num(0) for t in hessians(loss, f, y)]
        assert close(products(vectors_of(loss)(f, y)), H, 1e-8)
        (joint,) = vectors_of(loss, "empirical")(f, y)
        assert close([*joint.split(1)], [t.nan_to_num(0) for t in gradients(loss, f, y)])
        drawn = vectors_of(loss, "mc", 800, torch.Generator().manual_seed(0))(f, y)
        for ours, right in zip(products(drawn), H, strict=True):
            assert (ours - right).norm() <= 0.25 * right.norm()

    def test_several_batches_and_rows(self, name: str):
        torch.manual_seed(1)
        loss, kind = ASKED[name]
        vectors = vectors_of(loss)
        f = torch.randn(6, C).double()
        y = target_for(kind, f)
        if name in ("[b]", "reduction none", "by example"):  # losses of rows, not of examples
            with pytest.raises((TypeError, ValueError), match=r"one number|is 'none'"):
                list(vectors(f, y, 2))
            return
        for count in (2, 6, 0, 4):
            H = [t.nan_to_num(0) for t in hessians(loss, f[:count], y[:count], 2)]
            made = list(vectors(f[:count], y[:count], 2))
            assert len(made) == (2 * C if count else 0)
            if count:
                assert close(products(iter(made), 2), H, 1e-8)


def test_a_function_may_give_vectors():
    f = torch.randn(3, C, requires_grad=True)
    functions: dict[str, Callable[[Tensor, Any], Any]] = {
        "tensor": lambda f, y: torch.stack([f, 2 * f]),
        "list": lambda f, y: [f, 2 * f],
        "tuple": lambda f, y: (f, 2 * f),
        "generator": lambda f, y: (n * f for n in (1, 2)),
        "float64": lambda f, y: [f.double(), 2 * f.double()],
    }
    for function in functions.values():
        one, two = vectors_of(function)(f, None)
        assert torch.equal(one, f.detach())
        assert torch.equal(two, 2 * f.detach())
        assert not one.requires_grad
    assert list(vectors_of(lambda f, y: torch.ones(0, *f.shape))(f, None)) == []


# -- half precision, empty batches -----------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", ["exact", "empirical"])
@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (nn.CrossEntropyLoss(), "labels"), (nn.MSELoss(), "real"), (Fourth(), "real"),
        (nn.BCEWithLogitsLoss(), "binary"), (Tempered(), "labels"),
    ],
)  # fmt: skip
def test_half_precision_is_that_of_float32(dtype: torch.dtype, kind: str, loss: Any, target: str):
    torch.manual_seed(0)
    f = torch.randn(5, C).to(dtype)
    y = target_for(target, f)
    y = y.to(dtype) if y.is_floating_point() else y
    try:
        loss(f.clone().requires_grad_(), y).backward()
    except RuntimeError as error:
        if "not implemented" not in str(error):
            raise
        pytest.skip(f"this torch cannot, {error}: pip install -U torch")
    ours = list(vectors_of(loss, kind)(f, y))
    wide = list(vectors_of(loss, kind)(f.float(), y.float() if y.is_floating_point() else y))
    assert all(v.dtype == dtype for v in ours)
    assert all(torch.equal(a, b.to(dtype)) for a, b in zip(ours, wide, strict=True))


@pytest.mark.parametrize("kind", ["exact", "mc", "empirical"])
@pytest.mark.parametrize("name", [*ASKED, "own", "squared", "classes", "binary"])
def test_an_empty_batch_has_no_vectors(kind: str, name: str):
    more: dict[str, tuple[Any, str]] = {
        "own": (lambda f, y: [f], "real"), "squared": (nn.MSELoss(), "real"),
        "classes": (nn.CrossEntropyLoss(), "labels"), "binary": (nn.BCEWithLogitsLoss(), "binary"),
    }  # fmt: skip
    loss, target = {**ASKED, **more}[name]
    f = torch.randn(0, C).double()
    y = target_for(target, torch.randn(2, C))[:0]
    assert list(vectors_of(loss, kind)(f, y)) == []
