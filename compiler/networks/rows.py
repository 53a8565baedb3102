"""The example to which each row of a layer's input belongs.

The layer maps each row on its own: rows are along all axes but the channels of a linear layer's
input, and along the first axis of a convolution's. The first axis need not be the examples: frames,
windows and crops are folded into it, time may come first, two halves may be concatenated. Rows of
one example are positions that share the weight, like the pixels of an image.
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
    """A regular layout of N examples among a layer's rows [*lead].

    Along `axis` there are N·m entries: each example's m entries are consecutive, or `strided`, N
    apart.
    """

    axis: int
    m: int
    strided: bool = False

    def fits(self, lead: Sequence[int], examples: int) -> bool:
        """Whether rows of this shape can have this layout."""
        return self.axis < len(lead) and lead[self.axis] == examples * self.m

    def is_plain(self) -> bool:
        """Whether the first axis is the examples."""
        return self.axis == 0 and self.m == 1

    def grouped(self, rows: Tensor, dims: int, examples: int) -> Tensor:
        """Reshape rows [*lead, …], with `dims` axes in lead, to [N, rows of an example, …]."""
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

        entries = arange(lead[self.axis])
        examples_of = entries % examples if self.strided else entries // self.m
        return examples_of.view(*(-1 if a == self.axis else 1 for a in range(len(lead)))).expand(
            *lead
        )


def rules(lead: Sequence[int], examples: int) -> Iterator[Regular]:
    """Yield all regular layouts of N examples in rows [*lead], the most usual ones first."""
    for axis, size in enumerate(lead):
        if size % examples == 0 and size:
            m = size // examples
            yield Regular(axis, m)
            if m > 1 and examples > 1:
                yield Regular(axis, m, strided=True)


def rule_of(owners: Tensor, examples: int) -> list[Regular]:
    """The regular layouts that agree with the known owners [*lead] of rows."""
    lead = tuple(owners.shape)
    seen = owners >= 0
    return [
        rule
        for rule in rules(lead, examples)
        if bool((rule.owners(lead, examples)[seen] == owners[seen]).all())
    ]


@dataclass(frozen=True)
class Ragged:
    """Rows without a regular layout, for example the rows of an expert: the example of each,
    [rows], `UNKNOWN` where the row has no part in the output."""

    owners: Tensor
    examples: int

    def counts(self) -> Tensor:
        """The number of rows of each example: [N]."""
        known = self.owners[self.owners >= 0]
        return known.bincount(minlength=self.examples)

    def padded(self, rows: Tensor) -> Tensor:
        """Reshape rows [rows, …] to [N, most rows of an example, …], with zeros behind."""
        order = self.owners.argsort(stable=True)
        order = order[int((self.owners < 0).sum()) :]
        counts = self.counts()
        most = max(int(counts.max()), 1)
        starts = counts.cumsum(0) - counts
        place = self.owners[order]
        inside = place.new_tensor(range(len(order))) - starts[place]
        places = rows.new_zeros((self.examples * most, *rows.shape[1:]))
        places[(place * most + inside).to(rows.device)] = rows[order.to(rows.device)]
        return places.reshape(self.examples, most, *rows.shape[1:])

    def summed(self, rows: Tensor) -> Tensor:
        """Sum over each example's rows: [N, …] from [rows, …]."""
        known = self.owners >= 0
        sums = rows.new_zeros((self.examples, *rows.shape[1:]))
        return sums.index_add_(0, self.owners[known].to(rows.device), rows[known.to(rows.device)])


@dataclass(frozen=True)
class Shared:
    """Rows that all examples use, for example a table of positions."""

    lead: tuple[int, ...]

    def fits(self, lead: Sequence[int], examples: int) -> bool:
        """Whether rows of this shape can be the same for all."""
        return tuple(lead) == self.lead


def flat(rows: Tensor, dims: int) -> Tensor:
    """Reshape rows [*lead, …] to [rows, …]."""
    return rows.reshape(prod(rows.shape[:dims]), *rows.shape[dims:])


# -- finding owners --------------------------------------------------------------------------------


def digits(examples: int, base: int) -> list[Tensor]:
    """The digits of examples' numbers in a base, [N] each, the lowest first."""
    from torch import arange

    numbers = arange(examples)
    results: list[Tensor] = []
    while not results or examples > 1:
        results.append(numbers % base)
        numbers, examples = numbers // base, -(-examples // base)
    return results


def owners_of(norms: Sequence[Tensor], base: int, examples: int, tolerance: float) -> Tensor:
    """Find the example of each row, from norms of the rows' gradients [*lead] in several passes.

    In the first pass the output's cotangent is v; in each other pass it is v times two to the power
    of a digit of the example's number, which is exact. The norm of a row of one example is
    multiplied by that power; the norm of a row of several examples is not.
    """
    from torch import full_like, int64, where

    first, *others = norms
    largest = first.max() if first.numel() else 0
    seen = first > largest * 1e-30
    owners, several, weight = first.to(int64) * 0, first != first, 1
    for norm in others:
        exponent = (norm / where(seen, first, 1)).clamp(min=2.0**-9).log2()
        digit = exponent.round()
        several = several | ((exponent - digit).abs() > tolerance) | (digit < 0) | (digit >= base)
        owners = owners + digit.clamp(0, base - 1).to(int64) * weight
        weight *= base
    several = several | (owners >= examples)
    owners = where(several, full_like(owners, SEVERAL), owners)
    return where(seen, owners, full_like(owners, UNKNOWN)).cpu()
