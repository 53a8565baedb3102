"""Which rows the windows of a Gram matrix have in common.

For kernel positions k and k′ = k + δ, rows i and i + D·δ meet for i = S·o + D·k − P, 0 ≤ o < O,
both inside. Positions k whose rows have one remainder modulo S share all but a few of them: the
rows are cut where a window of the class begins or ends, so that each window is a sum of
neighbouring segments. Only sums: nothing cancels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from diagrammar.ir.autocorrelation import GramForm


@dataclass(frozen=True, slots=True)
class Segment:
    """`count` rows from `start` in steps of `step`."""

    start: int
    count: int
    step: int


@dataclass(frozen=True, slots=True)
class Block:
    """The rows that positions k and k2 share: the segments, each with its partner rows `distance`
    further on."""

    k: int
    k2: int
    distance: int
    segments: tuple[Segment, ...]


def blocks(form: GramForm, *, mirrored: bool) -> Iterator[Block]:
    """All pairs k ≤ k2, and with `mirrored` also k > k2; every size of the form is a number."""
    size = int(form.K)
    for apart in range(1 - size if mirrored else 0, size):
        classes: dict[int, list[int]] = {}
        for k in range(max(0, -apart), size - max(0, apart)):
            classes.setdefault((int(form.D) * k - int(form.P)) % int(form.S), []).append(k)
        for members in classes.values():
            yield from _of_class(form, members, apart)


def _of_class(form: GramForm, members: list[int], apart: int) -> Iterator[Block]:
    step, distance = int(form.S), int(form.D) * apart
    spans = {k: span(form, k, distance) for k in members}
    cuts = sorted({end for span in spans.values() for end in span})
    for k, (first, last) in spans.items():
        inside = [c for c in cuts if first <= c <= last]
        segments = tuple(Segment(a, (b - a) // step, step) for a, b in pairwise(inside))
        yield Block(k, k + apart, distance, segments)


def span(form: GramForm, k: int, distance: int) -> tuple[int, int]:
    """The first row in the column of k that has its partner inside, and the one after the last."""
    step, size = int(form.S), int(form.I)
    start = int(form.D) * k - int(form.P)
    low, high = max(0, -distance), size - max(0, distance)
    first = max(0, -((start - low) // step))  # the least o with start + S·o ≥ low
    after = min(int(form.O), -((start - high) // step))  # one past the last with start + S·o < high
    after = max(after, first)
    return start + step * first, start + step * after
