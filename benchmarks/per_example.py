"""Per-example quantities and GGN diagonals beside BackPACK and torch.func: times and peaks.

Single layers of the paper's networks with groups 1, given the input and the cotangent that each way
gets from a network. BackPACK's functions are called directly; torch.func's way is `vmap` of `vjp`.
Ours are the methods of `dg.layers.Conv` with `plan="measure"`. Ratios are the better of others /
ours; extra memory is what torch's allocator sees beyond operands and result.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Annotated, Any

import torch
import typer

import diagrammar as dg
from benchmarks import results
from benchmarks.layers import Layer, every, layers
from benchmarks.progress import tracked
from benchmarks.results import Sheet
from benchmarks.timing import Clock, geometric_mean, shown
from diagrammar.program.liveness import show_bytes
from tests.plan.peaks import measured as measured_peak

BATCH = 16
COUNTED = 2e-4
"""Seconds of the better of the others from which a ratio counts."""
METHODS = ("batch_grad", "batch_l2", "sum_grad_squared", "diag_ggn", "batch_diag_ggn")
Call = Callable[[], Any]


@dataclass(frozen=True)
class Measured:
    """One operation on one layer: seconds and extra bytes of each way, and our error."""

    method: str
    layer: str
    seconds: dict[str, float]
    peaks: dict[str, int]
    error: float

    @property
    def better(self) -> str:
        """The faster of the others."""
        return min((n for n in self.seconds if n != "ours"), key=lambda n: self.seconds[n])

    @property
    def ratio(self) -> float:
        """How many times faster than the better of the others."""
        return self.seconds[self.better] / self.seconds["ours"]

    @property
    def memory(self) -> float:
        """Our extra memory over that of the better of the others."""
        return self.peaks["ours"] / max(self.peaks[self.better], 1)


def module_of(layer: Layer) -> torch.nn.Conv2d:
    """The layer as a module of torch."""
    return torch.nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        layer.stride,
        layer.padding,
        layer.dilation,
        bias=False,
    )


def ways(method: str, module: torch.nn.Conv2d, x: torch.Tensor, s: torch.Tensor) -> dict[str, Call]:
    """The ways of one operation; s [n, b, …] is a stack of cotangents, its first one the only one
    of first-order quantities."""
    conv = dg.layers.Conv(
        module.kernel_size,
        stride=module.stride,
        padding=module.padding,
        dilation=module.dilation,
        plan="measure",
    )
    stacked = method.endswith("ggn")
    given = s if stacked else s[0]
    ours: Call = lambda: getattr(conv, method)(x, given)  # noqa: E731

    def gradients(functions: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """All gradients [n, b, *weight], and what the operation makes of them."""
        g = torch.stack([functions(v) for v in given]) if stacked else functions(given)[None]
        return {
            "batch_grad": lambda: g[0],
            "batch_l2": lambda: (g[0] ** 2).flatten(1).sum(1),
            "sum_grad_squared": lambda: (g[0] ** 2).sum(0),
            "diag_ggn": lambda: (g**2).sum((0, 1)),
            "batch_diag_ggn": lambda: (g**2).sum(0),
        }[method]()

    def single(one: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        forward = lambda w: torch.nn.functional.conv2d(  # noqa: E731
            one[None], w, None, module.stride, module.padding, module.dilation
        )
        return torch.func.vjp(forward, module.weight.detach())[1](v[None])[0]

    vmapped = torch.func.vmap(single)
    found = {"ours": ours, "torch.func": lambda: gradients(lambda v: vmapped(x, v))}
    try:
        from backpack.core.derivatives.conv2d import Conv2DDerivatives
    except ImportError:
        return found
    # what BackPACK's own hook would have kept on the module
    module.input0, module.output = x, s[0]  # type: ignore[assignment]
    derivatives = Conv2DDerivatives()

    def backpack(v: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = derivatives.param_mjp(
            "weight", module, None, None, v[None], sum_batch=False
        )
        return made[0]

    return {**found, "BackPACK": lambda: gradients(backpack)}


def fits(way: Call) -> bool:
    """Whether a way ends with the memory that there is."""
    try:
        way()
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        return False
    return True


def measured(method: str, layer: Layer, clock: Clock) -> Measured:
    """All ways on one layer."""
    random = torch.Generator().manual_seed(0)
    module = module_of(layer)
    x = torch.randn(BATCH, layer.in_channels, *layer.input_size, generator=random)
    s = torch.randn(2, BATCH, layer.out_channels, *layer.output_size, generator=random)
    with torch.no_grad():
        calls = {n: way for n, way in ways(method, module, x, s).items() if fits(way)}
        exact = next(way for n, way in calls.items() if n != "ours")()
        error = float((calls["ours"]() - exact).abs().max() / exact.abs().max())
        times = clock.times(calls)
        result = exact.numel() * exact.element_size()
        peaks = {name: measured_peak(call) - result for name, call in calls.items()}
    return Measured(method, layer.label, times, peaks, error)


def summary(found: Sequence[Measured]) -> Sheet:
    """A line for each operation."""
    rows = []
    for method in METHODS:
        own = [m for m in found if m.method == method]
        counted = [m for m in own if m.seconds[m.better] >= COUNTED]
        ratios, memory = [m.ratio for m in counted], [m.memory for m in counted]
        if not counted:
            continue
        rows.append(
            (
                method,
                str(len(counted)),
                *(f"{v:.2f}" for v in (geometric_mean(ratios), min(ratios), max(ratios))),
                str(sum(r < 0.95 for r in ratios)),
                *(f"{v:.2f}" for v in (median(memory), max(memory))),
            )
        )
    return Sheet(
        f"better of BackPACK and torch.func / ours; batch {BATCH}, float32, one thread",
        (
            *("operation", "layers", "geometric mean", "least", "most", "below 0.95"),
            *("our extra memory / theirs, median", "most"),
        ),
        tuple(rows),
        notes=(f"Largest relative error beside torch.func: {max(m.error for m in found):.1e}.",),
    )


def listing(found: Sequence[Measured]) -> Sheet:
    """Every layer."""
    names = list(dict.fromkeys(n for m in found for n in m.seconds))
    rows = tuple(
        (
            m.method,
            m.layer,
            *(shown(m.seconds[n]) if n in m.seconds else "" for n in names),
            f"{m.ratio:.2f}",
            *(show_bytes(m.peaks[n]) if n in m.peaks else "" for n in names),
        )
        for m in sorted(found, key=lambda m: (METHODS.index(m.method), m.ratio))
    )
    peaks = (f"{n}, extra" for n in names)
    return Sheet("all layers", ("operation", "layer", *names, "ratio", *peaks), rows, labels=2)


def main(
    quick: Annotated[bool, typer.Option(help="Every twelfth layer.")] = False,
    save: Annotated[bool, typer.Option(help="Write results/per_example.md and .json.")] = False,
) -> None:
    """Measure per-example quantities against BackPACK and torch.func."""
    torch.set_num_threads(1)
    console = results.console()
    plain = [layer for layer in layers() if layer.groups == 1]
    clock = Clock(9, least=3, seconds=1.0)
    pairs = [(m, layer) for layer in every(plain, 12 if quick else 3) for m in METHODS]
    with tracked(console) as progress:
        found = [measured(m, layer, clock) for m, layer in progress.track(pairs)]
    sheets = [summary(found), listing(found)]
    console.print(sheets[0].rich())
    if save:
        command = f"python -m benchmarks.per_example{' --quick' if quick else ''}"
        rows = [{**asdict(m), "ratio": m.ratio, "memory": m.memory} for m in found]
        console.print("written:", *results.save("per_example", command, sheets, rows))
    counted = (m for m in found if m.seconds[m.better] >= COUNTED)
    sys.exit(0 if all(m.ratio >= 0.95 for m in counted) else 1)


if __name__ == "__main__":
    typer.run(main)
