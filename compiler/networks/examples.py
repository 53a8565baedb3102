"""How many examples a batch has, and which rows of the network's output are whose.

Usually the first axes of x and of the output f are the examples. Language models may end in
`flatten(0, 1)`, so that f has several rows for each; crops may be averaged, so that f has fewer
rows than x; recurrent networks may have time first. What is the case is not guessed: the last
example goes through the network alone, and its output must be its rows of the batch's.
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
"""Runs that must agree before an output counts as not random; a dropout may drop alike twice."""
LOW = 0.05
"""How far two ways to compute one thing may be apart in half precision, whose numbers have eight
bits: some of their rounding errors of 0.004 one after another."""


@dataclass(frozen=True)
class BatchReading:
    """A way to read a batch: `examples` N, `rows` of the output f for each, consecutive or
    (`strided`) N apart; and where one example's part of x is, along `axis` the slice `last`."""

    examples: int
    rows: int
    strided: bool
    axis: int
    last: slice

    def again(self, x: Any, f: Tensor) -> BatchReading | None:
        """The same reading of another batch; None where its sizes do not allow it."""
        one = (self.axis, self.strided, self.rows > 1, self.last.step is None)
        for found in readings(x, f):
            if (found.axis, found.strided, found.rows > 1, found.last.step is None) == one:
                return found
        return None

    def ordered(self, f: Tensor) -> Tensor:
        """f, or labels for it, with each example's rows side by side."""
        if not self.strided:
            return f
        return f.reshape(self.rows, self.examples, *f.shape[1:]).transpose(0, 1).flatten(0, 1)

    def of_last(self, f: Tensor) -> Tensor:
        """The last example's rows of f."""
        if self.strided:
            return f[self.examples - 1 :: self.examples]
        return f[-self.rows :]


def readings(x: Any, f: Tensor) -> Iterator[BatchReading]:
    """All readings that the sizes allow, the most usual one first."""
    rows, given = len(f), leading(x)
    last = slice(-1, None)
    if given is None:
        yield BatchReading(rows, 1, False, 0, last)
        return
    if given and rows % given == 0:
        yield BatchReading(given, rows // given, False, 0, last)
        if given not in (1, rows):
            yield BatchReading(given, rows // given, True, 0, last)
    for axis in axes_of_size(x, rows):
        yield BatchReading(rows, 1, False, axis, last)
    if rows and given % rows == 0 and given != rows:
        yield BatchReading(rows, 1, False, 0, slice(-(given // rows), None))
        yield BatchReading(rows, 1, False, 0, slice(rows - 1, None, rows))


@dataclass(frozen=True)
class Alone:
    """What came of an example that went through the network alone: its reading, or why none is
    known: `problem`, and whether it is a proof that examples are coupled."""

    reading: BatchReading | None
    problem: str = ""
    coupled: bool = False


def read(x: Any, f: Tensor, run: Run, low: bool) -> Alone:
    """The reading that one example alone confirms. `run` is the network without gradients; `low`
    says that a part of it computes in half precision.

    A network that cannot run with one example, or that draws random numbers, confirms none.
    """
    different, problem = 0.0, ""
    for reading in readings(x, f):
        if reading.examples == 1 and reading.rows == 1 and len(f) == 1:
            return Alone(reading)
        try:
            one = taken(x, reading.axis, reading.last)
            made = run(one)
        except Exception as error:  # whatever a network raises for one example
            problem = problem or f"with one example it raises {type(error).__name__}: {error}"
            continue
        expected = reading.of_last(f.detach())
        if made.shape != expected.shape:
            problem = problem or (
                f"one example's output has shape {tuple(made.shape)}, the batch's {tuple(f.shape)}"
            )
            continue
        near = max(tolerance(expected), LOW if low else 0)
        if is_close(made, expected, near):
            return Alone(reading)
        if any(not is_close(run(one), made, near) for _ in range(REPEATS)):
            return Alone(None, "its output is random: call model.eval()")
        if not different:
            different = difference(made, expected)
    if different:
        return Alone(None, f"{different:.2g} of its largest entry", coupled=True)
    return Alone(None, problem)


def tolerance(x: Tensor) -> float:
    """How far two ways to compute one thing may be apart, relative to the largest entry."""
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
    """The largest difference over the largest entry; 0 where both are not finite alike."""
    from torch import nan_to_num

    if not a.numel():
        return 0.0
    a, b = a.double() if not a.is_complex() else a, b.double() if not b.is_complex() else b
    a, b = nan_to_num(a), nan_to_num(b)
    largest = float(b.abs().max())
    apart = float((a - b).abs().max())
    return apart / largest if largest else apart


def is_close(a: Tensor, b: Tensor, near: float | None = None) -> bool:
    """Whether two ways to compute one thing gave the same, to `near` of the largest entry."""
    near = tolerance(b) if near is None else near
    return a.shape == b.shape and difference(a, b) <= near
