"""Contractions: plain, masked, and of a value with itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from diagrammar.program.operations.base import Base, Sizes
from diagrammar.program.operations.unary import Unary


def sizes_of(terms: Sequence[Sequence[int]], shapes: Sequence[Sizes]) -> dict[int, int]:
    """The size of each label."""
    pairs = zip(terms, shapes, strict=True)
    return {label: n for term, shape in pairs for label, n in zip(term, shape, strict=True)}


@dataclass(frozen=True, slots=True)
class Einsum(Base):
    """A contraction. `terms[n]` labels the axes of input n, `out` those of the result.

    Labels are small integers; no label stands twice in one term, every label of `out` stands in
    some term. Compiled programs have one or two inputs; the dense oracle has one step with all of
    them.
    """

    values: tuple[int, ...]
    terms: tuple[tuple[int, ...], ...]
    out: tuple[int, ...]

    @property
    def inputs(self) -> tuple[int, ...]:
        """The values that are contracted."""
        return self.values

    def multiplications(self, inputs: Sequence[Sizes], result: Sizes) -> int:
        """One for each combination of all labels."""
        return prod(sizes_of(self.terms, inputs).values())


@dataclass(frozen=True, slots=True)
class Masked(Base):
    """A contraction of a pattern, the first of `values`, with another value, where zeros of the
    pattern leave out what they meet: a NaN there does not reach the result. `counts`: whether
    entries of the pattern may be other than 0 and 1. `whole`: all products are written, then
    summed, and the axes of both values stand in the order of `every`.

    Labels are those of `Einsum`.
    """

    law: ClassVar[str] = (
        "mask: what a relation leaves out is not multiplied by zero, so a NaN stays behind"
    )

    values: tuple[int, int]
    terms: tuple[tuple[int, ...], tuple[int, ...]]
    out: tuple[int, ...]
    counts: bool = False
    whole: bool = True

    @property
    def inputs(self) -> tuple[int, ...]:
        """The pattern, and what it is contracted with."""
        return self.values

    @property
    def every(self) -> tuple[int, ...]:
        """All labels, those that are summed last."""
        return tuple(dict.fromkeys((*self.out, *self.terms[1], *self.terms[0])))

    def multiplications(self, inputs: Sequence[Sizes], result: Sizes) -> int:
        """Those of the contraction; none where entries are chosen and added."""
        return 0 if self.whole else prod(sizes_of(self.terms, inputs).values())

    def workspace(self, inputs: Sequence[Sizes], result: Sizes) -> int:
        """All products at once; or what is finite, and marks of the rest with either sign."""
        if not self.whole:
            return 3 * prod(inputs[1]) + 2 * prod(result)
        swept = prod(sizes_of(self.terms, inputs).values())
        return swept * (1 + self.counts) - prod(result) * (len(self.every) == len(self.out))


@dataclass(frozen=True, slots=True)
class Gram(Unary):
    """x·xᵀ over the last axis of x [*batch, rows, depth] → [*batch, rows, rows]: symmetric, so that
    a product is made for each block of `block` rows up to the diagonal, and mirrored."""

    law: ClassVar[str] = (
        "Gram matrix: a value with itself is symmetric, half of the blocks are multiplied"
    )

    block: int

    def multiplications(self, inputs: Sequence[Sizes], result: Sizes) -> int:
        """Those of the blocks up to the diagonal."""
        *batch, rows, depth = inputs[0]
        stops = [min(start + self.block, rows) for start in range(0, rows, self.block)]
        starts = [0, *stops[:-1]]
        blocks = sum((stop - start) * stop for start, stop in zip(starts, stops, strict=True))
        return prod(batch) * blocks * depth

    def workspace(self, inputs: Sequence[Sizes], result: Sizes) -> int:
        """One stripe of blocks."""
        return prod(result) * self.block // max(result[-1], 1)
