"""Losses: ones that are none of the three, subclasses, functions, labels that do not fit."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.zoo.network import Problem, classes, images, network, prepared


def classifier(loss: Any, y: Tensor | None = None, **more: Any) -> Problem:
    """A small classifier of four classes with a given loss."""
    model = nn.Sequential(nn.Conv2d(1, 3, 2), nn.Tanh(), nn.Flatten(), nn.Linear(12, 4))
    y = classes() if y is None else y
    return Problem(prepared(model), (images(3, 1, 3, 3), y), loss, **more)


@network("focal loss", "a subclass of CrossEntropyLoss with a forward of its own", light=True)
def focal_loss() -> Problem:
    class Focal(nn.CrossEntropyLoss):
        def forward(self, f: Tensor, y: Tensor) -> Tensor:
            loss = functional.cross_entropy(f, y, reduction="none")
            return ((1 - (-loss).exp()) ** 2 * loss).mean()

    return classifier(Focal())


@network("temperature", "a subclass of CrossEntropyLoss that divides logits", light=True)
def temperature() -> Problem:
    class Tempered(nn.CrossEntropyLoss):
        def forward(self, f: Tensor, y: Tensor) -> Tensor:
            return super().forward(f / 2, y)

    return classifier(Tempered())


@network("functional loss", "F.cross_entropy", light=True)
def functional_loss() -> Problem:
    return classifier(functional.cross_entropy)


@network("function of vectors", "a loss as vectors: the logarithm of cosh", light=True)
def function_of_vectors() -> Problem:
    def vectors(f: Tensor, y: Tensor) -> Tensor:
        slope = 1 / (f - y).cosh()  # ∇² log cosh is its square
        return torch.stack([slope * one for one in torch.eye(f.shape[1]).to(f)])

    y = torch.randn(3, 4, dtype=torch.float64)
    return classifier(vectors, y, scalar=lambda f, y: (f - y).cosh().log().sum())


@network("label smoothing", "", light=True)
def label_smoothing() -> Problem:
    return classifier(nn.CrossEntropyLoss(label_smoothing=0.1))


@network("class weights", "", light=True)
def class_weights() -> Problem:
    return classifier(nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2, 3, 4]).double()))


@network("class probabilities", "targets that are distributions", light=True)
def class_probabilities() -> Problem:
    return classifier(nn.CrossEntropyLoss(), torch.rand(3, 4, dtype=torch.float64).softmax(1))


@network("absolute loss", "L1Loss", light=True, refused=r"L1Loss")
def absolute_loss() -> Problem:
    return classifier(nn.L1Loss(), torch.randn(3, 4, dtype=torch.float64))


@network("one ignored example", "ignore_index, the mean over the others", light=True)
def one_ignored_example() -> Problem:
    y = torch.tensor([1, 2, 0])
    return classifier(nn.CrossEntropyLoss(ignore_index=0, reduction="sum"), y)


@network("labels out of range", "class 4 of 4", light=True, refused=r"(?i)labels|class")
def labels_out_of_range() -> Problem:
    return classifier(nn.CrossEntropyLoss(), torch.tensor([1, 4, 2]))


@network("labels of another shape", "squared loss that broadcasts", light=True,
         refused=r"(?i)target|labels|shape")  # fmt: skip
def labels_of_another_shape() -> Problem:
    y = torch.randn(3, 1, dtype=torch.float64)
    return classifier(nn.MSELoss(), y)


@network("no reduction", "reduction='none'", light=True)
def no_reduction() -> Problem:
    return classifier(nn.CrossEntropyLoss(reduction="none"))


@network("weighted binary loss", "pos_weight", light=True)
def weighted_binary_loss() -> Problem:
    y = torch.randint(0, 2, (3, 4)).double()
    return classifier(nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.0).double()), y)
