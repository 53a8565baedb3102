"""Measuring the rates of the cost model on a device, in about two seconds.

Each rate comes from one or two small programs in which it is most of the time; what the others take
is subtracted. A rate that comes out below a fiftieth or above fifty times its default was disturbed
and stays at that bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import prod
from time import perf_counter, process_time
from typing import Any

from diagrammar.cost.cost import Machine

BOUND = 50.0


New = Callable[..., Any]
"""A random tensor of some sizes on the device."""
Time = Callable[[Callable[[], object]], float]
"""The seconds of a call."""
Rate = tuple[str, Callable[[Machine], float]]
"""The name of a rate and how to measure it, given those before."""


def calibrate(
    default: Machine, device: str = "cpu", progress: Callable[[str], None] = lambda _name: None
) -> Machine:
    """The rates of a device; with torch's present number of threads on a CPU."""
    import torch

    torch.manual_seed(0)
    found = default
    with torch.no_grad():
        for name, seconds in _rates(device):
            progress(name)
            usual = getattr(default, name)
            least, most = usual / BOUND, usual * BOUND
            rate = seconds(found)
            if usual:
                rate = min(max(rate, 0.0 if name == "fresh" else least), most)
            rates: dict[str, Any] = {name: max(rate, 0.0)}
            found = replace(found, **rates)
    return found


def _rates(device: str) -> Iterator[Rate]:
    """Each rate and how to measure it, given those before."""
    import torch
    from torch.nn import functional

    def new(*shape: int) -> Any:
        return torch.randn(shape, device=device)

    def time(call: Callable[[], object]) -> float:
        return timed(call, torch.cuda.synchronize if device == "cuda" else None)

    small = new(4, 4)
    yield "call", lambda _m: time(lambda: small.mT)
    yield "launch", lambda _m: time(lambda: small + small)
    tiny, kernel = new(1, 1, 4, 4), new(1, 1, 1, 1)
    yield "library", lambda _m: time(lambda: functional.conv2d(tiny, kernel))
    block = new(2048, 1024)
    size = 4 * block.numel()
    yield "byte", lambda m: (time(block.clone) - m.launch) / (2 * size)
    yield "scattered", lambda m: (time(lambda: block.mT.contiguous()) - m.launch) / (2 * size)
    large = 2 * Machine().large // 4
    yield (
        "fresh",
        lambda m: time(lambda: torch.empty(large, device=device).fill_(1)) / (4 * large) - m.byte,
    )
    square = new(384, 384)
    yield "product", lambda _m: time(lambda: square @ square) / 384**3
    left, right = new(64, 64), new(64, 8192)
    yield (
        "entry",
        lambda m: (time(lambda: left @ right) - 64 * 64 * 8192 * m.product) / (2 * 64 * 8192),
    )
    many = new(4096, 4, 4)
    yield "matrix", lambda m: (time(lambda: many @ many) - m.launch) / 4096
    yield from _library_rates(new, time)
    yield from _depthwise_rates(new, time)


def _gradient(x: Any, v: Any, w: Any, stride: int, pad: int, groups: int, wanted: int) -> object:
    """A gradient of a convolution by the library: by x if 0 is wanted, by w if 1 is."""
    import torch

    sizes = [stride] * 2, [pad] * 2, [1] * 2, False, [0] * 2, groups
    mask = wanted == 0, wanted == 1, False
    return torch.ops.aten.convolution_backward(v, x, w, None, *sizes, mask)


def _library_rates(new: New, time: Time) -> Iterator[Rate]:
    """Rates of library calls whose groups have several channels."""
    from torch.nn import functional

    x, w = new(4, 128, 28, 28), new(128, 128, 3, 3)
    work = x.numel() * prod(w.shape[1:])
    yield "convolution", lambda _m: time(lambda: functional.conv2d(x, w, padding=1)) / work
    y = new(16, 64, 56, 56)
    pointwise = new(64, 64, 1, 1)

    def reorder(m: Machine) -> float:
        taken = time(lambda: functional.conv2d(y, pointwise, dilation=2))  # see plan.products
        entries = int(y.numel())
        return (taken - entries * 64 * m.convolution) / (8 * entries)

    yield "reorder", reorder
    lines, line = new(4096, 4, 8), new(3, 4, 1)
    yield "image", lambda m: (time(lambda: functional.conv1d(lines, line)) - m.library) / 4096
    narrow = new(4, 256, 1, 1)
    taps, window = new(256, 256, 3, 3), new(4, 256, 3, 3)
    yield (
        "weight",
        lambda _m: time(lambda: _gradient(window, narrow, taps, 1, 0, 1, 1)) / taps.numel(),
    )
    half = new(4, 128, 14, 14)
    yield (
        "strided",
        lambda m: (
            (
                time(lambda: _gradient(x, half, w, 2, 1, 1, 0))
                - m.reordered(half.numel() + w.numel() + 2 * x.numel())
            )
            / (work / 4 * m.convolution * (1 + m.outer / 128))
        ),
    )


def _depthwise_rates(new: New, time: Time) -> Iterator[Rate]:
    """Rates of library calls with one channel a group."""
    from torch.nn import functional

    z, each = new(4, 96, 28, 28), new(96, 1, 7, 7)
    area = z.numel() * 49
    yield (
        "depthwise",
        lambda _m: time(lambda: functional.conv2d(z, each, padding=3, groups=96)) / area,
    )
    three = new(96, 1, 3, 3)
    wider = new(96, 1, 1, 17)
    yield (
        "slow",
        lambda m: (
            time(lambda: functional.conv2d(z, wider, padding=(0, 8), groups=96))
            / (z.numel() * 17 * m.depthwise)
        ),
    )
    entries = int(z.numel())
    yield (
        "depthwise_weight",
        lambda m: (
            (time(lambda: _gradient(z, z, three, 1, 1, 96, 1)) - m.reordered(2 * entries))
            / (9 * entries)
        ),
    )
    yield (
        "wide",
        lambda m: time(lambda: _gradient(z, z, each, 1, 3, 96, 1)) / (area * m.depthwise_weight),
    )


def timed(call: Callable[[], object], wait: Callable[[], None] | None = None) -> float:
    """The seconds of a call: the least of a few rounds, over some 60 milliseconds.

    With one thread they are the processor's, so that what else runs there counts for less.
    """
    import torch

    clock = process_time if wait is None and torch.get_num_threads() == 1 else perf_counter

    def some(count: int) -> float:
        start = clock()
        for _ in range(count):
            call()
        if wait is not None:
            wait()
        return (clock() - start) / count

    some(1)
    once = some(1)
    count = max(1, round(2e-3 / max(once, 1e-7)))
    rounds = max(3, min(15, round(6e-2 / max(count * once, 1e-7))))
    return min(some(count) for _ in range(rounds))
