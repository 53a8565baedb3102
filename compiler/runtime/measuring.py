"""The choice among candidates by timing them on the machine that runs them."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter, process_time
from typing import Any

from diagrammar.backends.registry import Emitted
from diagrammar.cost.device import model
from diagrammar.cost.store import Store
from diagrammar.plan.candidates import Candidate, best
from diagrammar.plan.measure import MOST, PARTED, seconds
from diagrammar.plan.memory import Choice, Memory
from diagrammar.runtime.build import specialised
from diagrammar.runtime.specialised import Specialised

DOUBT = 2.0
"""How far the estimates of two candidates may be apart before the clock is not asked: some are off
by more (benchmarks/results/planner.md), most by less."""
WORTH = 1e-3
"""Seconds of a call from which settling a doubt by the clock is worth its time."""


def settled(special: Specialised, operands: Sequence[Any]) -> Specialised:
    """The plan of a device with measured rates. Where it is in doubt, since estimates are close or
    it is preferred to PyTorch's own call, the best few are timed once and remembered."""
    if special.device is None or not special.device.measured or special.recipe is None:
        return special
    least = min((c.cost for c in special.candidates), default=0.0)
    own = [c for c in special.candidates if c.recipe.is_one_call]
    close = [c for c in special.candidates if c.cost <= DOUBT * least]
    is_own_call = special.recipe.is_one_call and len(close) < 2
    if is_own_call or max([least, *(c.cost for c in own)]) < WORTH:
        return special
    return measured(special, operands)


def measured(
    special: Specialised, operands: Sequence[Any], store: Store | None = None
) -> Specialised:
    """The fastest of the best few candidates, and of PyTorch's own call, for operands like these.

    What cannot be timed (operands without memory, a call that is being traced) keeps the cost
    model's choice.
    """
    if not _can_be_timed(special, operands):
        return special
    memory = _memory(special, operands)
    few = _few(memory.keeping(special.candidates))
    if len(few) < 2:
        return special
    functions = [special.options.target.emit(c.planned.program, False) for c in few]
    sources = [function.source for function in functions]
    calls = partial(_calls, functions, operands)
    on_cpu = _device_type(operands) == "cpu"
    heap = max(map(memory.peak, few)) if on_cpu and memory.budget is None else 0
    facts = _facts(operands)
    # with one thread, seconds of the processor: what else runs on the machine counts for less
    clock = process_time if on_cpu and facts["threads"] == 1 else perf_counter
    taken = seconds(sources, facts, calls, store or Store(), clock, heap)
    at = best(taken, few)
    times = {c.name: s for c, s in zip(few, taken, strict=True)}
    choice = Choice(few[at], special.candidates)
    known = special.options, special.memory, special.device
    return specialised(functions[at], choice, *known, times)


def _can_be_timed(special: Specialised, operands: Sequence[Any]) -> bool:
    """Whether there is a choice, and operands with memory outside of a trace."""
    import torch

    target = special.options.target
    if not (target.planned and target.tensors) or torch.compiler.is_compiling():
        return False
    return _device_type(operands) != "meta"


def _device_type(operands: Sequence[Any]) -> str:
    """The kind of device that operands are on."""
    return str(operands[0].device.type) if operands else "cpu"


def _facts(operands: Sequence[Any]) -> dict[str, Any]:
    """What a choice depends on beside the sources."""
    import torch

    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": _device(operands[0]) if operands else "cpu",
        "operands": [(tuple(x.shape), str(x.dtype)) for x in operands],
    }


def _memory(special: Specialised, operands: Sequence[Any]) -> Memory:
    """The memory that a call with these operands may take: their entries may be larger than those
    that the budget was kept for."""
    itemsize = max((x.element_size() for x in operands), default=4)
    memory = special.memory
    if memory.budget is not None:
        itemsize = max(itemsize, memory.itemsize)
    return replace(memory, itemsize=itemsize)


def _few(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates that are timed: the cheapest, those that are PyTorch's own call, and a few in
    parts."""
    whole = [c for c in candidates if not c.recipe.cuts]
    parts = [c for c in candidates if c.recipe.cuts]
    called = [c for n, c in enumerate(whole) if n < MOST or c.recipe.is_one_call]
    return called + parts[:PARTED]


def _calls(functions: Sequence[Emitted], operands: Sequence[Any]) -> list[Callable[[], Any]]:
    """A call of each function, with operands like these whose entries are one."""
    import torch

    ones = [torch.ones(tuple(x.shape), dtype=x.dtype, device=x.device) for x in operands]
    kind = _device_type(operands)
    wait = model(kind).wait
    return [partial(_timed_call, f.call, ones, wait) for f in functions]


def _device(operand: Any) -> str:
    """What does the work: a GPU's name, or the kind of device."""
    import torch

    kind = operand.device.type
    if kind != "cpu" and hasattr(getattr(torch, kind, None), "get_device_name"):
        return str(getattr(torch, kind).get_device_name(operand.device))
    return f"{kind} {platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def _timed_call(call: Callable[..., Any], operands: Sequence[Any], wait: Any) -> None:
    """A call without a tape, until its result is there."""
    import torch

    with torch.no_grad():
        call(*operands)
    if wait is not None:
        wait()
