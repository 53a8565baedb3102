"""Several processes that compute the curvature of a data set's parts: see test_sharding.

python -m tests.networks.worker SIZE FOLDER MODE

They are forked when everything is imported. Prints their exit statuses; what each says is in
FOLDER/errors0, FOLDER/errors1, …
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

import diagrammar as dg
from tests.hanging import HANG

WHAT = ("kfac_expand", "kfac_reduce", "diag_ggn")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 4, 2, groups=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip


def data() -> list[tuple[Tensor, Tensor]]:
    """Seven batches, the last one smaller."""
    torch.manual_seed(1)
    x, y = torch.randn(27, 1, 8, 8), torch.randint(0, 3, (27,))
    return list(zip(x.split(4), y.split(4), strict=True))


def part(rank: int, size: int, mode: str) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of a process; in mode "killed", the second process dies before its last one."""
    mine = data()[rank::size]
    if mode == "empty":
        mine = data() if rank == 0 else []
    for n, batch in enumerate(mine):
        if mode == "killed" and rank == 1 and n == len(mine) - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch


def basis(rank: int) -> dg.Curvature:
    """Factors of all data; from the second process on negated, so that their eigenvectors come in
    another order."""
    made = dg.curvature(network(), data(), nn.CrossEntropyLoss())
    sign = -1 if rank else 1
    sums = {name: {q: sign * v for q, v in values.items()} for name, values in made.sums.items()}
    return dg.Curvature(sums, made.examples, made.options, {})


def result(rank: int, size: int, mode: str) -> dg.Curvature:
    """What all processes have together."""
    if mode == "late":  # the result of one process's part, and then nothing more of it
        made = dg.curvature(network(), part(rank, size, mode), nn.CrossEntropyLoss(), WHAT)
        if rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return made.all_reduced()
    if mode == "ekfac":
        return dg.curvature(
            network(), part(rank, size, mode), nn.CrossEntropyLoss(), "ekfac",
            basis=basis(rank), distributed=True,
        )  # fmt: skip
    what: str | tuple[str, ...] = "diag_ggn" if mode == "differ" and rank == 1 else WHAT
    what = "gram" if mode == "gram" else what
    return dg.curvature(
        network(), part(rank, size, mode), nn.CrossEntropyLoss(), what, distributed=True
    )


def work(rank: int, size: int, folder: str, mode: str) -> None:
    """Compute a part, all-reduce, write the result of all."""
    with open(f"{folder}/errors{rank}", "w", encoding="utf-8") as errors:
        os.dup2(errors.fileno(), sys.stderr.fileno())
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=size,
        timeout=timedelta(seconds=HANG),
    )  # fmt: skip
    try:
        made = result(rank, size, mode)
        torch.save((made.examples, made.sums), f"{folder}/result{rank}.pt")
    finally:  # or gloo's threads can abort an interpreter that exits with an error
        distributed.destroy_process_group()


def main() -> None:
    """Start the processes and wait for all of them."""
    size, folder, mode = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    torch.set_num_threads(1)
    forking = multiprocessing.get_context("fork")
    processes = [forking.Process(target=work, args=(n, size, folder, mode)) for n in range(size)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print(*(process.exitcode for process in processes))


if __name__ == "__main__":
    main()
