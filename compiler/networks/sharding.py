"""The curvature of a data set whose parts are on several processes: an all-reduce of sums.

Communication is torch.distributed's. No process returns before all have every sum: a process that
is killed meanwhile leaves an error on the others, not a number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diagrammar.networks.result import Bases, Curvature, difference

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import ProcessGroup


def all_reduced(part: Curvature, group: ProcessGroup | None) -> Curvature:
    """The sum of all processes' parts."""
    import torch
    from torch import distributed

    if not distributed.is_initialized():
        raise RuntimeError("torch.distributed is not initialised: init_process_group first")
    size = distributed.get_world_size(group)
    gathered: list[Any] = [None] * size
    try:
        own = {**part.header(), "examples": part.examples}
    except ValueError as error:  # the others must hear of it, too
        own = {"problem": str(error)}
    distributed.all_gather_object(gathered, own, group=group)
    header = _agreed(gathered)
    device = _device(part, group)
    sums: dict[str, dict[str, Tensor]] = {}
    for name, (shape, dtype) in header["shapes"].items():
        layer, _, quantity = name.rpartition("/")
        found = part.sums.get(layer, {}).get(quantity)
        if found is None:
            found = torch.zeros(shape, dtype=getattr(torch, dtype.removeprefix("torch.")))
        total = found.to(device, copy=True).contiguous()
        distributed.all_reduce(total, group=group)
        sums.setdefault(layer, {})[quantity] = total
    done = torch.ones((), device=device)
    distributed.all_reduce(done, group=group)
    if int(done) != size:
        raise RuntimeError(f"{int(done)} of {size} processes have the sums")
    examples = sum(header["examples"] for header in gathered)
    return Curvature(sums, examples, header["options"], {}, part.bases)


def broadcast(bases: Bases, group: ProcessGroup | None) -> dict[str, tuple[Tensor, Tensor]]:
    """The first process' eigenvectors for all, as those of equal factors can still differ."""
    from torch import distributed

    if not distributed.is_initialized():
        raise RuntimeError("torch.distributed is not initialised: init_process_group first")
    first = 0 if group is None else distributed.get_global_rank(group, 0)
    sent = {name: tuple(q.contiguous() for q in pair) for name, pair in bases.items()}
    for pair in sent.values():
        for q in pair:
            distributed.broadcast(q, first, group=group)
    return {name: (a, b) for name, (a, b) in sent.items()}


def _agreed(headers: list[Any]) -> dict[str, Any]:
    """The header of all that have examples. Raises RuntimeError where they differ."""
    for rank, header in enumerate(headers):
        if "problem" in header:
            raise RuntimeError(f"process {rank}: {header['problem']}")
    used = [(rank, header) for rank, header in enumerate(headers) if header["examples"]]
    if not used:
        raise RuntimeError("no process has examples")
    first, expected = used[0]
    for rank, header in used[1:]:
        problem = difference(expected, header)
        if problem:
            raise RuntimeError(f"processes {first} and {rank} differ: {problem}")
    found: dict[str, Any] = expected
    return found


def _device(part: Curvature, group: ProcessGroup | None) -> Any:
    """Where a group's backend wants tensors: those of this part, or its current GPU."""
    import torch
    from torch import distributed

    for quantities in part.sums.values():
        for value in quantities.values():
            return value.device
    if distributed.get_backend(group) == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
