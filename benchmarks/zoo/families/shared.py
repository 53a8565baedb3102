"""Networks in which a parameter is used in more than its module's one call."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.zoo.network import Problem, classes, images, network, prepared


def vectors(count: int, width: int) -> Tensor:
    """Random inputs [count, width]."""
    return torch.randn(count, width, dtype=torch.float64)


@network("tied autoencoder", "the decoder is F.linear with the encoder's weight", light=True,
         refused=r"'encoder(\.weight)?'")  # fmt: skip
def tied_autoencoder() -> Problem:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.mid = nn.Linear(5, 3), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return functional.linear(self.mid(self.encoder(x).tanh()), self.encoder.weight.t())

    x = vectors(4, 5)
    return Problem(prepared(Tied()), (x, x), nn.MSELoss())


@network("tied image autoencoder", "the decoder is F.conv_transpose2d with the encoder's weight",
         light=True, refused=r"'encoder(\.weight)?'")  # fmt: skip
def tied_image_autoencoder() -> Problem:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Conv2d(1, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            h = self.encoder(x).tanh()
            return functional.conv_transpose2d(h, self.encoder.weight, padding=1)

    x = images(2, 1, 4, 4)
    return Problem(prepared(Tied()), (x, x), nn.MSELoss())


@network("tied head", "the head has the embedding's weight", light=True,
         refused=r"'(head|embedding)(\.weight)?'")  # fmt: skip
def tied_head() -> Problem:
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.mid = nn.Embedding(5, 4), nn.Linear(4, 4)
            self.head = nn.Linear(4, 5, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.mid(self.embedding(x)).tanh()).transpose(1, 2)

    return Problem(prepared(Words()), (classes(3, 5, 4), classes(3, 5, 4)), nn.CrossEntropyLoss())


@network("tied layers", "two modules with one weight", light=True,
         refused=r"'(first|second)(\.weight)?'")  # fmt: skip
def tied_layers() -> Problem:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
            self.second.weight = self.first.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.second(self.first(x).tanh()).tanh())

    return Problem(prepared(Tied()), (vectors(3, 4), vectors(3, 2)), nn.MSELoss())


@network("one bias", "two layers with one bias", light=True,
         refused=r"'(first|second)(\.bias)?'")  # fmt: skip
def one_bias() -> Problem:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
            self.second.bias = self.first.bias

        def forward(self, x: Tensor) -> Tensor:
            return self.second(self.first(x).tanh())

    return Problem(prepared(Tied()), (vectors(3, 4), vectors(3, 4)), nn.MSELoss())


@network("penalised weight", "a layer's weight is added to the output", light=True,
         refused=r"'first(\.weight)?'")  # fmt: skip
def penalised_weight() -> Problem:
    class Added(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.first(x).tanh()) + self.first.weight.square().mean()

    return Problem(prepared(Added()), (vectors(3, 4), vectors(3, 2)), nn.MSELoss())


@network("Siamese, concatenated", "two halves of a pair in one batch", light=True)
def siamese_concatenated() -> Problem:
    class Siamese(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(),
                                         nn.Linear(12, 4))  # fmt: skip
            self.head = nn.Linear(4, 2)

        def forward(self, pair: Tensor) -> Tensor:
            one, two = self.encoder(torch.cat([pair[:, 0], pair[:, 1]])).tanh().chunk(2)
            return self.head((one - two).square())

    pair = torch.randn(3, 2, 1, 4, 4, dtype=torch.float64)
    return Problem(prepared(Siamese()), (pair, classes(3, 2)), nn.CrossEntropyLoss())


@network("Siamese, called twice", "the encoder is called for each half", light=True,
         refused=r"'(encoder\.\d)' is called (more than once|2 times)")  # fmt: skip
def siamese_called_twice() -> Problem:
    class Siamese(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
            self.head = nn.Linear(3, 2)

        def forward(self, pair: Tensor) -> Tensor:
            one, two = self.encoder(pair[:, 0]), self.encoder(pair[:, 1])
            return self.head((one - two).tanh())

    pair = torch.randn(3, 2, 4, dtype=torch.float64)
    return Problem(prepared(Siamese()), (pair, classes(3, 2)), nn.CrossEntropyLoss())


@network("pyramid head", "one head for maps of three sizes", light=True,
         refused=r"'head' is called (more than once|3 times|\w+ times)")  # fmt: skip
def pyramid_head() -> Problem:
    class Pyramid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 3, 2, stride=2)
            self.head = nn.Conv2d(3, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            fine = self.one(x).tanh()
            coarse = self.two(fine).tanh()
            return torch.cat([self.head(h).flatten(2) for h in (fine, coarse)], 2)

    y = torch.randint(0, 2, (2, 20))
    return Problem(prepared(Pyramid()), (images(2, 1, 4, 4), y), nn.CrossEntropyLoss())
