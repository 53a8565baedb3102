"""A dictionary with a bound: what was made first goes first."""

from __future__ import annotations

import gc
from threading import Lock
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

PLANS = 64
"""Programs that a function keeps, each with its plan: about 200 KiB for a convolution."""
CALLS = 1024
"""Signatures whose emitted function is known at once: about 10 KiB each."""
CONSTANTS = 2**25
"""Bytes of constants that the functions of a dictionary hold together, unless one has more."""

_LOCK = Lock()


def _constants(value: Any) -> int:
    return getattr(value, "constants", 0)


_gone = 0


def _freed(count: int) -> None:
    """Constants were let go: a module and its functions refer to each other, so that only the
    collector frees them. It is called where so many bytes wait for it that it is worth the time."""
    global _gone
    _gone += count
    if _gone > CONSTANTS:
        _gone = 0
        gc.collect()


class Latest(dict[K, V], Generic[K, V]):
    """At most `most` entries, whose `constants` (bytes, where they have some) are no more than
    `CONSTANTS` together. Reading is a dictionary's own, and costs no more; `used` says that an
    entry is to stay longer. Threads may share it."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def __setitem__(self, key: K, value: V) -> None:
        with _LOCK:
            self.pop(key, None)
            super().__setitem__(key, value)
            held = sum(map(_constants, self.values())) if _constants(value) else 0
            gone = 0
            while len(self) > self.most or (held - gone > CONSTANTS and len(self) > 1):
                gone += _constants(self.pop(next(iter(self))))
        if gone:
            _freed(gone)

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
