"""Networks that label pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.zoo.network import Problem, classes, images, network, prepared


class UNet(nn.Module):
    """Down twice, up twice by transposed convolutions, with skip connections."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)])
        self.norms = nn.ModuleList([nn.BatchNorm2d(3), nn.BatchNorm2d(4)])
        self.middle = nn.Conv2d(4, 4, 3, padding=1)
        self.up = nn.ModuleList([nn.ConvTranspose2d(4, 4, 2, stride=2),
                                 nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1,
                                                    output_padding=1)])  # fmt: skip
        self.join = nn.ModuleList([nn.Conv2d(8, 4, 1), nn.Conv2d(6, 3, 1)])
        self.head = nn.Conv2d(3, classes, 1)
        self.pool, self.act = nn.MaxPool2d(2), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        kept, h = [], x
        for conv, norm in zip(self.down, self.norms, strict=True):
            h = self.act(norm(conv(h)))
            kept.append(h)
            h = self.pool(h)
        h = self.act(self.middle(h))
        for up, join in zip(self.up, self.join, strict=True):
            h = self.act(join(torch.cat([kept.pop(), up(h)], 1)))
        return self.head(h)


@network("U-Net", "transposed convolutions and skips", light=True)
def unet() -> Problem:
    data = images(2, 1, 4, 4), classes(2, 3, 4, 4)
    return Problem(prepared(UNet()), data, nn.CrossEntropyLoss())


def void(index: int, reduction: str) -> Problem:
    """A U-Net with another number of ignored pixels in each image."""
    y = classes(2, 3, 4, 4).clamp(min=1 if index == 0 else 0)
    y[0, :2], y[1, 0, :3] = index, index
    loss = nn.CrossEntropyLoss(ignore_index=index, reduction=reduction)
    return Problem(prepared(UNet()), (images(2, 1, 4, 4), y), loss)


@network("void pixels, 255", "ignore_index=255, summed loss", light=True)
def void_pixels_255() -> Problem:
    return void(255, "sum")


@network("void pixels, -100", "ignore_index=-100, mean loss", light=True)
def void_pixels_default() -> Problem:
    return void(-100, "mean")


@network("void class", "ignore_index=0, mean loss", light=True)
def void_class() -> Problem:
    return void(0, "mean")


@network("super-resolution", "pixel shuffle, squared loss of images", light=True)
def super_resolution() -> Problem:
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1, padding_mode="reflect"), nn.PReLU(),
        nn.Conv2d(3, 4, 3, padding="same"), nn.PixelShuffle(2), nn.Conv2d(1, 1, (3, 1)),
    )  # fmt: skip
    return Problem(prepared(model), (images(2, 1, 3, 3), images(2, 1, 4, 6)), nn.MSELoss())


@network("pyramid pooling", "dilated branches, pools of several sizes, upsampling", light=True)
def pyramid_pooling() -> Problem:
    class Pyramid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(1, 3, 3, padding=1)
            self.branches = nn.ModuleList(
                nn.Conv2d(3, 2, 3, padding=d, dilation=d, bias=False) for d in (1, 2)
            )
            self.pooled, self.head = nn.Conv2d(3, 2, 1), nn.Conv2d(6, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            h = self.stem(x).relu()
            small = self.pooled(nn.functional.adaptive_avg_pool2d(h, 2))
            up = nn.functional.interpolate(small, size=h.shape[2:], mode="bilinear")
            return self.head(torch.cat([*(b(h) for b in self.branches), up], 1).relu())

    data = images(2, 1, 4, 4), classes(2, 3, 4, 4)
    return Problem(prepared(Pyramid()), data, nn.CrossEntropyLoss())
