"""How many examples a batch has, and which rows of the network's output belong to which example.

Usually the examples are the first axes of x and of the output f. But language models may end in
`flatten(0, 1)`, so that f has several rows for each example; crops may be averaged, so that f has
fewer rows than x; recurrent networks may have time first. This is not guessed: the last example
goes through the network alone, and its output must equal its rows of the batch's output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from diagrammar.networks.batches import axes_of_size, leading, taken

if TYPE_CHECKING:
    from torch import Tensor

Run = Callable[[Any], "Tensor"]
REPEATS = 4
"""Runs that must agree before an output counts as not random: two draws of a dropout may be
equal."""
LOW = 0.05
"""The relative difference that two ways to compute one thing may have in half precision: several
rounding errors of 0.004, as bfloat16 has eight bits."""


@dataclass(frozen=True)
class BatchReading:
    """A way to read a batch: `examples` N, each with `rows` rows of the output f, consecutive or
    (`strided`) N apart; an example's part of x lies along `axis`, and `last` is the last
    example's."""

    examples: int
    rows: int
    strided: bool
    axis: int
    last: slice

    def again(self, x: Any, f: Tensor) -> BatchReading | None:
        """Read another batch in the same way; None where its sizes do not allow it."""
        for other in readings(x, f):
            if other._kind() == self._kind():
                return other
        return None

    def _kind(self) -> tuple[int, bool, bool, bool]:
        """The reading without its sizes."""
        return self.axis, self.strided, self.rows > 1, self.last.step is None

    def ordered(self, f: Tensor) -> Tensor:
        """Put each example's rows of f, or of labels for it, side by side."""
        if not self.strided:
            return f
        return f.reshape(self.rows, self.examples, *f.shape[1:]).transpose(0, 1).flatten(0, 1)

    def of_last(self, f: Tensor) -> Tensor:
        """The last example's rows of f."""
        if self.strided:
            return f[self.examples - 1 :: self.examples]
        return f[-self.rows :]


def readings(x: Any, f: Tensor) -> Iterator[BatchReading]:
    """Yield all readings that the sizes allow, the most usual one first."""
    rows, entries = len(f), leading(x)
    last = slice(-1, None)
    if entries is None:
        yield BatchReading(rows, 1, False, 0, last)
        return
    if entries and rows % entries == 0:
        yield BatchReading(entries, rows // entries, False, 0, last)
        if entries not in (1, rows):
            yield BatchReading(entries, rows // entries, True, 0, last)
    for axis in axes_of_size(x, rows):
        yield BatchReading(rows, 1, False, axis, last)
    if rows and entries % rows == 0 and entries != rows:
        yield BatchReading(rows, 1, False, 0, slice(-(entries // rows), None))
        yield BatchReading(rows, 1, False, 0, slice(rows - 1, None, rows))


@dataclass(frozen=True)
class Alone:
    """The result of one example alone: its reading; or the `problem`, and whether it proves that
    examples are coupled."""

    reading: BatchReading | None
    problem: str = ""
    coupled: bool = False


def read(x: Any, f: Tensor, run: Run, low: bool) -> Alone:
    """Find the reading that one example alone confirms.

    `run` is the network without gradients; `low` says that a part of it computes in half precision.
    A network that cannot run with one example, or that draws random numbers, confirms no reading.
    """
    different, problem = 0.0, ""
    for reading in readings(x, f):
        if reading.examples == 1 and reading.rows == 1 and len(f) == 1:
            return Alone(reading)
        try:
            one = taken(x, reading.axis, reading.last)
            output = run(one)
        except Exception as error:  # a network may raise anything for one example
            problem = problem or f"with one example it raises {type(error).__name__}: {error}"
            continue
        expected = reading.of_last(f.detach())
        if output.shape != expected.shape:
            problem = problem or (
                f"one example's output has shape {tuple(output.shape)}, the batch's "
                f"{tuple(f.shape)}"
            )
            continue
        near = max(tolerance(expected), LOW if low else 0)
        if is_close(output, expected, near):
            return Alone(reading)
        if any(not is_close(run(one), output, near) for _ in range(REPEATS)):
            return Alone(None, "its output is random: call model.eval()")
        if not different:
            different = difference(output, expected)
    if different:
        return Alone(None, f"{different:.2g} of its largest entry", coupled=True)
    return Alone(None, problem)


def tolerance(x: Tensor) -> float:
    """The largest difference, relative to the largest entry, between two ways to compute one
    thing."""
    from torch import finfo

    if not (x.is_floating_point() or x.is_complex()):
        return 0.0
    eps = float(finfo(x.dtype).eps)
    if eps > 1e-4:
        return LOW
    if eps > 1e-10:
        return 1e-3 if x.device.type == "cpu" else LOW  # TF32 has ten bits
    return 1e-8


def difference(a: Tensor, b: Tensor) -> float:
    """The largest difference over the largest entry, with entries that are not finite as zero."""
    from torch import nan_to_num

    if not a.numel():
        return 0.0
    a, b = a.double() if not a.is_complex() else a, b.double() if not b.is_complex() else b
    a, b = nan_to_num(a), nan_to_num(b)
    largest = float(b.abs().max())
    apart = float((a - b).abs().max())
    return apart / largest if largest else apart


def is_close(a: Tensor, b: Tensor, near: float | None = None) -> bool:
    """Whether two ways to compute one thing agree, to `near` of the largest entry."""
    near = tolerance(b) if near is None else near
    return a.shape == b.shape and difference(a, b) <= near
