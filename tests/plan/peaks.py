"""The peak memory of a call, as torch's allocator sees it on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile


def measured(call: Callable[[], Any], *, first: bool = False) -> int:
    """The most bytes that a call has allocated at once, results included; without a tape. What is
    made once, such as constants, is no part of it, unless this is to be the `first` call."""
    if not first:
        call()
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        call()
    events = [e for e in found.profiler.kineto_results.events() if e.name() == "[memory]"]
    alive = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        alive += event.nbytes()
        peak = max(peak, alive)
    return peak
