"""ResNet-18 and ResNet-50 (He et al. 2016, the stride in the 3×3 convolution), in torch only."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn


class Block(nn.Module):
    """A residual block: convolutions with normalisations, and the shortcut around them."""

    def __init__(self, convolutions: list[nn.Conv2d], shortcut: nn.Conv2d | None) -> None:
        super().__init__()
        self.convs = nn.ModuleList(convolutions)
        self.norms = nn.ModuleList(nn.BatchNorm2d(c.out_channels) for c in convolutions)
        self.shortcut = shortcut
        self.shortcut_norm = nn.BatchNorm2d(shortcut.out_channels) if shortcut else None
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """The block's output."""
        y = x
        for n, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            y = norm(conv(y))
            if n < len(self.convs) - 1:
                y = self.relu(y)
        around = x
        if self.shortcut is not None and self.shortcut_norm is not None:
            around = self.shortcut_norm(self.shortcut(x))
        return self.relu(y + around)


def conv(c_in: int, c_out: int, size: int, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the size, apart from its stride."""
    return nn.Conv2d(c_in, c_out, size, stride=stride, padding=size // 2, bias=False)


def block(c_in: int, width: int, stride: int, bottleneck: bool) -> Block:
    """A basic block of two 3×3 convolutions, or a bottleneck of 1×1, 3×3 and 1×1."""
    c_out = width * 4 if bottleneck else width
    if bottleneck:
        convs = [conv(c_in, width, 1), conv(width, width, 3, stride), conv(width, c_out, 1)]
    else:
        convs = [conv(c_in, width, 3, stride), conv(width, width, 3)]
    plain = stride == 1 and c_in == c_out
    return Block(convs, None if plain else conv(c_in, c_out, 1, stride))


def resnet(blocks: tuple[int, ...], bottleneck: bool, classes: int = 1000) -> nn.Sequential:
    """A residual network for images [b, 3, i, i]: logits [b, classes]."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        stem=conv(3, 64, 7, 2), norm=nn.BatchNorm2d(64), relu=nn.ReLU(inplace=True),
        pool=nn.MaxPool2d(3, 2, 1),
    )  # fmt: skip
    channels = 64
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        made = []
        for n in range(count):
            made.append(block(channels, width, 2 if stage and not n else 1, bottleneck))
            channels = width * 4 if bottleneck else width
        layers[f"stage{stage + 1}"] = nn.Sequential(*made)
    layers["mean"], layers["flat"] = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    layers["head"] = nn.Linear(channels, classes)
    return nn.Sequential(layers)


def resnet18(classes: int = 1000) -> nn.Sequential:
    """ResNet-18."""
    return resnet((2, 2, 2, 2), bottleneck=False, classes=classes)


def resnet50(classes: int = 1000) -> nn.Sequential:
    """ResNet-50."""
    return resnet((3, 4, 6, 3), bottleneck=True, classes=classes)
