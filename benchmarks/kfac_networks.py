"""KFAC of whole networks through curvlinops: its own operator beside ours.

ResNet-18 and ResNet-50, one batch, Monte-Carlo Fisher with one draw, KFAC-expand and KFAC-reduce of
all convolutions and the linear layer. Times are of `compute_kronecker_factors` on a new operator,
in turn in one process; the first call is of a fresh process. "network" is a forward pass and a
backward pass by the same parameters.

The peak is that of a second call in a fresh process, above what it had before, factors included;
"aside" is the most that one hook takes for the time that it runs, above what was there before and
what it leaves behind. glibc gives memory back at once there (MALLOC_MMAP_THRESHOLD_), so that
numbers are of live tensors and not of the allocator's leftovers, which vary by 10 % between runs.
Needs `pip install '.[curvlinops]'`; curvlinops 3.0 has one backend, by hooks, and none by make_fx.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, Any

import torch
import typer
from torch import Tensor, nn

from benchmarks import resnets, results
from benchmarks.progress import tracked
from benchmarks.results import Sheet

NETWORKS = {"ResNet-18": resnets.resnet18, "ResNet-50": resnets.resnet50}
KINDS = ("expand", "reduce")
CONTENDERS = ("curvlinops", "ours", "network")
MIB = 2**20
LIMIT = 1e-5


class Problem:
    """A network in evaluation mode and one batch."""

    def __init__(self, name: str, batch: int, size: int) -> None:
        torch.manual_seed(0)
        self.model = NETWORKS[name]().eval()
        layers = [m for m in self.model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        self.params = [p for m in layers for p in m.parameters()]
        self.data = [(torch.randn(batch, 3, size, size), torch.randint(0, 1000, (batch,)))]

    def operator(self, contender: str, kind: str) -> Any:
        """A new operator, nothing computed yet."""
        if contender == "ours":
            from diagrammar.integrations.curvlinops import KFACLinearOperator
        else:
            from curvlinops import KFACLinearOperator

        options = {"check_deterministic": False, "num_per_example_loss_terms": 1}
        loss = nn.CrossEntropyLoss()
        return KFACLinearOperator(
            self.model, loss, self.params, self.data, kfac_approx=kind,
            num_data=len(self.data[0][0]), **options,
        )  # fmt: skip

    def run(self, contender: str, kind: str) -> Any:
        """Everything that is timed; the operator, or nothing."""
        if contender == "network":
            x, y = self.data[0]
            torch.autograd.grad(nn.functional.cross_entropy(self.model(x), y), self.params)
            return None
        operator = self.operator(contender, kind)
        operator.compute_kronecker_factors()
        return operator


def factors(operator: Any) -> Iterator[tuple[str, Tensor]]:
    """All of an operator's factors, by name."""
    for side in ("_input_covariances", "_gradient_covariances"):
        yield from ((f"{name}{side}", value) for name, value in getattr(operator, side).items())


def error(problem: Problem, kind: str) -> float:
    """The largest relative difference of a factor from curvlinops'."""
    theirs = dict(factors(problem.run("curvlinops", kind)))
    ours = dict(factors(problem.run("ours", kind)))
    if theirs.keys() != ours.keys():
        raise AssertionError("other layers than curvlinops'")
    return max(float((ours[n] - theirs[n]).norm() / theirs[n].norm()) for n in theirs)


# -- a fresh process -------------------------------------------------------------------------------


def resident(field: str) -> int:
    """Bytes of this process in memory now (VmRSS), or at most since `forget_peak` (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def forget_peak() -> None:
    """Let the peak start from here."""
    Path("/proc/self/clear_refs").write_text("5")


def first_call(problem: Problem, kind: str, contender: str) -> dict[str, float]:
    """The seconds of the first call in this process."""
    if contender != "network":
        problem.operator(contender, kind)  # imports
    start = perf_counter()
    problem.run(contender, kind)
    return {"first": perf_counter() - start}


def memory(problem: Problem, kind: str, contender: str) -> dict[str, float]:
    """Peak of a second call, what hooks take aside, and the factors' bytes."""
    problem.run(contender, kind)
    gc.collect()
    before = resident("VmRSS")
    forget_peak()
    if contender == "network":
        problem.run(contender, kind)
        return {"peak": resident("VmHWM") - before, "aside": 0, "factors": 0}
    operator = problem.operator(contender, kind)
    peak, aside = watched(operator)
    kept = sum(f.numel() * f.element_size() for _, f in factors(operator))
    return {"peak": peak - before, "aside": aside, "factors": kept}


HOOKS = ("_hook_accumulate_input_covariance", "_accumulate_gradient_covariance")


def watched(operator: Any) -> tuple[int, int]:
    """Compute factors: the peak of memory, and the most that a hook takes besides what it leaves
    behind."""
    peak = aside = 0

    def around(hook: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            nonlocal peak, aside
            before, so_far = resident("VmRSS"), resident("VmHWM")
            forget_peak()
            made = hook(*given, **named)
            most = resident("VmHWM")
            peak, aside = max(peak, so_far, most), max(aside, most - max(before, resident("VmRSS")))
            return made

        return call

    for name in HOOKS:
        setattr(operator, name, around(getattr(operator, name)))
    operator.compute_kronecker_factors()
    return max(peak, resident("VmHWM")), aside


def in_fresh_process(measure: str, name: str, kind: str, contender: str, *sizes: int) -> Any:
    """`first_call` or `memory` in a process of its own."""
    code = "import sys, json; from benchmarks import kfac_networks as k; import torch; "
    code += "threads, batch, size = map(int, sys.argv[1:4]); torch.set_num_threads(threads); "
    code += "measure, name, kind, who = sys.argv[4:]; "
    code += "print(json.dumps(getattr(k, measure)(k.Problem(name, batch, size), kind, who)))"
    numbers = map(str, (torch.get_num_threads(), *sizes))
    command = [sys.executable, "-c", code, *numbers, measure, name, kind, contender]
    prompt = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    around = {**os.environ, **(prompt if measure == "memory" else {})}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=around)
    return json.loads(done.stdout.splitlines()[-1])


# -- the table -------------------------------------------------------------------------------------


def measured(name: str, kind: str, batch: int, size: int, rounds: int) -> dict[str, Any]:
    """All numbers of a network and a kind."""
    alone = {
        who: {
            **in_fresh_process("first_call", name, kind, who, batch, size),
            **in_fresh_process("memory", name, kind, who, batch, size),
        }
        for who in CONTENDERS
    }
    problem = Problem(name, batch, size)
    off = error(problem, kind)  # also warms up
    samples: dict[str, list[float]] = {who: [] for who in CONTENDERS}
    for n in range(rounds):
        for who in CONTENDERS[:: 1 if n % 2 else -1]:
            start = perf_counter()
            problem.run(who, kind)
            samples[who].append(perf_counter() - start)
    return {
        "network": name, "kind": kind, "batch": batch, "size": size, "error": off,
        **{
            what: {who: alone[who][what] for who in CONTENDERS}
            for what in ("first", "peak", "aside", "factors")
        },
        "seconds": {who: median(samples[who]) for who in CONTENDERS},
        "samples": samples,
    }  # fmt: skip


def ratio(samples: dict[str, list[float]]) -> float:
    """How many times as long theirs took as ours, in the median turn."""
    return median(t / o for t, o in zip(samples["curvlinops"], samples["ours"], strict=True))


def sheet(rows: list[dict[str, Any]], batch: int, size: int) -> Sheet:
    """Both operators side by side."""
    columns = (
        *("network", "KFAC-"), "theirs s", "ours s", "ratio", "first: theirs s", "ours s",
        "network s", "peak: theirs MiB", "ours MiB", "network MiB", "factors MiB",
        "aside: theirs MiB", "ours MiB",
    )  # fmt: skip
    lines = []
    for row in rows:
        t, first = row["seconds"], row["first"]
        amounts = [
            *(row["peak"][who] for who in CONTENDERS), row["factors"]["ours"],
            row["aside"]["curvlinops"], row["aside"]["ours"],
        ]  # fmt: skip
        lines.append((
            row["network"], row["kind"], f"{t['curvlinops']:.2f}", f"{t['ours']:.2f}",
            f"{ratio(row['samples']):.2f}", f"{first['curvlinops']:.2f}",
            f"{first['ours']:.2f}", f"{t['network']:.2f}",
            *(f"{amount / MIB:.0f}" for amount in amounts),
        ))  # fmt: skip
    worst = max(row["error"] for row in rows)
    return Sheet(
        f"KFAC through curvlinops 3.0, batch {batch}, {size}×{size}, float32",
        columns,
        tuple(lines),
        labels=2,
        notes=(
            f"Largest relative difference of a factor: {worst:.1e}.",
            "Seconds are medians of turns in one process, ratios (theirs / ours) medians of the "
            "turns' own, which a busy machine changes less; first calls are of fresh processes.",
            "Peaks are of a second call, factors included; aside: the most that one hook takes "
            "besides what it leaves behind.",
        ),
    )


def kept(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with those that were saved before for other networks and kinds."""
    file = results.FOLDER / "kfac_networks.json"
    before = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.exists() else []
    found = {(row["network"], row["kind"]): row for row in (*before, *rows)}
    wanted = {(row["batch"], row["size"]) for row in rows}
    return [row for row in found.values() if (row["batch"], row["size"]) in wanted]


def main(
    network: Annotated[list[str] | None, typer.Option(help="Which; all by default.")] = None,
    kind: Annotated[list[str] | None, typer.Option(help="expand or reduce.")] = None,
    batch: Annotated[int, typer.Option(help="Images in the batch.")] = 16,
    size: Annotated[int, typer.Option(help="Height and width of an image.")] = 224,
    rounds: Annotated[int, typer.Option(help="Turns of each contender.")] = 5,
    threads: Annotated[int, typer.Option(help="Threads of PyTorch.")] = 1,
    save: Annotated[bool, typer.Option(help="Write results/kfac_networks.md and .json.")] = False,
) -> None:
    """Measure KFAC of whole networks through curvlinops, and compare every factor.

    Exits with 1 where a factor differs by more than 1e-5.
    """
    torch.set_num_threads(threads)
    console = results.console()
    chosen = [(n, k) for n in network or NETWORKS for k in kind or KINDS]
    with tracked(console) as progress:
        rows = [
            measured(n, k, batch, size, rounds)
            for n, k in progress.track(chosen, description="networks")
        ]
    if save:
        rows = kept(rows)
    made = sheet(rows, batch, size)
    console.print(made.rich())
    if save:
        command = f"python -m benchmarks.kfac_networks --rounds {rounds} --threads {threads}"
        console.print("written:", *results.save("kfac_networks", command, [made], rows))
    sys.exit(int(any(row["error"] > LIMIT for row in rows)))


if __name__ == "__main__":
    typer.run(main)
