"""Work, counted in calls of functions: the same number on a slow, a busy and an idle machine.

What grows too fast makes too many calls. Seconds are for the benchmarks.
"""

from __future__ import annotations

import cProfile
from collections.abc import Iterator
from contextlib import contextmanager


class Work:
    """How many functions were called, Python's own among them."""

    calls = 0


@contextmanager
def counted() -> Iterator[Work]:
    """Count the calls of this thread within the block."""
    work, profile = Work(), cProfile.Profile(timer=int)  # a clock that stands still
    profile.enable()
    try:
        yield work
    finally:
        profile.disable()
        work.calls = sum(entry.callcount for entry in profile.getstats())
