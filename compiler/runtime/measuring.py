"""The choice among candidates by timing them on the machine that runs them."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter, process_time
from typing import Any

from diagrammar.backends.torch import emit as backend
from diagrammar.cost.store import Store
from diagrammar.plan.candidates import best
from diagrammar.plan.measure import MOST, PARTED, seconds
from diagrammar.program.liveness import peak_bytes
from diagrammar.runtime.building import emitted, freeing
from diagrammar.runtime.specialised import Specialised


def measured(
    special: Specialised, operands: Sequence[Any], store: Store | None = None
) -> Specialised:
    """The fastest of the best few candidates, and of PyTorch's own call, for operands like these.

    What cannot be timed (operands without memory, a call that is being traced) keeps the cost
    model's choice.
    """
    import torch

    if special.options.backend != "torch" or torch.compiler.is_compiling():
        return special
    if any(x.device.type == "meta" for x in operands):
        return special
    itemsize = max((x.element_size() for x in operands), default=4)
    itemsize = max(itemsize, special.itemsize if special.options.memory is not None else 0)
    budget = special.options.memory
    fitting = [
        c
        for c in special.candidates
        if budget is None or peak_bytes(c.planned.program, itemsize) <= budget
    ]
    if budget is not None:
        fitting = [freeing(c) for c in fitting]
    whole = [c for c in fitting if not c.planned.program.cuts]
    parts = [c for c in fitting if c.planned.program.cuts][:PARTED]
    few = [c for n, c in enumerate(whole) if n < MOST or c.recipe.is_one_call] + parts
    if len(few) < 2:
        return special
    name = special.program.name
    sources = [backend.emit_module([c.planned.program], "", checked=False) for c in few]
    facts = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": _device(operands[0]) if operands else "cpu",
        "operands": [(tuple(x.shape), str(x.dtype)) for x in operands],
    }

    most = max(peak_bytes(c.planned.program, itemsize) for c in few)
    heap = 0 if budget is not None or any(x.is_cuda for x in operands) else most

    def calls() -> list[Callable[[], Any]]:
        made = [torch.ones(tuple(x.shape), dtype=x.dtype, device=x.device) for x in operands]
        functions = [backend.load_one(source, name) for source in sources]
        wait = torch.cuda.synchronize if any(x.is_cuda for x in operands) else None
        return [partial(_timed_call, f, made, wait) for f in functions]

    # with one thread, seconds of the processor: what else runs on the machine counts for less
    alone = torch.get_num_threads() == 1 and not any(x.is_cuda for x in operands)
    clock = process_time if alone else perf_counter
    taken = seconds(sources, facts, calls, store or Store(), clock, heap)
    chosen = few[best(taken, few)]
    times = {c.name: s for c, s in zip(few, taken, strict=True)}
    made = emitted(name, chosen, special.candidates, special.options, checked=special.checked)
    return replace(made, seconds=times, itemsize=special.itemsize)


def _device(operand: Any) -> str:
    """What does the work: a GPU's name, or the kind of device."""
    import torch

    if operand.is_cuda:
        return str(torch.cuda.get_device_name(operand.device))
    return f"{operand.device.type} {platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def _timed_call(call: Callable[..., Any], operands: Sequence[Any], wait: Any) -> None:
    """A call without a tape, until its result is there."""
    import torch

    with torch.no_grad():
        call(*operands)
    if wait is not None:
        wait()
