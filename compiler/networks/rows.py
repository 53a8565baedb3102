"""Which rows of a layer's input belong to which example of the network.

A row is what the layer maps on its own: all but the channels of a linear layer's input, the first
axis of a convolution's. The first axis need not be the examples: frames, windows and crops are
folded into it, time may come first, two halves may be concatenated. Rows of one example are
positions that share the weight, like those of an image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

UNKNOWN, SEVERAL = -1, -2
"""Owners of rows whose gradient is zero, and of rows that go into several examples."""


@dataclass(frozen=True)
class Regular:
    """Where the N examples are among a layer's rows [*lead].

    Along `axis` there are N·m entries: each example's m are consecutive, or `strided`, N apart.
    """

    axis: int
    m: int
    strided: bool = False

    def fits(self, lead: Sequence[int], examples: int) -> bool:
        """Whether rows of this shape can be laid out so."""
        return self.axis < len(lead) and lead[self.axis] == examples * self.m

    def is_plain(self) -> bool:
        """Whether the first axis is the examples."""
        return self.axis == 0 and self.m == 1

    def grouped(self, rows: Tensor, dims: int, examples: int) -> Tensor:
        """Rows [*lead, …], `dims` axes of them, as [N, rows of an example, …]."""
        moved = rows.movedim(self.axis, 0)
        rest = moved.shape[1:]
        if self.strided:
            moved = moved.reshape(self.m, examples, *rest).transpose(0, 1)
        else:
            moved = moved.reshape(examples, self.m, *rest)
        return moved.flatten(1, dims)

    def owners(self, lead: Sequence[int], examples: int) -> Tensor:
        """The example of each row: [*lead]."""
        from torch import arange

        at = arange(lead[self.axis])
        one = at % examples if self.strided else at // self.m
        return one.view(*(-1 if a == self.axis else 1 for a in range(len(lead)))).expand(*lead)


def rules(lead: Sequence[int], examples: int) -> Iterator[Regular]:
    """All ways in which N examples can be laid out in rows [*lead], the most usual ones first."""
    for axis, size in enumerate(lead):
        if size % examples == 0 and size:
            m = size // examples
            yield Regular(axis, m)
            if m > 1 and examples > 1:
                yield Regular(axis, m, strided=True)


def rule_of(owners: Tensor, examples: int) -> list[Regular]:
    """The layouts that agree with what is known of the rows' owners [*lead]."""
    lead = tuple(owners.shape)
    seen = owners >= 0
    return [
        rule
        for rule in rules(lead, examples)
        if bool((rule.owners(lead, examples)[seen] == owners[seen]).all())
    ]


@dataclass(frozen=True)
class Ragged:
    """Rows without a regular layout, such as those that an expert is given: the example of each,
    [rows], `UNKNOWN` where the row has no part in the output."""

    owners: Tensor
    examples: int

    def counts(self) -> Tensor:
        """The number of rows of each example: [N]."""
        known = self.owners[self.owners >= 0]
        return known.bincount(minlength=self.examples)

    def padded(self, rows: Tensor) -> Tensor:
        """Rows [rows, …] as [N, most rows of an example, …], with zeros behind."""
        order = self.owners.argsort(stable=True)
        order = order[int((self.owners < 0).sum()) :]
        counts = self.counts()
        most = max(int(counts.max()), 1)
        starts = counts.cumsum(0) - counts
        place = self.owners[order]
        inside = place.new_tensor(range(len(order))) - starts[place]
        made = rows.new_zeros((self.examples * most, *rows.shape[1:]))
        made[(place * most + inside).to(rows.device)] = rows[order.to(rows.device)]
        return made.reshape(self.examples, most, *rows.shape[1:])

    def summed(self, rows: Tensor) -> Tensor:
        """Sums over each example's rows: [N, …] from [rows, …]."""
        known = self.owners >= 0
        made = rows.new_zeros((self.examples, *rows.shape[1:]))
        return made.index_add_(0, self.owners[known].to(rows.device), rows[known.to(rows.device)])


@dataclass(frozen=True)
class Shared:
    """Rows that all examples use, such as those of a table of positions."""

    lead: tuple[int, ...]

    def fits(self, lead: Sequence[int], examples: int) -> bool:
        """Whether rows of this shape can be the same for all."""
        return tuple(lead) == self.lead


def flat(rows: Tensor, dims: int) -> Tensor:
    """Rows [*lead, …] as [rows, …]."""
    return rows.reshape(prod(rows.shape[:dims]), *rows.shape[dims:])


# -- finding owners --------------------------------------------------------------------------------


def digits(examples: int, base: int) -> list[Tensor]:
    """The digits of examples' numbers, [N] each, the lowest first."""
    from torch import arange

    at = arange(examples)
    found: list[Tensor] = []
    while not found or examples > 1:
        found.append(at % base)
        at, examples = at // base, -(-examples // base)
    return found


def owners_of(norms: Sequence[Tensor], base: int, examples: int, tolerance: float) -> Tensor:
    """The example of each row, from the norms of its gradient [*lead] in several passes.

    In the first, the output's cotangent is v; in the others, v times two to the power of a digit
    of the example's number, which is exact. A row of one example has its norm times that power; one
    of several examples has no such norm.
    """
    from torch import full_like, int64, where

    first, *others = norms
    largest = first.max() if first.numel() else 0
    seen = first > largest * 1e-30
    found, several, weight = first.to(int64) * 0, first != first, 1
    for norm in others:
        exponent = (norm / where(seen, first, 1)).clamp(min=2.0**-9).log2()
        digit = exponent.round()
        several = several | ((exponent - digit).abs() > tolerance) | (digit < 0) | (digit >= base)
        found = found + digit.clamp(0, base - 1).to(int64) * weight
        weight *= base
    several = several | (found >= examples)
    found = where(several, full_like(found, SEVERAL), found)
    return where(seen, found, full_like(found, UNKNOWN)).cpu()
