"""Losses, targets and options that are refused, and in which words."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diagrammar.networks.losses import vectors_of
from tests.networks.hessians import close, products


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
