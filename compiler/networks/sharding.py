"""Curvature of a data set whose parts are on several processes: an all-reduce of sums.

Settings are compared before the first batch, results before the first sum. torch.distributed
communicates. No process returns before all have every sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from diagrammar.networks.identity import difference
from diagrammar.networks.processes import Processes
from diagrammar.networks.result import Bases, Curvature

if TYPE_CHECKING:
    from torch import Tensor, device, nn
    from torch.distributed import ProcessGroup


def shards(group: ProcessGroup | None, distributed: bool) -> Shards | Whole:
    """The parts of a data set on the processes of a group, or all of it on this process."""
    return Shards(Processes(group)) if distributed or group is not None else Whole()


class Whole:
    """A data set on one process: nothing to agree on."""

    def __enter__(self) -> Whole:
        return self

    def __exit__(self, *about: object) -> None:
        pass

    def agree(self, model: nn.Module, identity: Mapping[str, Any], bases: Bases) -> Bases:
        """Return the bases."""
        return bases

    def listening(self, batches: Iterable[Any]) -> Iterable[Any]:
        """Return the batches."""
        return batches

    def summed(self, part: Curvature) -> Curvature:
        """Return the result. Raises ValueError where there are no examples."""
        if not part.examples:
            raise ValueError("the data has no examples; an iterator can be read only once")
        return part


class Shards:
    """Parts of a data set on several processes."""

    def __init__(self, processes: Processes) -> None:
        self.processes = processes
        self._device: device | None = None  # of the sums

    def __enter__(self) -> Shards:
        self.processes.__enter__()
        return self

    def __exit__(self, *about: Any) -> None:
        self.processes.__exit__(*about)

    def agree(self, model: nn.Module, identity: Mapping[str, Any], bases: Bases) -> Bases:
        """Compare networks, losses and options; the first process's bases for all.

        Raises RuntimeError on all where one differs, and ValueError for Gram matrices.
        """
        if "gram" in identity["options"]["what"]:
            raise ValueError(NO_GRAMS)
        devices = sorted({p.device.type for p in model.parameters()})
        self._device = next((p.device for p in model.parameters()), None)
        shapes = {
            name: [str([q.dtype for q in pair]), [list(q.shape) for q in pair]]
            for name, pair in bases.items()
        }
        loss = {n: v for n, v in identity["loss"].items() if n != "reduction"}  # see Reduction
        header = {
            "version of diagrammar": version("diagrammar"), **identity, "loss": loss,
            "devices": devices, "autocast": _autocast(devices), "bases": shapes,
        }  # fmt: skip
        self.processes.agree("start", header, _odd_one)
        return self._broadcast(bases)

    def listening(self, batches: Iterable[Any]) -> Iterable[Any]:
        """Yield the batches; before each, look at the other processes."""
        return self.processes.listening(batches)

    def _broadcast(self, bases: Bases) -> Bases:
        """Send the first process's eigenvectors to all: eigenvectors of equal factors may
        differ."""
        from torch import distributed

        sent = {name: [q.contiguous().clone() for q in pair] for name, pair in bases.items()}
        first, group = self.processes.members[0], self.processes.group
        self.processes.communicate(
            [
                distributed.broadcast(q, first, group=group, async_op=True)
                for pair in sent.values()
                for q in pair
            ]
        )
        return {name: (a, b) for name, (a, b) in sent.items()}

    def summed(self, part: Curvature) -> Curvature:
        """Sum the parts of all processes; a process without examples takes part with zeros.

        Raises RuntimeError on all where parts differ, or where a process is gone.
        """
        import torch

        described = {**part.header(), "examples": part.examples}
        headers = self.processes.agree("sums", described, _unequal)
        header = _leading(headers)
        device = self._device or _device(part, self.processes.group)
        sums: dict[str, dict[str, Tensor]] = {}
        for name, (dtype, shape) in header["shapes"].items():
            layer, _, quantity = name.rpartition("/")
            value = part.sums.get(layer, {}).get(quantity) if part.examples else None
            if value is None:
                value = torch.zeros(shape, dtype=getattr(torch, dtype), device=device)
            sums.setdefault(layer, {})[quantity] = value.clone().contiguous()
        totals = [total for quantities in sums.values() for total in quantities.values()]
        self._add_up(totals)
        count = torch.ones((), device=totals[0].device if totals else device)
        self._add_up([count])
        if int(count) != self.processes.size:
            raise RuntimeError(f"{int(count)} of {self.processes.size} processes have the sums")
        self.processes.end_pings()
        examples = sum(header["examples"] for header in headers)
        identity = {name: header[name] for name in part.identity}
        return Curvature(sums, examples, part.options, {}, part.bases, identity)

    def _add_up(self, totals: Iterable[Tensor]) -> None:
        """All-reduce sums in place."""

        from torch import distributed

        group = self.processes.group
        self.processes.communicate(
            [distributed.all_reduce(total, group=group, async_op=True) for total in totals]
        )


NO_GRAMS = (
    "Gram matrices of parts of a data set cannot be merged: they need every pair of examples; "
    "compute them on one process"
)


def _odd_one(headers: list[dict[str, Any]]) -> str | None:
    """Say how the first process that differs from process 0 does so."""
    for rank, header in enumerate(headers):
        problem = difference(headers[0], header)
        if problem:
            return f"processes 0 and {rank} differ: {problem}"
    return None


def _leading(headers: list[dict[str, Any]]) -> dict[str, Any]:
    """The header of a process with examples, if possible with a loss of several terms."""
    used = [header for header in headers if header["examples"]]
    means = [h for h in used if h.get("loss", {}).get("reduction") != "any"]
    return [*means, *used][0]


def _unequal(headers: list[dict[str, Any]]) -> str | None:
    """Say how processes with examples differ."""
    if not any(header["examples"] for header in headers):
        return "no process has examples"
    expected = _leading(headers)
    for rank, header in enumerate(headers):
        if header["examples"]:
            problem = difference(expected, {**header, "examples": expected["examples"]})
            if problem:
                return f"processes {headers.index(expected)} and {rank} differ: {problem}"
    return None


def _autocast(devices: Iterable[str]) -> dict[str, str]:
    """The dtypes that operations are cast to, by the kind of device."""
    import torch

    return {
        kind: str(torch.get_autocast_dtype(kind)).removeprefix("torch.")
        for kind in devices
        if torch.amp.autocast_mode.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    }


def _device(part: Curvature, group: ProcessGroup | None) -> Any:
    """The device of the part's tensors; without any, the group's current GPU, or the processor."""
    import torch
    from torch import distributed

    for quantities in part.sums.values():
        for value in quantities.values():
            return value.device
    if distributed.get_backend(group) == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
