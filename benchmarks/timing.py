"""Clocks: contenders measured in turn in one process, warmed up; and what machine it was.

Noise on a shared machine comes in stretches of seconds. Contenders that take turns meet the same
stretches, so that a ratio of medians says more than either time does.
"""

from __future__ import annotations

import gc
import os
import platform
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median
from time import perf_counter, process_time

import torch

from diagrammar.cost.device import processor

Call = Callable[[], object]


@dataclass(frozen=True)
class Clock:
    """How long to measure.

    rounds: the most turns of each contender. seconds: the budget for all turns of all of them; at
    least `least` turns are taken. sample: a short call is repeated to take that many seconds.
    processor: count the seconds of the processor, which other programs disturb less; for one thread
    only.
    """

    rounds: int = 21
    processor: bool = False
    least: int = 5
    seconds: float = 2.0
    sample: float = 5e-4

    @property
    def clock(self) -> Callable[[], float]:
        """What is read: wall time, or the processor's where that is asked for."""
        return process_time if self.processor and torch.get_num_threads() == 1 else perf_counter

    def times(self, contenders: Mapping[str, Call]) -> dict[str, float]:
        """The median seconds of one call of each contender; the order changes every turn."""
        samples = self.samples(contenders)
        return {name: median(found) for name, found in samples.items()}

    def samples(self, contenders: Mapping[str, Call]) -> dict[str, list[float]]:
        """Seconds a call, turn by turn: `samples[name][n]` is from turn n for every name."""
        calls = {name: self._calls(call) for name, call in contenders.items()}
        turn = sum(
            calls[name] * _seconds(call, calls[name], self.clock)
            for name, call in contenders.items()
        )
        rounds = max(self.least, min(self.rounds, int(self.seconds / max(turn, 1e-9))))
        found: dict[str, list[float]] = {name: [] for name in contenders}
        order, shuffle = list(contenders), random.Random(0).shuffle
        collecting = gc.isenabled()
        gc.disable()
        try:
            for _ in range(rounds):
                shuffle(order)
                for name in order:
                    found[name].append(_seconds(contenders[name], calls[name], self.clock))
        finally:
            if collecting:
                gc.enable()
        return found

    def _calls(self, call: Call) -> int:
        """Calls a sample, after two for warming up."""
        call()
        return max(1, round(self.sample / max(_seconds(call, 1, self.clock), 1e-9)))


def _seconds(call: Call, calls: int, clock: Callable[[], float] = perf_counter) -> float:
    """The mean seconds of some calls in a row; on a GPU by its own events."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        before.record()
        for _ in range(calls):
            call()
        after.record()
        torch.cuda.synchronize()
        return float(before.elapsed_time(after)) / 1e3 / calls
    start = clock()
    for _ in range(calls):
        call()
    return (clock() - start) / calls


def shown(seconds: float) -> str:
    """A time with three digits and a unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def geometric_mean(values: Sequence[float]) -> float:
    """The nth root of the product of n positive numbers."""
    return float(torch.tensor(values, dtype=torch.float64).log().mean().exp())


def machine() -> dict[str, str]:
    """What a committed figure stands beside: processor, threads, versions, date."""
    return {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "threads used": str(torch.get_num_threads()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": version("torch"),
        "diagrammar": version("diagrammar"),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
