"""Networks and loaders that give more than one tensor."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.zoo.network import Problem, classes, images, network, prepared


class Detector(nn.Module):
    """Features, and per position the logits of classes and a box."""

    def __init__(self, as_one: bool) -> None:
        super().__init__()
        self.features = nn.Conv2d(1, 4, 3, padding=1)
        self.logits, self.boxes, self.as_one = nn.Conv2d(4, 3, 1), nn.Conv2d(4, 4, 1), as_one

    def forward(self, x: Tensor) -> Any:
        h = self.features(x).relu_()
        logits, boxes = self.logits(h).flatten(2), self.boxes(h).flatten(2)
        return torch.cat([logits, boxes], 1) if self.as_one else (logits, boxes)


@network("detector", "a tuple of logits and boxes", light=True, refused=r"tuple")
def detector() -> Problem:
    model = prepared(Detector(as_one=False))
    return Problem(model, (images(2, 1, 3, 3), classes(2, 3, 9)), nn.CrossEntropyLoss())


@network("detector, one tensor", "logits and boxes in one tensor, a loss as vectors", light=True)
def detector_of_one_tensor() -> Problem:
    def total(f: Tensor, y: Tensor) -> Tensor:
        return nn.functional.cross_entropy(f[:, :3], y) + f[:, 3:].square().sum() / 2

    def vectors(f: Tensor, y: Tensor) -> Tensor:
        found = []
        p, positions = f[:, :3].softmax(1), f.shape[2]
        for at in range(positions):
            for c in range(3):
                v = torch.zeros_like(f)
                v[:, :3, at] = -p[:, :, at] * p[:, c, at, None].sqrt()
                v[:, c, at] += p[:, c, at].sqrt()
                found.append(v / positions**0.5)
            for c in range(3, 7):
                v = torch.zeros_like(f)
                v[:, c, at] = 1
                found.append(v)
        return torch.stack(found)

    model = prepared(Detector(as_one=True))
    return Problem(model, (images(2, 1, 3, 3), classes(2, 3, 9)), vectors, scalar=total)


@network("dict output", "a dict, as segmentation networks of torchvision give", light=True,
         refused=r"(?i)dict|tensor")  # fmt: skip
def dict_output() -> Problem:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 3, 3, padding=1)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"out": self.conv(x)}

    data = images(2, 1, 4, 4), classes(2, 3, 4, 4)
    return Problem(prepared(Named()), data, nn.CrossEntropyLoss())


class TwoInputs(nn.Module):
    """Two inputs, by name or in a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Linear(3, 4), nn.Linear(2, 4), nn.Linear(4, 3)

    def forward(self, x: Any) -> Tensor:
        a, b = (x["a"], x["b"]) if isinstance(x, dict) else x
        return self.head((self.one(a) * self.two(b)).tanh())


def two_inputs() -> tuple[Tensor, Tensor]:
    return torch.randn(3, 3, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)


@network("dict input", "a network of two inputs by name", light=True)
def dict_input() -> Problem:
    x = dict(zip("ab", two_inputs(), strict=True))
    return Problem(prepared(TwoInputs()), (x, classes(3, 3)), nn.CrossEntropyLoss())


@network("pair input", "a network of a pair of inputs", light=True)
def pair_input() -> Problem:
    return Problem(prepared(TwoInputs()), (two_inputs(), classes(3, 3)), nn.CrossEntropyLoss())


@network("scalar output", "[b], without an axis of outputs", light=True)
def scalar_output() -> Problem:
    class Scalar(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.head = nn.Linear(3, 4), nn.Linear(4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.first(x).tanh()).squeeze(1)

    x, y = torch.randn(3, 3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    return Problem(prepared(Scalar()), (x, y), nn.MSELoss())


@network("named argument", "a layer is called with input=", light=True)
def named_argument() -> Problem:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.head = nn.Linear(3, 4), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.first(input=x).tanh())

    x = torch.randn(3, 3, dtype=torch.float64)
    return Problem(prepared(Named()), (x, classes(3, 3)), nn.CrossEntropyLoss())


@network("unbatched layer", "one image of the batch at a time through a convolution", light=True)
def unbatched_layer() -> Problem:
    class Single(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(1, 2, 3), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.conv(x[0]).flatten()[None].tanh())

    return Problem(prepared(Single()), (images(1, 1, 4, 4), classes(1, 3)), nn.CrossEntropyLoss())
