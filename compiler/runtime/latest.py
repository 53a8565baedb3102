"""A dictionary with a bound: what was made first goes first."""

from __future__ import annotations

from threading import Lock
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

PLANS = 64
"""Programs that a function keeps, each with its plan: about 200 KiB for a convolution."""
CALLS = 1024
"""Signatures whose emitted function is known at once: about 10 KiB each."""

_LOCK = Lock()


class Latest(dict[K, V], Generic[K, V]):
    """At most `most` entries. Reading is a dictionary's own, and costs no more; `used` says that
    an entry is to stay longer. Threads may share it."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def __setitem__(self, key: K, value: V) -> None:
        with _LOCK:
            super().__setitem__(key, value)
            while len(self) > self.most:
                del self[next(iter(self))]

    def used(self, key: K) -> V | None:
        """The entry of a key, which now is the last to go; None where there is none."""
        with _LOCK:
            value = self.pop(key, None)
            if value is not None:
                super().__setitem__(key, value)
            return value

    def __reduce__(self) -> tuple[Any, ...]:
        """For copies and pickles: the bound, and nothing of what was kept."""
        return (Latest, (self.most,))
