"""Whether numbers that describe windows or picked entries have every row; nothing of relations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

LARGEST = 4096
"""The most entries of a relation that is looked at; a larger one is said to have gaps."""
ROWS = 2**20


def reaches(rows: int, windows: int, entries: int, step: int, apart: int, before: int) -> bool:
    """Whether S·o + D·k − P has all values from 0 to I − 1."""
    if rows > ROWS:
        return False
    seen = bytearray(rows)
    for k in range(entries):
        start = apart * k - before
        first = max(0, -(start // step))  # the least o inside, rounded up
        stop = min(start + step * (windows - 1) + 1, rows)
        places = range(start + step * first, stop, step)
        seen[places.start : max(places.stop, places.start) : step] = b"\1" * len(places)
    return all(seen)


def returns_everywhere(size: Any, runs: Sequence[tuple[Any, Any, Any]]) -> bool:
    """Whether runs of picked entries have all of those that they are picked from."""
    numbers = (size, *(n for run in runs for n in run))
    if not all(isinstance(n, int) for n in numbers) or int(size) > ROWS:
        return False
    seen = {a + s * n for a, length, s in runs for n in range(length)}
    return len(seen) == int(size)
