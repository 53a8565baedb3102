"""What is known of a value about NaN and infinity; `program.nonfinite` says what for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from diagrammar.ir.scalar import Dim


class Reach(IntEnum):
    """What a NaN or infinity reaches: the sums that have it, windows that hang over the edge of its
    operand, or more."""

    SUMS = 0
    BORDERS = 1
    MORE = 2


@dataclass(frozen=True, slots=True)
class Known:
    """Of a value: whether an operand is in it, the worst zeros that stand for no term, and what has
    been multiplied by such zeros.

    `covers`, where the value is a pattern: whether it has no zero once some axes are summed.
    """

    given: bool
    zeros: Reach = Reach.SUMS
    reach: Reach = Reach.SUMS
    covers: Callable[[Sequence[int]], bool] | None = field(default=None, compare=False)


def unless(holds: bool) -> Reach:
    """Gaps unless something holds."""
    return Reach.SUMS if holds else Reach.MORE


def worst_zeros(inputs: Sequence[Known]) -> Reach:
    """The worst zeros of some values."""
    return max((x.zeros for x in inputs), default=Reach.SUMS)


def worst_reach(inputs: Sequence[Known]) -> Reach:
    """The furthest that a NaN has got in some values."""
    return max((x.reach for x in inputs), default=Reach.SUMS)


def of_product(inputs: Sequence[Known]) -> Reach:
    """What a NaN reaches in a product of the first two inputs: as far as before, or as the zeros of
    one factor that meet an operand in the other."""
    factors = inputs[:2]
    if len(factors) < 2:
        return worst_reach(inputs)
    pairs = (factors, factors[::-1])
    met = [a.zeros if b.given else Reach.SUMS for a, b in pairs]
    return max(worst_reach(inputs), *met)


def are_numbers(sizes: Sequence[Dim]) -> bool:
    """Whether all sizes are known."""
    return all(isinstance(n, int) for n in sizes)
