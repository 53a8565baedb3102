"""Vectors of losses against Hessians of torch's own losses, example by example, by torch.func."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import diagrammar as dg
from diagrammar.networks.losses import vectors_of

C = 4  # classes


def examples_of(f: Tensor, y: Any, rows: int) -> Iterator[tuple[Tensor, Any]]:
    for n in range(0, len(f), rows):
        yield f[n : n + rows], y[n : n + rows]


def hessians(loss: Any, f: Tensor, y: Any, rows: int = 1) -> list[Tensor]:
    """∇² of the loss of each example as a batch of one."""
    found = []
    for one, target in examples_of(f, y, rows):
        H = torch.autograd.functional.hessian(lambda t, y=target: loss(t, y).sum(), one)
        found.append(H.reshape(one.numel(), one.numel()))
    return found


def products(vectors: Iterator[Tensor], rows: int = 1) -> list[Tensor]:
    """Σ v vᵀ for each example."""
    stack = torch.stack(list(vectors))
    parts = stack.split(rows, 1)
    return [torch.einsum("vp,vq->pq", v.flatten(1), v.flatten(1)) for v in parts]


def gradients(loss: Any, f: Tensor, y: Any, rows: int = 1) -> list[Tensor]:
    return [
        torch.func.grad(lambda t, y=target: loss(t, y).sum())(one)
        for one, target in examples_of(f, y, rows)
    ]


def close(ours: list[Tensor], theirs: list[Tensor], rtol: float = 1e-10) -> bool:
    pairs = zip(ours, theirs, strict=True)
    return all(torch.allclose(a, b, rtol=rtol, atol=rtol * float(b.abs().max())) for a, b in pairs)


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


# -- what is refused, and in which words -----------------------------------------------------------


def focal(f: Tensor, y: Tensor) -> Tensor:
    ce = F.cross_entropy(f, y, reduction="none")
    return ((1 - (-ce).exp()) ** 2 * ce).mean()


def in_batch(f: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(f @ f.T, torch.arange(len(f))) + f.square().sum()


L = torch.tensor
R = partial(torch.randn, generator=torch.Generator().manual_seed(0))
REFUSED: dict[str, tuple[Any, Any, Any, str]] = {
    "broadcast": (nn.MSELoss(), R(3, 4), R(3, 1), r"outputs' shape \(3, 4\), not \(3, 1\); it is"),
    "a column": (nn.MSELoss(), R(3, 1), R(3), r"not broadcast; y\.reshape\(3, 1\) would have it"),
    "no tensor": (nn.MSELoss(), R(2, 1), [0.0, 1.0], "needs a tensor for a target, not a list"),
    "binary": (nn.BCEWithLogitsLoss(), R(3, 4), R(3), r"outputs' shape \(3, 4\), not \(3,\)"),
    "not binary": (nn.BCEWithLogitsLoss(), R(2, 1), L([[2.0], [0]]), "between 0 and 1; these run"),
    "complex": (nn.MSELoss(), R(2, 1), R(2, 1) * 1j, "needs a real target"),
    "classes last": (nn.CrossEntropyLoss(), R(2, 3, 5), torch.zeros(2, 3).long(),
                     r"classes on axis 1, so labels have shape \(2, 5\), not \(2, 3\); classes are "
                     r"on the last axis here: let the network return f\.transpose\(1, 2\)"),
    "images": (nn.CrossEntropyLoss(), R(2, 3, 4, 5), torch.zeros(2, 3, 4).long(), "movedim"),
    "unbatched": (nn.CrossEntropyLoss(), R(4), L(1), "have no axis of classes, or none"),
    "a label": (nn.CrossEntropyLoss(), R(2, 4), L([1, 4]),
                r"label 4 at \[1\] is not among the classes 0 … 3, nor ignore_index=-100"),
    "below": (nn.CrossEntropyLoss(ignore_index=9), R(2, 4, 2), L([[1, 2], [-1, 9]]),
              r"label -1 at \[1, 0\] is not among the classes 0 … 3, nor ignore_index=9"),
    "uint8": (nn.CrossEntropyLoss(), R(1, 4), L([156], dtype=torch.uint8), "label 156 at"),
    "int32": (nn.CrossEntropyLoss(), R(2, 4), L([1, 2]).int(), r"int64, not int32: y\.long\(\)"),
    "real": (nn.CrossEntropyLoss(), R(2, 4), L([1.0, 2]), r"int64, not float32: y\.long\(\)"),
    "boolean": (nn.CrossEntropyLoss(), R(2, 4), L([True, False]), "int64, not bool"),
    "one-hot": (nn.CrossEntropyLoss(), R(2, 4), torch.eye(4)[:2].long(), r"y\.float\(\)"),
    "column": (nn.CrossEntropyLoss(), R(2, 4), L([[1], [2]]), r"y\.reshape\(2\)"),
    "positions": (nn.CrossEntropyLoss(), R(2, 4, 3), L([1, 2]), "one label for an example"),
    "negative": (nn.CrossEntropyLoss(), R(2, 4), -torch.ones(2, 4), "at least 0, not -1"),
    "probable": (nn.CrossEntropyLoss(ignore_index=2), R(2, 4), torch.ones(2, 4), "by number"),
    "weights": (nn.CrossEntropyLoss(weight=torch.ones(5)), R(2, 4), L([1, 2]),
                r"weights of shape \(5,\) for 4 classes"),
    "minus": (nn.CrossEntropyLoss(weight=-torch.ones(4)), R(2, 4), L([1, 2]), "weight has -1"),
    "of examples": (nn.BCEWithLogitsLoss(weight=torch.ones(3, 1)), R(3, 4), torch.ones(3, 4),
                    r"weight of shape \(3, 1\) does not broadcast against one example's output"),
    "odd": (nn.BCEWithLogitsLoss(pos_weight=torch.ones(3)), R(2, 4), torch.ones(2, 4), "pos_w"),
    "none": (nn.MSELoss(reduction="none"), R(3, 2), R(3, 2), "an example has 2 losses"),
    "whole": (nn.MSELoss(), torch.ones(3, 2).long(), R(3, 2), "a tensor of real numbers, not of"),
    "pair": (nn.MSELoss(), (R(3, 2), R(3)), R(3, 2), "not a tuple"),
    "number": (nn.MSELoss(), R(()), R(()), "one number; it must have an axis of examples"),
    "focal": (focal, R(8, 4), torch.arange(8) % 4, "focal is not convex in the network"),
    "contrast": (in_batch, R(5, 4), None, "in_batch couples examples: the loss of"),
    "square": (lambda f, y: f.square().sum() ** 2, R(5, 4), None, "on the outputs of others"),
    "share": (lambda f, y: f.square().sum(1) / len(f), R(5, 4), None, "others for examples alone"),
    "outer": (nn.HuberLoss(), R(5, 1), R(5), "A target that is broadcast does this"),
    "L1": (nn.L1Loss(), R(3, 2), R(3, 2), "no vectors for L1Loss: it is linear"),
    "KL": (nn.KLDivLoss(), R(3, 2), torch.rand(3, 2), "no vectors for KLDivLoss: it is linear"),
    "Gaussian": (nn.GaussianNLLLoss(), R(3, 2), R(3, 2), r"LLLoss failed .* argument: 'var'"),
    "margin": (nn.MultiMarginLoss(p=2), R(2, 4), L([1, 2]), "cannot be differentiated twice"),
    "raises": (lambda f, y: f[9], R(3, 2), None, r"the loss failed on outputs .*IndexError"),
    "fixed": (lambda f, y: L(1.0), R(3, 2), None, "not differentiable in the network's output"),
    "by position": (lambda f, y: f.square().sum(1), R(3, 2, 5), None,
                    r"gives a tensor of shape \(3, 5\) .* wanted is the loss as one number,"),
    "a pair": (lambda f, y: (f.sum(), f), R(3, 2), None, r"a tuple of 2, first a tensor of shape"),
    "nothing": (lambda f, y: None, R(3, 2), None, "gives a NoneType for outputs"),
    "transposed": (lambda f, y: iter([f.T]), R(3, 2), None, r"shape \(2, 3\) as a vector"),
    "target": (lambda f, y: ((f - 1) ** 2).mean(), R(3, 2), R(5), r"target of shape \(5,\) for 3"),
    "ignored": (lambda f, y: F.cross_entropy(f, y), R(2, 4), L([1, -100]), "nan for example 1"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str):
    loss, f, y, words = REFUSED[case]
    with pytest.raises((TypeError, ValueError), match=words):
        list(vectors_of(loss)(f, y))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"loss": nn.CrossEntropyLoss}, "is the class CrossEntropyLoss; give an instance"),
        ({"loss": "mse"}, "must be a torch.nn module or a function, not 'mse'"),
        ({"loss": nn.NLLLoss()}, "End the network in logits, and give CrossEntropyLoss"),
        ({"loss": F.nll_loss}, "nll_loss is linear in the network's output"),
        ({"kind": "all"}, "vectors must be one of exact, mc, empirical, not 'all'"),
        ({"samples": 0}, "samples must be an integer of at least 1, not 0"),
        ({"samples": 1.5}, "samples must be an integer of at least 1, not 1.5"),
        ({"terms": "sum"}, "terms must be one of joint, separate, curvlinops, not 'sum'"),
        ({"terms": "separate"}, "terms='separate' is for vectors='empirical', not 'exact'"),
        (
            {"loss": nn.L1Loss(), "kind": "empirical", "terms": "separate"},
            "needs a loss whose terms are known, MSELoss or CrossEntropyLoss or BCEWithL",
        ),
    ],
)
def test_options(given: dict[str, Any], words: str):
    with pytest.raises((TypeError, ValueError), match=words):
        vectors_of(**{"loss": nn.MSELoss(), **given})


def test_other_options_of_vectors():
    with pytest.raises(ValueError, match=r"vectors='mc' is for a loss; the loss gives vectors"):
        vectors_of(lambda f, y: [f], "mc")(R(3, 2), None)
    with pytest.raises(ValueError, match="5 rows of outputs are not 2 for each example"):
        vectors_of(nn.MSELoss())(R(5, 2), R(5, 2), 2)
    with pytest.raises(ValueError, match=r"4·8192² entries, too many; give smaller batches"):
        list(vectors_of(lambda f, y: f.cosh().sum())(R(4, 8192), None))


def test_a_formula_is_compared_with_the_loss(monkeypatch: pytest.MonkeyPatch):
    """Torch's function changed under the class that calls it."""
    real = F.mse_loss
    monkeypatch.setattr(F, "mse_loss", lambda f, y, **options: 1.01 * real(f, y, **options))
    loss = nn.MSELoss()
    with pytest.raises(TypeError, match="MSELoss does not compute what torch's class of that name"):
        list(vectors_of(loss)(R(3, 2), R(3, 2)))
    f, y = R(3, 2).double(), R(3, 2).double()
    asked = products(vectors_of(lambda f, y: loss(f, y))(f, y))
    assert close(asked, [1.01 * torch.eye(2).double()] * 3)
