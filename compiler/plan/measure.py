"""Choosing by the clock: the best few candidates take turns, and the choice is remembered.

Time comes from a clock that is passed in; what is timed are calls without arguments.
"""

from __future__ import annotations

import ctypes
import hashlib
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from random import Random
from statistics import median
from time import perf_counter
from typing import Any

from diagrammar.cost.store import Store

Clock = Callable[[], float]

MOST = 5
"""How many candidates that run at once are timed."""
PARTED = 3
"""How many that run in parts."""
BLOCK = 31 * 2**20
"""Bytes of the largest allocation that glibc takes from its heap."""
LEAST = 2**20
"""Bytes of the smallest gap."""
RESERVED = 2**27
"""Bytes of heap that are reserved at most."""


def key(sources: Sequence[str], facts: Mapping[str, Any]) -> str:
    """What a choice depends on: the sources of all candidates, in any order, and the facts of the
    machine and the operands."""
    said = [*sorted(sources), *(f"{name}={facts[name]}" for name in sorted(facts))]
    return hashlib.sha256("\0".join(said).encode()).hexdigest()


def digest(source: str) -> str:
    """A source's name in the store."""
    return hashlib.sha256(source.encode()).hexdigest()[:16]


@contextmanager
def reserved(size: int) -> Iterator[None]:
    """A heap in which calls that allocate up to `size` bytes on a CPU can be timed.

    Where the top of the heap is free, glibc gives it back to the system after every call, and new
    pages can take longer than the call itself; where anything lies above it, it does not. Which of
    the two it is has nothing to do with the call. Here blocks lie between gaps, enough for all of
    them; what is larger than a gap comes as new pages, as it does in any program. Afterwards the
    system has the pages back. With another C library nothing is done.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.malloc.argtypes, libc.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    libc.free.argtypes, libc.free.restype = [ctypes.c_void_p], None
    libc.free(libc.malloc(BLOCK))  # raises the size from which the system is asked directly
    block = min(BLOCK, max(size, LEAST))
    gaps = 2 * (min(size, RESERVED) // block + 1)
    blocks = sorted(filter(None, (libc.malloc(block) for _ in range(2 * gaps))))
    for at in blocks:
        ctypes.memset(at, 0, block)
    for at in blocks[::2]:
        libc.free(at)
    try:
        yield
    finally:
        for at in blocks[1::2]:
            libc.free(at)
        libc.malloc_trim(0)


def timed(
    calls: Sequence[Callable[[], Any]],
    clock: Clock = perf_counter,
    *,
    rounds: int = 7,
    budget: float = 1.0,
    hopeless: float = 3.0,
    close: float = 1.25,
) -> list[float]:
    """The median seconds of each call.

    After a call for warming up, calls take turns until each was timed `rounds` times or all
    together took `budget` seconds, in another order every time, since what ran before decides what
    is in the caches; one whose first two times are `hopeless` times the best is not
    timed again. One that takes ten times that, and a quarter of the budget, while warming up is
    left at it; shorter first calls may have made what later ones find. Calls that are then within
    `close` times the best go on, for as many rounds or four budgets: a few samples of slow calls
    would leave the choice to what else the machine does.
    """
    samples: list[list[float]] = [[] for _ in calls]

    def once(at: int) -> None:
        start = clock()
        calls[at]()
        samples[at].append(clock() - start)

    for at, call in enumerate(calls):
        start = clock()
        call()
        warm = clock() - start
        best = min((min(s) for s in samples if s), default=warm)
        if warm > max(10 * hopeless * best, budget / 4):
            samples[at].append(warm)
        else:
            once(at)
            once(at)

    shuffled = Random(0).shuffle

    def turns(among: list[int], seconds: float) -> None:
        while min((len(samples[at]) for at in among), default=rounds) < rounds:
            if sum(sum(s) for s in samples) > seconds:
                break
            shuffled(among)
            for at in among:
                once(at)

    best = min((min(s) for s in samples), default=0.0)
    turns([at for at, s in enumerate(samples) if min(s) <= hopeless * best], budget)
    best = min((median(s) for s in samples), default=0.0)
    left = [at for at, s in enumerate(samples) if median(s) <= close * best]
    if len(left) > 1:
        turns(left, 4 * budget)
    return [median(s) for s in samples]


def seconds(
    sources: Sequence[str],
    facts: Mapping[str, Any],
    calls: Callable[[], Sequence[Callable[[], Any]]],
    store: Store,
    clock: Clock = perf_counter,
    heap: int = 0,
) -> list[float]:
    """The seconds of all candidates, measured once and then read.

    `calls` makes the calls, one for each source; it is not used where the choice is known. With
    `heap`, they are timed where so many bytes are reserved.
    """
    name = key(sources, facts)
    names = [digest(s) for s in sources]
    known = store.get(name)
    if known is not None:
        stored = known.get("seconds")
        if isinstance(stored, dict) and all(_is_time(stored.get(n)) for n in names):
            return [float(stored[n]) for n in names]
    with reserved(heap) if heap else nullcontext():
        measured = timed(calls(), clock)
    by_name = dict(zip(names, measured, strict=True))
    if all(map(_is_time, measured)):
        said = {n: str(fact) for n, fact in facts.items()}
        store.put(name, {"seconds": by_name, **said})
    return measured


def _is_time(seconds: object) -> bool:
    """Whether a call can have taken these seconds."""
    return isinstance(seconds, float) and 0 < seconds < 1e6
