"""Small programs whose seconds tell the rates of a device: each kind of counted work is most of
what some of them do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from time import perf_counter, process_time
from typing import Any

from diagrammar import program as ops
from diagrammar.backends.torch import emit
from diagrammar.program.operations.axes import Contiguous, Permute

Shape = tuple[int, ...]
Wait = Callable[[], None] | None
ROUNDS = 5
"""How often each program is timed, in turn; the least counts, which others on the machine disturb
least."""
SAMPLE = 3e-4
"""Seconds that a sample takes at least: short programs run several times."""
ONES = (1, 1)


def probes() -> Iterator[ops.Program]:
    """All of them, some 40, of 10 µs to 20 ms."""
    for number, (shapes, steps) in enumerate(_all()):
        axes = [tuple(f"a{n}" for n in range(len(shape))) for shape in shapes]
        names = [f"X{n}" for n in range(len(shapes))]
        operands = zip(names, shapes, axes, strict=True)
        given = [ops.Step(ops.Operand(name), shape, own) for name, shape, own in operands]
        made = [ops.Step(op, s, tuple(f"a{n}" for n in range(len(s)))) for op, s in steps]
        parameters = map(ops.Parameter, names, axes, shapes)
        every = (*given, *made)
        yield ops.Program(f"probe{number}", tuple(parameters), every, (len(every) - 1,), ("Y",))


Steps = Sequence[tuple[ops.Operation, Shape]]


def _all() -> Iterator[tuple[list[Shape], Steps]]:
    yield from _products()
    yield from _copies()
    yield from _convolutions(64, 28, 2)
    yield from _convolutions(128, 14, 4)
    yield from _convolutions(256, 7, 4)
    yield from _convolutions(32, 56, 1)
    yield from _one_tap()
    yield from _depthwise()
    yield from _calls()


def _products() -> Iterator[tuple[list[Shape], Steps]]:
    """Products of matrices: square, of few rows, of few columns, many small ones."""
    product = ops.Einsum((0, 1), ((0, 1), (1, 2)), (0, 2))
    sizes = (256, 256, 256), (512, 384, 512), (64, 64, 8192), (2048, 64, 64), (32, 2048, 32)
    for m, k, n in sizes:
        yield [(m, k), (k, n)], [(product, (m, n))]
    batched = ops.Einsum((0, 1), ((0, 1, 2), (0, 2, 3)), (0, 1, 3))
    for b, n in ((16, 128), (64, 32), (1024, 4)):
        yield [(b, n, n), (b, n, n)], [(batched, (b, n, n))]


def _copies() -> Iterator[tuple[list[Shape], Steps]]:
    """In order, in another order, as windows, and onto new pages."""
    for n in (2**16, 2**18, 2**20, 9 * 2**20):
        yield [(n,)], [(ops.Scale(0, 2), (n,))]
    yield [(2**19,), (2**19,)], [(ops.Add((0, 1)), (2**19,))]
    orders: tuple[tuple[Shape, Shape], ...] = (
        ((512, 512), (1, 0)),
        ((4, 64, 784), (1, 0, 2)),
        ((16, 128, 196), (0, 2, 1)),
    )
    for shape, order in orders:
        moved = tuple(shape[n] for n in order)
        yield [shape], [(Permute(0, order), moved), (Contiguous(1), moved)]
    windows, rows = (2, 32, 28, 30, 3), (2, 28, 32, 3, 30)
    swapped = Permute(1, (0, 2, 1, 4, 3))
    steps: Steps = [(ops.Window(0, 2, 28, 3), windows), (swapped, rows), (Contiguous(2), rows)]
    yield [(2, 32, 30, 30)], steps


def _convolutions(channels: int, size: int, images: int) -> Iterator[tuple[list[Shape], Steps]]:
    """A convolution with a kernel of 3×3, and its two gradients."""
    x, w = (images, channels, size, size), (channels, channels, 3, 3)
    yield [x, w], [(ops.Convolution(0, 1, ONES, ONES, ONES), x)]
    yield [x, w], [(ops.TransposedConvolution(0, 1, ONES, ONES, (0, 0), ONES), x)]
    yield [x, x], [(ops.WeightGradient(0, 1, ONES, ONES, ONES), w)]


def _one_tap() -> Iterator[tuple[list[Shape], Steps]]:
    """Convolutions of one tap, which do little but reorder."""
    for images, channels, size in ((4, 64, 28), (16, 16, 28), (16, 128, 14)):
        x, w = (images, channels, size, size), (channels, channels, 1, 1)
        yield [x, w], [(ops.Convolution(0, 1, ONES, (0, 0), (2, 2)), x)]


def _depthwise() -> Iterator[tuple[list[Shape], Steps]]:
    """One channel a group."""
    for kernel, images in ((3, 4), (7, 1)):
        x, w, pad = (images, 96, 28, 28), (96, 1, kernel, kernel), (kernel // 2, kernel // 2)
        yield [x, w], [(ops.Convolution(0, 1, ONES, pad, ONES, 96), x)]
    x, w = (4, 96, 28, 28), (96, 1, 3, 3)
    yield [x, w], [(ops.TransposedConvolution(0, 1, ONES, ONES, (0, 0), ONES, 96), x)]
    yield [x, x], [(ops.WeightGradient(0, 1, ONES, ONES, ONES, 96), w)]


def _calls() -> Iterator[tuple[list[Shape], Steps]]:
    """Calls that do nothing else: views, sums of a few numbers, convolutions of a few."""
    small = (4, 4)
    for count in (2, 8):
        yield [(4, 40)], [(ops.Slice(n, 1, 1, 39 - n), (4, 39 - n)) for n in range(count)]
        yield [small], [(ops.Add((n, n)), small) for n in range(count)]
    yield from _convolutions(8, 6, 2)
    yield from _convolutions(8, 6, 64)


def seconds(programs: Sequence[ops.Program], device: str, wait: Wait = None) -> list[float]:
    """The least seconds of a call of each; on a CPU with one thread those of the processor."""
    import torch

    sources = emit.emit_module(programs, "", checked=False)
    functions = emit.load(sources, "probes")
    generator = torch.Generator(device).manual_seed(0)
    calls = []
    for program in programs:
        shapes = [tuple(map(int, p.shape)) for p in program.parameters]
        given = [torch.randn(s, generator=generator, device=device) for s in shapes]
        calls.append(partial(functions[program.name], *given))
    alone = wait is None and torch.get_num_threads() == 1
    clock = process_time if alone else perf_counter
    with torch.inference_mode():
        counts = [_count(call, clock, wait) for call in calls]
        rounds = [
            [_sample(call, n, clock, wait) for call, n in zip(calls, counts, strict=True)]
            for _ in range(ROUNDS)
        ]
    return [min(samples) for samples in zip(*rounds, strict=True)]


def _count(call: Callable[[], Any], clock: Callable[[], float], wait: Wait) -> int:
    """Calls in a sample, after one for warming up."""
    call()
    return max(1, round(SAMPLE / max(_sample(call, 1, clock, wait), 1e-7)))


def _sample(call: Callable[[], Any], count: int, clock: Callable[[], float], wait: Wait) -> float:
    """The mean seconds of a few calls in a row."""
    start = clock()
    for _ in range(count):
        call()
    if wait is not None:
        wait()
    return (clock() - start) / count
