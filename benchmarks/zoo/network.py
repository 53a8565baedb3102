"""Networks of the zoo: what one is, how an example is taken from its batch, and the register."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

SOURCES = ("torch", "torchvision", "timm", "transformers")
"""The packages that networks are built from."""


@dataclass(frozen=True)
class Problem:
    """A network with one batch (x, y), a loss, and what is asked of `dg.curvature`.

    examples: how many the batch has; by default as many as y has rows.
    axis, target_axis: the axes of x and of y and the output that count examples. Where an axis is
    not that long, examples are blocks of rows after each other, as `flatten(0, 1)` leaves them.
    options: further arguments of `dg.curvature`.
    cut: the batch is given as two, the first of so many examples (−1: all but the last).
    scalar: the loss as a function (f, y) → a number, where `loss` is a function to vectors.
    twin: a network that computes the same from weights of the same names, for the reference, where
    autograd cannot look into the network or weights are made of others.
    """

    model: nn.Module
    data: tuple[Any, Any]
    loss: Any
    examples: int = 0
    axis: int = 0
    target_axis: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    scalar: Callable[[Any, Any], Tensor] | None = None
    twin: nn.Module | None = None
    cut: int = 0

    @property
    def batches(self) -> Any:
        """What is given to `dg.curvature`: the batch, or two of it where it is cut."""
        cut = self.cut % self.count
        if not cut:
            return self.data
        x, y = self.data
        return [
            (
                joined([part(x, n, self.count, self.axis) for n in chosen], self.axis),
                joined(
                    [part(y, n, self.count, self.target_axis) for n in chosen], self.target_axis
                ),
            )
            for chosen in (range(cut), range(cut, self.count))
        ]

    @property
    def count(self) -> int:
        """The number of examples."""
        return self.examples or len(self.data[1])

    @property
    def network(self) -> nn.Module:
        """What the reference looks at."""
        return self.model if self.twin is None else self.twin

    def loss_of(self, f: Any, y: Any) -> Tensor:
        """The loss as a number."""
        made: Tensor = (self.scalar or self.loss)(f, y)
        return made

    def one(self, n: int) -> tuple[Any, Any]:
        """The batch of example n alone."""
        x, y = self.data
        return part(x, n, self.count, self.axis), part(y, n, self.count, self.target_axis)


def part(value: Any, n: int, count: int, axis: int) -> Any:
    """Example n of `count`: of a tensor, or of all tensors in a dict, tuple or list."""
    if isinstance(value, Mapping):
        return {key: part(item, n, count, axis) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(part(item, n, count, axis) for item in value)
    if not isinstance(value, Tensor):
        return value
    if value.ndim > axis and value.shape[axis] == count:
        return value.narrow(axis, n, 1)
    rows, rest = divmod(len(value), count)
    if rest or not rows:
        raise ValueError(f"no {count} examples along an axis of {tuple(value.shape)}")
    return value[n * rows : (n + 1) * rows]


def joined(parts: list[Any], axis: int) -> Any:
    """The examples of `part` in one batch again."""
    first = parts[0]
    if isinstance(first, Mapping):
        return {key: joined([item[key] for item in parts], axis) for key in first}
    if isinstance(first, tuple | list):
        return type(first)(joined(list(items), axis) for items in zip(*parts, strict=True))
    return torch.cat(parts, axis) if isinstance(first, Tensor) else first


def prepared(model: nn.Module) -> nn.Module:
    """The network in float64 and evaluation mode, random weights large enough to matter.

    Networks are born with biases and scales at zero or one, in which many faults cannot be seen.
    """
    model = model.double().eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn(p.shape, generator=generator, dtype=p.dtype)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer += 0.1 * torch.randn(buffer.shape, generator=generator, dtype=buffer.dtype)
            if name.endswith("running_var"):
                buffer *= 1 + torch.rand(buffer.shape, generator=generator, dtype=buffer.dtype)
    return model


def images(count: int = 3, channels: int = 3, *size: int) -> Tensor:
    """Random images [count, channels, *size], by default 8×8."""
    return torch.randn(count, channels, *(size or (8, 8)), dtype=torch.float64)


def classes(count: int = 3, of: int = 4, *positions: int) -> Tensor:
    """Random labels [count, *positions] below `of`."""
    return torch.randint(0, of, (count, *positions))


# -- the register ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """A network's name, the package that its classes are from, and how it is made.

    refused: a pattern of the true reasons for which it may be refused; None where there is none.
    light: whether the test suite runs it.
    about: what is special about it, in a few words.
    """

    name: str
    source: str
    family: str
    make: Callable[[], Problem]
    about: str
    refused: str | None = None
    light: bool = False

    def problem(self) -> Problem:
        """The network, always the same one."""
        if self.source != "torch" and find_spec("torchvision") is not None:
            import_torchvision()  # which timm and transformers do, too
        torch.manual_seed(0)
        return self.make()


ENTRIES: dict[str, Entry] = {}
"""All networks, by name, as `families` registers them."""


def network(
    name: str, about: str = "", *, source: str = "torch", refused: str | None = None,
    light: bool = False,
) -> Callable[[Callable[[], Problem]], Callable[[], Problem]]:  # fmt: skip
    """Register a function that makes a problem."""
    if source not in SOURCES:
        raise ValueError(f"no source {source!r}; there are {', '.join(SOURCES)}")

    def registered(make: Callable[[], Problem]) -> Callable[[], Problem]:
        if name in ENTRIES:
            raise ValueError(f"two networks are called {name!r}")
        family = make.__module__.rpartition(".")[2]
        ENTRIES[name] = Entry(name, source, family, make, about, refused, light)
        return make

    return registered


def missing(source: str) -> str | None:
    """What to install for networks of a source; None where it is there."""
    if find_spec(source) is None:
        return f"{source} is not installed: pip install -c constraints.txt '.[zoo]'"
    return None


def import_torchvision() -> None:
    """Import torchvision, also beside a build of torch that its operators were not compiled for.

    torchvision describes shapes of two of its compiled operators at import, and fails where their
    library cannot be loaded, as that of its CUDA build beside a CPU build of torch. No network
    here uses them; declared without an implementation, they let the import pass.
    """
    try:
        import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _DECLARED.append(library)
        import_module("torchvision")


_DECLARED: list[Any] = []
"""Declarations end with the object that made them."""
