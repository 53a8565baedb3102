"""Gaps: places of a value to which a relation leads nothing, where a zero stands for no term.

A value with gaps may be summed, moved and returned. Multiplied by another operand, a zero in a gap
makes NaN of a NaN or infinity there, although the sum has no such term (`program.nonfinite`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from diagrammar.ir.covering import LARGEST, reaches, returns_everywhere
from diagrammar.ir.relation import ConvForm, Equation, Linear, Relation, Sizes
from diagrammar.ir.scalar import Dim

__all__ = [
    "folds_everywhere",
    "is_total",
    "reaches",
    "returns_everywhere",
    "spreads_everywhere",
]


def is_total(relation: Relation, kept: Sequence[str], sizes: Sizes) -> bool:
    """Whether a relation leads from all values of the kept wires to some of the others."""
    if any(not (p.equations or p.bounds) for p in relation.pieces):
        return True
    if not all(isinstance(n, int) for n in _numbers(relation, sizes)):
        return False
    extents = [int(sizes[w]) for w in relation.wires]
    if prod(extents) > LARGEST:
        return False
    at = [n for n, w in enumerate(relation.wires) if w in kept]
    found = set()
    for index in itertools.product(*map(range, extents)):
        key = tuple(index[n] for n in at)
        if key not in found and _holds(relation, dict(zip(relation.wires, index, strict=True))):
            found.add(key)
    return len(found) == prod(extents[n] for n in at)


def _numbers(relation: Relation, sizes: Sizes) -> Iterator[Dim]:
    """Every size, coefficient, constant and modulus of a relation."""
    yield from (sizes[w] for w in relation.wires)
    for piece in relation.pieces:
        for form in (*piece.bounds, *(e.form for e in piece.equations)):
            yield from (form.constant, *(c for _, c in form.terms))
        yield from (e.modulus for e in piece.equations if e.modulus is not None)


def _holds(relation: Relation, at: dict[str, int]) -> bool:
    def value(form: Linear) -> int:
        return sum(int(c) * at[w] for w, c in form.terms) + int(form.constant)

    def solved(e: Equation) -> bool:
        return value(e.form) % int(e.modulus) == 0 if e.modulus is not None else not value(e.form)

    return any(
        all(map(solved, p.equations)) and all(value(b) >= 0 for b in p.bounds)
        for p in relation.pieces
    )


def folds_everywhere(form: ConvForm) -> bool:
    """Whether each i is met by some window: nothing is left out between or behind them."""
    numbers = (form.I, form.O, form.K, form.S, form.D, form.P)
    return all(isinstance(n, int) for n in numbers) and reaches(*map(int, numbers))


def spreads_everywhere(form: ConvForm, along: str) -> bool:
    """Whether, read from o or k (`along`), all combinations of the others are met."""
    numbers: tuple[Any, ...] = (form.I, form.O, form.K, form.S, form.D, form.P)
    if not all(isinstance(n, int) for n in numbers):
        return False
    rows, windows, entries, step, apart, before = map(int, numbers)
    if form.k is None:
        return folds_everywhere(form)
    if along == form.k:
        windows, entries, step, apart = entries, windows, apart, step
    return step == 1 and before >= apart * (entries - 1) and rows - 1 + before < windows
