"""Convolutions with one channel a group beside PyTorch's own calls, with kernels wide and dilated.

PyTorch passes them to oneDNN, which has fast code for some kernels and directions only. Ours is
what `dg.layers.Conv` computes by default (`plan="cost"`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import torch
import typer
from torch import Tensor

import diagrammar as dg
from benchmarks import results
from benchmarks.progress import tracked
from benchmarks.results import Sheet
from benchmarks.timing import Clock, geometric_mean, shown
from diagrammar.plan.measure import RESERVED, reserved

OPERATIONS = ("forward", "input VJP", "weight VJP")


@dataclass(frozen=True)
class Case:
    """A layer: a network that has such ones, the shape of its input, and its hyper-parameters."""

    like: str
    shape: tuple[int, ...]
    kernel: int
    stride: int = 1
    dilation: int = 1

    @property
    def padding(self) -> int:
        """That of a result as large as the input, at stride 1."""
        return self.dilation * (self.kernel - 1) // 2

    @property
    def dims(self) -> int:
        """Spatial dimensions."""
        return len(self.shape) - 2

    def __str__(self) -> str:
        stride = f" s{self.stride}" if self.stride > 1 else ""
        dilation = f" d{self.dilation}" if self.dilation > 1 else ""
        image = "×".join(map(str, self.shape[2:]))
        return f"{self.shape[1]} @{image} k{self.kernel}{stride}{dilation}, batch {self.shape[0]}"


CASES = (
    Case("MobileNetV2", (16, 96, 56, 56), 3),
    Case("MobileNetV2", (16, 96, 112, 112), 3, stride=2),
    Case("EfficientNet", (16, 240, 28, 28), 5),
    Case("EfficientNet", (16, 144, 56, 56), 5, stride=2),
    Case("MobileNetV3 of a segmentation, dilated", (16, 160, 28, 28), 5, dilation=2),
    Case("DeepLabV3+, dilated", (4, 256, 32, 32), 3, dilation=6),
    Case("ConvNeXt", (16, 128, 56, 56), 7),
    Case("ConvNeXt", (16, 512, 14, 14), 7),
    Case("ConvNeXt", (16, 1024, 7, 7), 7),
    Case("ConvNeXt, one image", (1, 512, 14, 14), 7),
    Case("RepLKNet", (4, 128, 56, 56), 31),
    Case("Conformer, one dimension", (16, 256, 1000), 31),
    Case("QuartzNet, one dimension", (16, 256, 1000), 63),
    Case("X3D, three dimensions", (4, 54, 13, 28, 28), 3),
)


@dataclass(frozen=True)
class Measured:
    """Seconds of both on a case, and the largest error beside float64 relative to the largest
    entry."""

    like: str
    layer: str
    operation: str
    torch: float
    ours: float
    error_torch: float
    error: float

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.torch / self.ours


def measured(case: Case, operation: str, clock: Clock) -> Measured:
    """Both on one case."""
    random = torch.Generator().manual_seed(0)
    groups = case.shape[1]
    x = torch.randn(case.shape, generator=random)
    w = torch.randn((groups, 1, *[case.kernel] * case.dims), generator=random)
    geometry = case.stride, case.padding, case.dilation
    layer = dg.layers.Conv(case.kernel, *geometry, groups=groups, dims=case.dims)
    convolve = getattr(torch.nn.functional, f"conv{case.dims}d")
    v = torch.randn(convolve(x, w, None, *geometry, groups).shape, generator=random)

    def theirs(x: Tensor, w: Tensor, v: Tensor) -> Tensor:
        if operation == "forward":
            made: Tensor = convolve(x, w, None, *geometry, groups)
            return made
        options = [[n] * case.dims for n in geometry]
        by_input = operation == "input VJP"
        found: list[Tensor] = torch.ops.aten.convolution_backward(
            v, x, w, None, *options, False, [0] * case.dims, groups, (by_input, not by_input, False)
        )
        return found[0 if by_input else 1]

    def ours() -> Tensor:
        if operation == "forward":
            return layer.forward(x, w)
        if operation == "input VJP":
            return layer.input_vjp(v, w, x.shape)
        return layer.weight_vjp(x, v)

    with torch.no_grad(), reserved(RESERVED):
        exact = theirs(x.double(), w.double(), v.double())
        errors = [
            float((y - exact).abs().max() / exact.abs().max()) for y in (theirs(x, w, v), ours())
        ]
        times = clock.times({"torch": lambda: theirs(x, w, v), "ours": ours})
    return Measured(case.like, str(case), operation, times["torch"], times["ours"], *errors)


def sheet(found: Sequence[Measured]) -> Sheet:
    """A line for each case and operation."""
    rows = tuple(
        (
            *(m.like, m.layer, m.operation, shown(m.torch), shown(m.ours), f"{m.ratio:.2f}"),
            *(f"{m.error_torch:.1e}", f"{m.error:.1e}"),
        )
        for m in found
    )
    means = (
        f"{name}: geometric mean {geometric_mean(ratios):.2f}, least {min(ratios):.2f}, "
        f"most {max(ratios):.2f}"
        for name in OPERATIONS
        if (ratios := [m.ratio for m in found if m.operation == name])
    )
    return Sheet(
        "one channel a group, float32",
        (
            "as in",
            "layer",
            "operation",
            "PyTorch",
            "ours",
            "ratio",
            "error, PyTorch",
            "error, ours",
        ),
        rows,
        labels=3,
        notes=(*means, "errors: largest, beside float64, of the largest entry"),
    )


def main(
    threads: Annotated[int, typer.Option(help="Threads of the CPU.")] = 1,
    save: Annotated[bool, typer.Option(help="Write results/depthwise.md and .json.")] = False,
) -> None:
    """Measure convolutions with one channel a group against PyTorch's own calls."""
    torch.set_num_threads(threads)
    console = results.console()
    clock = Clock(15, processor=True, seconds=2.0)
    chosen = [(case, name) for case in CASES for name in OPERATIONS]
    with tracked(console) as progress:
        found = [measured(*job, clock) for job in progress.track(chosen, description="cases")]
    table = sheet(found)
    console.print(table.rich())
    if save:
        rows = [{**asdict(m), "ratio": m.ratio} for m in found]
        command = f"python -m benchmarks.depthwise --save{f' --threads {threads}' * (threads > 1)}"
        console.print("written:", *results.save("depthwise", command, [table], rows))


if __name__ == "__main__":
    sys.exit(typer.run(main))
