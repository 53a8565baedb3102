"""Contractions: plain, masked, and of a value with itself."""

from __future__ import annotations

from dataclasses import dataclass

from diagrammar.program.operations.unary import Unary


@dataclass(frozen=True, slots=True)
class Einsum:
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


@dataclass(frozen=True, slots=True)
class Masked:
    """A contraction of a pattern, the first of `values`, with another value, where zeros of the
    pattern leave out what they meet: a NaN there does not reach the result. `counts`: whether
    entries of the pattern may be other than 0 and 1. `whole`: all products are written, then
    summed, and the axes of both values stand in the order of `every`.

    Labels are those of `Einsum`.
    """

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


@dataclass(frozen=True, slots=True)
class Gram(Unary):
    """x·xᵀ over the last axis of x [*batch, rows, depth] → [*batch, rows, rows]: symmetric, so that
    a product is made for each block of `block` rows up to the diagonal, and mirrored."""

    block: int
