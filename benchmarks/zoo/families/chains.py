"""Chains of layers: every layer is called once, with the examples on its first axis."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.zoo.network import Problem, classes, images, network, prepared


@network("perceptron", "squared loss", light=True)
def perceptron() -> Problem:
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 4, bias=False), nn.GELU(),
                          nn.Linear(4, 3))  # fmt: skip
    x, y = images(4, 5)[..., 0, 0], images(4, 3)[..., 0, 0]
    return Problem(prepared(model), (x, y), nn.MSELoss())


@network("LeNet", "activations in place, pools", light=True)
def lenet() -> Problem:
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(4, 5), nn.ReLU(inplace=True), nn.Linear(5, 4),
    )  # fmt: skip
    return Problem(prepared(model), (images(3, 1), classes()), nn.CrossEntropyLoss())


@network("padding modes", "circular, reflect, replicate, 'same'; groups, dilation", light=True)
def padding_modes() -> Problem:
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular", groups=2), nn.Tanh(),
        nn.Conv2d(4, 3, 3, padding=2, padding_mode="reflect", dilation=2), nn.Tanh(),
        nn.Conv2d(3, 3, 2, padding="same", groups=3), nn.Tanh(),
        nn.Conv2d(3, 2, (1, 3), padding=(0, 1), padding_mode="replicate", stride=(2, 1)),
        nn.Flatten(), nn.Linear(2 * 3 * 5, 3),
    )  # fmt: skip
    return Problem(prepared(model), (images(3, 2, 5, 5), classes(3, 3)), nn.CrossEntropyLoss())


@network("volumes", "three dimensions, binary labels", light=True)
def volumes() -> Problem:
    model = nn.Sequential(
        nn.Conv3d(1, 3, 3, padding=1, stride=2), nn.SiLU(), nn.Conv3d(3, 2, 2, bias=False),
        nn.SiLU(), nn.ConvTranspose3d(2, 2, 2, stride=2), nn.Flatten(), nn.Linear(16, 2),
    )  # fmt: skip
    x, y = images(3, 1, 4, 4, 4), torch.randint(0, 2, (3, 2)).double()
    return Problem(prepared(model), (x, y), nn.BCEWithLogitsLoss())


@network("wave network", "one dimension, dilations, gates, skip sums", light=True)
def wave_network() -> Problem:
    class Wave(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.into = nn.Conv1d(1, 4, 1)
            self.filters = nn.ModuleList(nn.Conv1d(4, 8, 2, dilation=2**n) for n in range(3))
            self.out = nn.ModuleList(nn.Conv1d(4, 4, 1) for _ in range(3))
            self.head = nn.Conv1d(4, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            h, total = self.into(x), 0
            for filtered, out in zip(self.filters, self.out, strict=True):
                padded = nn.functional.pad(h, (filtered.dilation[0], 0))
                gates, values = filtered(padded).chunk(2, 1)
                skip = out(gates.sigmoid() * values.tanh())
                h, total = h + skip, total + skip
            return self.head(total.relu_())

    x = images(2, 1, 6)
    return Problem(prepared(Wave()), (x, classes(2, 3, 6)), nn.CrossEntropyLoss())


@network("generator", "transposed convolutions, output padding, groups, summed loss", light=True)
def generator() -> Problem:
    model = nn.Sequential(
        nn.Linear(4, 8), nn.Unflatten(1, (4, 1, 2)), nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1, output_padding=1, groups=2),
        nn.BatchNorm2d(4), nn.ReLU(inplace=True),
        nn.ConvTranspose2d(4, 2, 2, dilation=2, bias=False), nn.Tanh(),
    )  # fmt: skip
    x, y = images(3, 4)[..., 0, 0], images(3, 2, 4, 6)
    return Problem(prepared(model), (x, y), nn.MSELoss(reduction="sum"))


@network("variational autoencoder", "encoder, decoder, two heads side by side", light=True)
def variational_autoencoder() -> Problem:
    class Autoencoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(nn.Conv2d(1, 3, 3, stride=2, padding=1), nn.ELU())
            self.mean, self.spread = nn.Linear(12, 2), nn.Linear(12, 2)
            self.into = nn.Linear(2, 12)
            self.decoder = nn.ConvTranspose2d(3, 1, 2, stride=2)

        def forward(self, x: Tensor) -> Tensor:
            h = self.encoder(x).flatten(1)
            z = self.mean(h) + 0.3 * self.spread(h).exp()
            return self.decoder(self.into(z).tanh().unflatten(1, (3, 2, 2)))

    x = images(2, 1, 4, 4)
    return Problem(prepared(Autoencoder()), (x, x.sigmoid()), nn.BCEWithLogitsLoss())


@network("normalised network", "group, instance, layer and batch norms in evaluation mode",
         light=True)  # fmt: skip
def normalised_network() -> Problem:
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), nn.Mish(), nn.Conv2d(4, 4, 1),
        nn.InstanceNorm2d(4, affine=True), nn.PReLU(4), nn.Conv2d(4, 3, 2, stride=2, bias=False),
        nn.BatchNorm2d(3), nn.Flatten(), nn.LayerNorm(12), nn.Linear(12, 4),
    )  # fmt: skip
    return Problem(prepared(model), (images(3, 2, 6, 6), classes()), nn.CrossEntropyLoss())


@network("character CNN", "embedding, three widths of windows, maximum over time", light=True)
def character_cnn() -> Problem:
    class Characters(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(9, 4)
            self.windows = nn.ModuleList(nn.Conv1d(4, 3, k) for k in (2, 3, 4))
            self.head = nn.Linear(9, 3)

        def forward(self, x: Tensor) -> Tensor:
            h = self.embedding(x).transpose(1, 2)
            return self.head(torch.cat([w(h).relu().amax(2) for w in self.windows], 1))

    return Problem(prepared(Characters()), (classes(3, 9, 7), classes(3, 3)), nn.CrossEntropyLoss())


@network("mixer", "linear layers over patches and over channels", light=True)
def mixer() -> Problem:
    class Mixer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(2, 4, 2, stride=2)
            self.norm = nn.LayerNorm(4)
            self.tokens = nn.Sequential(nn.Linear(9, 5), nn.GELU(), nn.Linear(5, 9))
            self.channels = nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 4))
            self.head = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            h = self.patches(x).flatten(2).transpose(1, 2)
            h = h + self.tokens(self.norm(h).mT).mT
            h = h + self.channels(self.norm(h))
            return self.head(h.mean(1))

    return Problem(prepared(Mixer()), (images(3, 2, 6, 6), classes(3, 3)), nn.CrossEntropyLoss())


@network("squeeze and excitation", "1×1 convolutions of pooled channels as gates", light=True)
def squeeze_and_excitation() -> Problem:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.depthwise = nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 3, padding=1, groups=4)
            self.down, self.up = nn.Conv2d(4, 2, 1), nn.Conv2d(2, 4, 1)
            self.head = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            h = self.depthwise(nn.functional.hardswish(self.conv(x)))
            h = h * self.up(self.down(h.mean((2, 3), keepdim=True)).relu()).sigmoid()
            return self.head(h.mean((2, 3)))

    return Problem(prepared(Gated()), (images(3, 2, 5, 5), classes(3, 3)), nn.CrossEntropyLoss())
