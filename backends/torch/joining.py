"""Join neighbouring steps of one kind, and leave out steps that nothing needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from diagrammar import program as ops
from diagrammar.ir import scalar
from diagrammar.ir.scalar import plain
from diagrammar.program import Dim, Step

T = TypeVar("T")
Range = tuple[Dim, Dim, Dim]
"""Start, length and step of a slice."""


@dataclass(frozen=True, slots=True)
class Slices:
    """Slices of one value: a range for each axis, or None."""

    x: int
    ranges: tuple[Range | None, ...]

    @property
    def inputs(self) -> tuple[int, ...]:
        """The sliced value."""
        return (self.x,)


@dataclass(frozen=True, slots=True)
class Flips:
    """A value with reversed order along `axes`."""

    x: int
    axes: tuple[int, ...]

    @property
    def inputs(self) -> tuple[int, ...]:
        """The flipped value."""
        return (self.x,)


def pick(items: Sequence[T], order: Sequence[int]) -> tuple[T, ...]:
    """Put items into another order."""
    return tuple(items[n] for n in order)


def needed(steps: Sequence[Step], results: Sequence[int]) -> list[Step | None]:
    """Drop (as None) the steps that the results do not depend on."""
    needed = set(results)
    for number in reversed(range(len(steps))):
        if number in needed:
            needed.update(steps[number].operation.inputs)
    return [step if number in needed else None for number, step in enumerate(steps)]


def joined(
    steps: list[Step | None], results: Sequence[int], origins: Sequence[set[int]]
) -> tuple[Step | None, ...]:
    """Join neighbours of one kind where nothing else reads the first; the new step has the origins
    of both."""
    uses = Counter(value for step in steps if step for value in step.operation.inputs)
    uses.update(results)
    for number, step in enumerate(steps):
        if step is None or len(step.operation.inputs) != 1:
            continue
        (before,) = step.operation.inputs
        first = steps[before]
        both = first and uses[before] == 1 and _join(first.operation, step.operation)
        if first and both:
            remark = "\n".join(filter(None, (first.remark, step.remark)))
            steps[number], steps[before] = replace(step, operation=both, remark=remark), None
            origins[number].update(origins[before])
    return tuple(steps)


def _join(first: Any, second: Any) -> Any:
    """One operation that does both, or None."""
    match first, second:
        case ops.Reshape(), ops.Reshape():
            return first
        case ops.Permute(), ops.Permute():
            return ops.Permute(first.x, pick(first.order, second.order))
        case Slices(), Slices():
            pairs = list(zip(first.ranges, second.ranges, strict=True))
            if any(a and b for a, b in pairs):
                return None
            return Slices(first.x, tuple(a or b for a, b in pairs))
        case Flips(), Flips() if not set(first.axes) & set(second.axes):
            return Flips(first.x, first.axes + second.axes)
        case ops.Sum(), ops.Sum():
            rank = len(first.axes) + len(second.axes) + max(second.axes) + 1
            left = [axis for axis in range(rank) if axis not in first.axes]
            return ops.Sum(first.x, tuple(sorted((*first.axes, *pick(left, second.axes)))))
        case ops.Pad(), ops.Pad():
            sides = list(zip(first.padding, second.padding, strict=True))
            if all(_one_sign((*p, *q)) for p, q in sides):
                total = [(plain(p[0] + q[0]), plain(p[1] + q[1])) for p, q in sides]
                return ops.Pad(first.x, tuple(total))
    return None


def _one_sign(numbers: Sequence[Dim]) -> bool:
    """Whether all numbers certainly pad, or all certainly cut. Otherwise a cut might take entries
    of the first padding."""
    return all(map(scalar.nonnegative, numbers)) or all(scalar.nonnegative(-n) for n in numbers)
