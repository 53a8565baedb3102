"""Ways in which one of several processes can be odd, and what all of them must say.

python -m tests.networks.ranks [NAME ...]    each trial with its words, as a table
python -m tests.networks.ranks --rank RANK SIZE FOLDER NAME ...    one of the processes
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional

import diagrammar as dg
from tests.hanging import HANG

ROOT = Path(__file__).parents[2]
ODD = 1  # of three: the process before and the one after both hear of it
SIZE = 3


def network(**options: Any) -> nn.Sequential:
    """A small network; `options` are those of its first layer."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, **options), nn.BatchNorm2d(4), nn.GELU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3),
    ).eval()  # fmt: skip


def batch(seed: int, n: int = 3) -> tuple[Tensor, Tensor]:
    """Images and labels."""
    drawn = torch.Generator().manual_seed(seed)
    return torch.randn(n, 2, 7, 7, generator=drawn), torch.randint(0, 3, (n,), generator=drawn)


@dataclass
class Call:
    """The arguments of a call of `dg.curvature`."""

    model: nn.Module = field(default_factory=network)
    data: Any = None
    loss: Any = field(default_factory=nn.CrossEntropyLoss)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """What the odd process does otherwise, and words of the error of all; None for a result."""

    change: Callable[[Call], None]
    words: str | None
    common: dict[str, Any] = field(default_factory=dict)  # options of all
    loss: Callable[[], Any] = nn.CrossEntropyLoss
    own: str | None = None  # words of the odd process's own error


def _options(**given: Any) -> Callable[[Call], None]:
    return lambda call: call.options.update(given)


def _loss(make: Callable[[], Any]) -> Callable[[Call], None]:
    return lambda call: setattr(call, "loss", make())


def _model(**options: Any) -> Callable[[Call], None]:
    return lambda call: setattr(call, "model", network(**options))


def _layer(name: str, make: Callable[[], nn.Module]) -> Callable[[Call], None]:
    return lambda call: call.model.__setitem__(int(name), make())  # type: ignore[operator]


def _tensor(change: Callable[[nn.Module], Any]) -> Callable[[Call], None]:
    def changed(call: Call) -> None:
        with torch.no_grad():
            change(call.model)

    return changed


def _data(make: Callable[[Any], Any]) -> Callable[[Call], None]:
    return lambda call: setattr(call, "data", make(call.data))


def _double(call: Call) -> None:
    call.model.double()
    call.data = [(x.double(), y) for x, y in call.data]


def _squared(call: Call) -> None:
    call.loss = nn.MSELoss()
    call.data = [(x, torch.zeros(len(x), 3)) for x, _ in call.data]


def _raises(batches: Any, error: BaseException) -> Iterator[Any]:
    yield from batches
    raise error


def _in_forward(call: Call) -> None:
    def hook(*about: Any) -> None:
        raise ArithmeticError("no forward pass today")

    call.model[2].register_forward_hook(hook)  # type: ignore[index]


def _smoothed(by: float) -> Any:
    """A loss that holds a number from outside."""

    def loss(f: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(f, y, label_smoothing=by)

    return loss


def _cases(weights: list[float]) -> Any:
    return nn.CrossEntropyLoss(weight=torch.tensor(weights))


_DIFFER = "processes 0 and 1 differ: "
_EKFAC: dict[str, Any] = {"what": "ekfac", "basis": True}

TRIALS: dict[str, Trial] = {
    "all alike": Trial(lambda call: None, None),
    "all alike, all sums": Trial(
        lambda call: None, None, {"what": ["kfac_expand", "kfac_reduce", "diag_ggn"]}
    ),
    "all alike, empirical": Trial(
        lambda call: None, None, {"what": ["kfac_expand", "diag_ggn"], "vectors": "empirical"}
    ),
    "all alike, ekfac": Trial(lambda call: None, None, _EKFAC),
    "empty shard": Trial(_data(lambda data: []), None),
    "empty shard, all sums": Trial(
        _data(lambda data: []), None, {"what": ["kfac_expand", "kfac_reduce", "diag_ggn"]}
    ),
    "empty shard, ekfac": Trial(_data(lambda data: []), None, _EKFAC),
    "a batch of none": Trial(_data(lambda data: [batch(0, 0)]), None),
    "a sum of one term": Trial(_loss(lambda: nn.CrossEntropyLoss(reduction="sum")), None),
    "padding": Trial(_model(padding=1), _DIFFER + "module '0' is Conv2d"),
    "stride": Trial(_model(stride=2), _DIFFER + "module '0' is Conv2d"),
    "dilation": Trial(_model(dilation=2), _DIFFER + "module '0' is Conv2d"),
    "groups": Trial(_model(groups=2), _DIFFER + "module '0' is Conv2d"),
    "padding mode": Trial(
        _model(padding=1, padding_mode="circular"), _DIFFER + "module '0' is Conv2d"
    ),
    "no bias": Trial(_model(bias=False), _DIFFER + "module '0' is Conv2d"),
    "wider": Trial(_layer("5", lambda: nn.Linear(16, 4)), _DIFFER + "module '5' is Linear"),
    "activation": Trial(_layer("2", nn.ReLU), _DIFFER + "module '2' is GELU"),
    "its option": Trial(
        _layer("2", lambda: nn.GELU("tanh")), _DIFFER + "module '2' is GELU(approximate='none')"
    ),
    "mode": Trial(lambda call: call.model[2].train(), "module '2' is GELU"),  # type: ignore[index]
    "weights": Trial(
        _tensor(lambda m: m[5].weight.mul_(2)), _DIFFER + "parameter or buffer 5.weight has other"
    ),
    "one bit of a bias": Trial(
        _tensor(lambda m: m[0].bias[0].mul_(1 + 2**-22)), "parameter or buffer 0.bias has other"
    ),
    "running statistics": Trial(
        _tensor(lambda m: m[1].running_var.mul_(2)), "parameter or buffer 1.running_var has other"
    ),
    "dtype": Trial(_double, "is float32 [4, 2, 3, 3] in one and float64 [4, 2, 3, 3] in the other"),
    "loss": Trial(_squared, _DIFFER + "loss.class is"),
    "loss's label_smoothing": Trial(
        _loss(lambda: nn.CrossEntropyLoss(label_smoothing=0.1)), "loss.label_smoothing is 0.0"
    ),
    "loss's ignore_index": Trial(
        _loss(lambda: nn.CrossEntropyLoss(ignore_index=0)), "loss.ignore_index is -100 in one and 0"
    ),
    "loss's weights": Trial(
        _loss(lambda: _cases([1, 2, 3.5])), "loss.weight is", loss=lambda: _cases([1.0, 2.0, 3.0])
    ),
    "loss's reduction": Trial(
        _loss(lambda: _reduced("sum")), "loss.reduction is 'mean'", loss=lambda: _reduced("mean")
    ),
    "function": Trial(
        _loss(lambda: partial(functional.cross_entropy, label_smoothing=0.1)), "loss.",
        loss=lambda: functional.cross_entropy,
    ),
    "function's number": Trial(
        _loss(lambda: _smoothed(0.2)), "loss.held.by is 0.1 in one and 0.2 in the other",
        loss=lambda: _smoothed(0.1),
    ),
    "what": Trial(_options(what=["kfac_expand", "diag_ggn"]), _DIFFER + "what is"),
    "vectors": Trial(_options(vectors="empirical"), _DIFFER + "vectors is 'exact'"),
    "samples": Trial(
        _options(vectors="mc", samples=2), _DIFFER + "samples is 1", {"vectors": "mc"}
    ),
    "bias option": Trial(_options(bias=False), _DIFFER + "bias is True in one and False"),
    "layers": Trial(_options(layers=["5"], skip_others=True), _DIFFER + "layers is ['0', '5']"),
    "order": Trial(_options(layers=["5", "0"]), "the same in another order"),
    "accumulate": Trial(_options(accumulate="float64"), _DIFFER + "accumulate is"),
    "Gram matrices": Trial(
        _options(what="gram"), "process 1: ValueError: Gram", own="Gram matrices of parts"
    ),
    "ekfac, layers": Trial(_options(layers=["5"]), _DIFFER + "layers is", _EKFAC),
    "ekfac, order": Trial(_options(layers=["5", "0"]), "the same in another order", _EKFAC),
    "ekfac, what": Trial(_options(what="kfac_expand", basis=None), _DIFFER + "what is", _EKFAC),
    "ekfac, no basis": Trial(
        _options(basis=None), "process 1: ValueError: ekfac needs basis", _EKFAC,
        own="ekfac needs basis=",
    ),
    "ekfac, basis of other shape": Trial(
        _options(basis="no bias"), _DIFFER + "basis of 0 is", _EKFAC
    ),
    "data raise": Trial(
        _data(lambda data: _raises(data, OSError("bad file"))), "process 1: OSError: bad file",
        own="bad file",
    ),
    "data end at once": Trial(
        _data(lambda data: _raises([], KeyboardInterrupt())), "process 1: KeyboardInterrupt", own=""
    ),
    "forward raises": Trial(
        _in_forward, "process 1: ArithmeticError: no forward", own="no forward pass today"
    ),
    "no such layer": Trial(_options(layers=["9"]), "process 1: ValueError: ", own="'9'"),
    "no such option": Trial(_options(colour=3), "process 1: ", own="colour"),
    "no batches": Trial(_data(lambda data: 3), "process 1: ", own=""),
    "labels out of range": Trial(
        _data(lambda data: [(x, y + 9) for x, y in data]), "process 1: ", own=""
    ),
}  # fmt: skip


def _reduced(reduction: str) -> Any:
    return nn.BCEWithLogitsLoss(reduction=reduction)


def call_of(name: str, rank: int, shards: list[int]) -> Call:
    """The call of a process in a trial; `shards` are the seeds of its batches."""
    trial = TRIALS[name]
    call = Call(loss=trial.loss(), options=dict(trial.common))
    call.data = [batch(seed, 2 + seed % 3) for seed in shards]
    if isinstance(call.loss, nn.BCEWithLogitsLoss):
        call.data = [(x, (x[:, :1, 0, :3].flatten(1) > 0).float()) for x, _ in call.data]
    if rank == ODD:
        trial.change(call)
    basis = call.options.pop("basis", None)
    if basis is not None:
        model = network() if basis is True else network(bias=False)
        factors = dg.curvature(model, [batch(50)], call.loss, skip_others=True)
        call.options["basis"] = factors
    call.options.setdefault("skip_others", True)
    return call


def shards_of(rank: int, size: int) -> list[int]:
    """Parts of unlike size: the seeds of a process's batches out of six."""
    return list(range(6))[rank * rank : (rank + 1) ** 2] if size == SIZE else list(range(6))


def outcome(call: Call, **more: Any) -> dict[str, Any]:
    """What came of a call: numbers or an error's text."""
    try:
        found = dg.curvature(call.model, call.data, call.loss, **call.options, **more)
    except (Exception, KeyboardInterrupt) as error:
        return {"error": type(error).__name__, "text": str(error)}
    sums = {f"{n}/{q}": v.tolist() for n, qs in found.sums.items() for q, v in qs.items()}
    return {"examples": found.examples, "sums": sums}


def work(rank: int, size: int, folder: str, names: list[str]) -> None:
    """One process: all trials, one after another, in one group; the outcomes in a file."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=size,
        timeout=timedelta(seconds=HANG),
    )  # fmt: skip
    found = {}
    for name in names:
        call = call_of(name, rank, shards_of(rank, size))
        found[name] = outcome(call, distributed=True)
        Path(f"{folder}/outcome{rank}.json").write_text(json.dumps(found))
    distributed.destroy_process_group()


def run(folder: Path, names: list[str]) -> dict[str, list[dict[str, Any]]]:
    """The outcomes of trials by name, one for each process."""
    command = [sys.executable, "-m", "tests.networks.ranks", "--rank"]
    given = [[*command, str(rank), str(SIZE), str(folder), *names] for rank in range(SIZE)]
    processes = [subprocess.Popen(g, cwd=ROOT, stderr=subprocess.PIPE, text=True) for g in given]
    try:
        errors = [process.communicate(timeout=HANG)[1] for process in processes]
    finally:
        for process in processes:
            process.send_signal(signal.SIGKILL)
    bad = [text for process, text in zip(processes, errors, strict=True) if process.returncode]
    if bad:
        raise RuntimeError(bad[0])
    found = [json.loads((folder / f"outcome{rank}.json").read_text()) for rank in range(SIZE)]
    return {name: [each[name] for each in found] for name in names}


def main() -> None:
    """All trials, or those named, as a table."""
    if sys.argv[1:2] == ["--rank"]:
        rank, size, folder, *names = sys.argv[2:]
        work(int(rank), int(size), folder, names)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("trial", "process", "what it says")
    with tempfile.TemporaryDirectory() as folder:
        for name, outcomes in run(Path(folder), sys.argv[1:] or list(TRIALS)).items():
            for rank, said in enumerate(outcomes):
                text = f"{said['error']}: {said['text']}" if "error" in said else "a result"
                table.add_row(name if rank == 0 else "", str(rank), text)
    Console(width=int(os.environ.get("COLUMNS", "150"))).print(table)


if __name__ == "__main__":
    main()
