"""Extra memory of layer operations: what programs allocate beyond operands and result, and how much
`docs/operations/README.md` allows them.

Counted in entries, by liveness, at the peak of the largest program that an operation ran. As a
command, for the 132 layers of the paper's networks; nothing is computed there, as operands are on
PyTorch's meta device. `benchmarks.sweep` does the same for small random layers.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod
from statistics import median
from typing import Annotated, Any

import torch
import typer

from benchmarks import results
from benchmarks.layers import Layer, chosen, every, layers
from benchmarks.progress import tracked
from benchmarks.results import Sheet
from diagrammar.layers import Conv
from diagrammar.program.liveness import peak_elements

USUAL = 1.25
"""The most extra memory over operands, result, padded and unfolded input together."""
FACTORS = {"gram": 2.5}
"""The same for operations that may take more."""
REPEATING = {"kfra_vjp": 2.5}
"""The same for padding that repeats the input."""
MATRICES = {"hessian_diag_vjp": 2}
"""How many arrays of the unfolded kernel's size [c_out·∏o, c_in·∏i] may come on top, for padding
that repeats the input."""
GRADIENTS = (
    "batch_l2", "sum_grad_squared", "grad_variance", "diag_ggn", "batch_diag_ggn", "gram",
    "hessian_diag_weight",
)  # fmt: skip
"""Operations on which one array of all gradients, n·b times the weight, may come on top."""
TABLES = 2048
"""Entries that window matrices, tables of indices and steps on tiny layers may have in any case."""
BATCH = 16


@dataclass(frozen=True)
class Arrays:
    """Entries of what extra memory is compared with."""

    operands_and_result: int
    padded_input: int
    unfolded_input: int  # with positions that kernels reach beyond the output: ∏k·∏(o + D(K−1))
    unfolded_kernel: int
    gradients: int
    repeats: bool = False

    def allowed(self, method: str) -> float:
        """The most extra entries of an operation."""
        windows = self.operands_and_result + self.padded_input + self.unfolded_input
        matrices = MATRICES.get(method, 0) if self.repeats else 0
        gradients = self.gradients if method in GRADIENTS else 0
        on_top = matrices * self.unfolded_kernel + gradients
        factor = REPEATING.get(method, 0) if self.repeats else 0
        return max(factor, FACTORS.get(method, USUAL)) * windows + on_top + TABLES


def patches(size: Sequence[int], kernel: Sequence[int], dilation: Sequence[int]) -> int:
    """∏k·∏(o + D(K−1)): entries of an unfolded input and its border, for each channel."""
    each = zip(size, kernel, dilation, strict=True)
    return prod(k * (o + d * (k - 1)) for o, k, d in each)


def extra(conv: Conv) -> tuple[int, int]:
    """Entries of the largest peak beyond operands and result, and of the largest operands with
    their result, over the programs of a layer."""
    beyond = held = 0
    for compiled in conv.compiled():
        for special in compiled.function.specialised():
            program = special.program
            operands = sum(_count(p.shape) for p in program.parameters)
            made = sum(_count(program.steps[r].shape) for r in program.results)
            beyond = max(beyond, peak_elements(program) - made)
            held = max(held, operands + made)
    return beyond, held


def _count(shape: Sequence[Any]) -> int:
    return prod(int(n) for n in shape)


# -- on the layers of real networks ----------------------------------------------------------------

TAKES = {
    "forward": "x w", "input_vjp": "v w size", "weight_vjp": "x v", "averaged_patches": "x",
    "unfold": "x", "kfac_expand": "x", "kfac_reduce": "x", "kfac_expand_grad": "S",
    "kfac_reduce_grad": "S", "batch_grad": "x v", "batch_l2": "x v", "sum_grad_squared": "x v",
    "grad_variance": "x v", "diag_ggn": "x S", "batch_diag_ggn": "x S", "gram": "x S",
    "hessian_diag_vjp": "v w size", "hessian_diag_weight": "x v",
}  # fmt: skip
"""Operations whose results are not quadratic in the input, and their operands."""


@dataclass(frozen=True)
class Found:
    """An operation on a layer: entries beyond operands and result, of those, and allowed ones."""

    method: str
    layer: str
    extra: int
    held: int
    allowed: float

    @property
    def share(self) -> float:
        """Of what is allowed."""
        return self.extra / self.allowed


def found(layer: Layer, method: str, batch: int) -> Found:
    """The extra memory of an operation on a layer."""

    def meta(*shape: int) -> torch.Tensor:
        return torch.empty(*shape, device="meta")

    x, v = layer.input_shape(batch), layer.output_shape(batch)
    given = {
        "x": meta(*x), "v": meta(*v), "S": meta(1, *v), "w": meta(*layer.weight_shape), "size": x,
    }  # fmt: skip
    conv = Conv(layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups)
    getattr(conv, method)(*(given[name] for name in TAKES[method].split()))
    beyond, held = extra(conv)
    arrays = Arrays(
        held,
        prod(x[:2]) * prod(i + 2 * p for i, p in zip(layer.input_size, layer.padding, strict=True)),
        prod(x[:2]) * patches(layer.output_size, layer.kernel_size, layer.dilation),
        prod(v[1:]) * prod(x[1:]) // layer.groups,
        batch * prod(layer.weight_shape),
    )
    return Found(method, layer.label, beyond, held, arrays.allowed(method))


def sheet(rows: Sequence[Found]) -> Sheet:
    """Extra memory over operands and result, and over what is allowed, by operation."""
    lines, bad = [], set()
    for method in TAKES:
        mine = [r for r in rows if r.method == method]
        worst = max(mine, key=lambda r: r.share)
        if worst.share > 1:
            bad.add(len(lines))
        ratios = [r.extra / r.held for r in mine]
        words = (f"{median(ratios):.2f}", f"{max(ratios):.2f}", f"{worst.share:.2f}", worst.layer)
        lines.append((method, *words))
    return Sheet(
        "extra memory over operands and result together",
        ("operation", "median", "most", "of allowed", "on"),
        tuple(lines),
        notes=(
            "of allowed: the largest share of what docs/operations/README.md allows, and where",
        ),
        bad=frozenset(bad),
    )


def main(
    batch: Annotated[int, typer.Option(help="Examples.")] = BATCH,
    words: Annotated[str, typer.Option("--layers", help="Parts of names, with commas.")] = "",
    nth: Annotated[int, typer.Option(help="A representative nth of the layers.")] = 1,
    save: Annotated[bool, typer.Option(help="Write results/memory.md.")] = False,
) -> None:
    """Plan every operation on real layers and print what it allocates beyond operands and result.

    Exits with 1 where that is more than the documentation allows.
    """
    console = results.console()
    asked = every(chosen(layers(), filter(None, words.split(","))), nth)
    rows: list[Found] = []
    with tracked(console) as progress:
        for layer in progress.track(asked, description="layers"):
            rows += [found(layer, method, batch) for method in TAKES]
    table = sheet(rows)
    console.print(table.rich())
    over = [r for r in rows if r.share > 1]
    for r in sorted(over, key=lambda r: -r.share)[:20]:
        console.print(f"{r.share:.2f}  {r.method}  {r.layer}", style="red", highlight=False)
    if save:
        command = f"python -m benchmarks.memory --batch {batch} --save"
        console.print("written:", *results.save("memory", command, [table], map(asdict, rows)))
    sys.exit(1 if over else 0)


if __name__ == "__main__":
    typer.run(main)
