"""Memory budgets on real layers: what a call allocates at its peak, as torch's allocator sees it.

Operations on the paper's layers, each with budgets of half and a quarter of what its program takes
without one. A budget is kept where the measured peak is at most 5 % above it, or refused by an
error before anything is allocated. Then KFAC-expand on the layer that other libraries are quoted
for (batch 16, 64 channels, 56×56, 3×3), beside unfold: peaks and times.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import torch
import typer

import diagrammar as dg
from benchmarks import operations, results
from benchmarks.layers import Layer, every, layers
from benchmarks.progress import tracked
from benchmarks.results import Sheet
from benchmarks.timing import Clock, shown
from diagrammar.backends.torch.emit import load_one
from diagrammar.program.liveness import peak_bytes, show_bytes
from diagrammar.runtime.specialised import Specialised
from tests.plan.peaks import measured as measured_peak

OPERATIONS = ("forward", "weight VJP", "input VJP", "KFAC-expand", "KFAC-reduce")
SHARES = (0.5, 0.25)
TOLERANCE = 1.05
BATCH = 16


@dataclass(frozen=True)
class Kept:
    """One budget: bytes, the peak without one, the measured peak (None: refused), the parts."""

    operation: str
    layer: str
    share: float
    without: int
    budget: int
    peak: int | None
    parts: int

    @property
    def is_kept(self) -> bool:
        """Whether it is kept or refused."""
        return self.peak is None or self.peak <= TOLERANCE * self.budget


def kept(name: str, layer: Layer) -> Iterator[Kept]:
    """The budgets of one operation on one layer."""
    op = operations.operation(name)
    given = operations.operands(layer, BATCH, torch.float32)
    function = operations.compiled(layer, op)
    operands = [given[o.name] for o in function.operands]
    shapes = {o.name: tuple(given[o.name].shape) for o in function.operands}
    without = function.specialise(**shapes).plan.peak()
    for share in SHARES:
        budget = int(share * without)
        limited = operations.compiled(layer, op, memory=budget)
        try:
            limited(*operands)
        except dg.DiagramError:
            yield Kept(name, layer.label, share, without, budget, None, 0)
            continue
        special = limited.specialise(**shapes)
        peak = _first_peak(special, operands)
        yield Kept(name, layer.label, share, without, budget, peak, special.program.turns)


def _first_peak(special: Specialised, operands: Sequence[torch.Tensor]) -> int:
    """The peak of a first call, the making of constants included."""
    return measured_peak(lambda: load_one(special.source, "first")(*operands), first=True)


RELATIONS = {
    "prefix sums": ("i <= j", 1),
    "sums of 16 neighbours": ("0 <= j - i < 16", 1),
    "nearest neighbours, twice as many": ("0 <= j - 2*i < 2", 2),
    "every pair with an even sum": ("i + j = 0 mod 2", 1),
    "a band around the diagonal": ("-8 <= i - j <= 8", 1),
}
"""Conditions of a pattern between i and j, and how many times as many j there are as i."""
LENGTH = 6000


def of_relation(name: str, dtype: torch.dtype) -> Iterator[Kept]:
    """The budgets of a product with a pattern that is no convolution."""
    condition, times = RELATIONS[name]
    text = (
        f"tensor X[b, i]\nsize j := {times}*|i|\npattern C[i, j] = [{condition}]\n"
        "Y[b, j] = X[b, i] * C[i, j]"
    )
    diagram = dg.parse(text)["Y"]
    x = torch.randn(4, LENGTH // times).to(dtype)
    without = diagram.compile().opened([tuple(x.shape)], x.element_size())
    peak = peak_bytes(without.program, x.element_size())
    for share in (1.0, *SHARES):
        budget = int(share * peak)
        limited = diagram.compile(memory=budget)
        try:
            special = limited.opened([tuple(x.shape)], x.element_size())
        except dg.DiagramError:
            yield Kept(name, str(dtype), share, peak, budget, None, 0)
            continue
        found = _first_peak(special, [x])
        yield Kept(name, str(dtype), share, peak, budget, found, special.program.turns)


def of_relations(found: Sequence[Kept]) -> Sheet:
    """A line for each relation and dtype."""
    rows = []
    for own in found:
        measured = "refused" if own.peak is None else show_bytes(own.peak)
        ratio = "" if own.peak is None else f"{own.peak / own.budget:.2f}"
        kind = own.layer.removeprefix("torch.")
        rows.append((own.operation, kind, show_bytes(own.budget), measured, ratio, str(own.parts)))
    return Sheet(
        f"first calls of products with a pattern, batch 4, {LENGTH} entries",
        ("pattern", "dtype", "budget", "measured peak", "peak / budget", "parts"),
        tuple(rows),
        notes=("budgets: the estimated peak without one, a half and a quarter of it.",),
    )


def summary(found: Sequence[Kept]) -> Sheet:
    """A line for each operation and share."""
    rows = []
    for name in OPERATIONS:
        for share in SHARES:
            own = [k for k in found if k.operation == name and k.share == share]
            ran = [k for k in own if k.peak is not None]
            most = max((k.peak / k.budget for k in ran if k.peak is not None), default=0.0)
            rows.append(
                (
                    name,
                    f"{share:.0%}",
                    str(len(own)),
                    str(sum(k.parts == 1 for k in ran)),
                    str(sum(k.parts > 1 for k in ran)),
                    str(len(own) - len(ran)),
                    f"{most:.2f}",
                    str(sum(not k.is_kept for k in own)),
                )
            )
    return Sheet(
        f"budgets as a share of the peak without one; batch {BATCH}, float32",
        (
            *("operation", "budget", "layers", "another program", "in parts", "refused"),
            *("most peak / budget", "not kept"),
        ),
        tuple(rows),
        notes=(
            "most peak / budget: of a first call, the making of constants included, as torch's "
            "allocator sees it; 1.05 is allowed.",
        ),
    )


def quoted(clock: Clock) -> Sheet:
    """KFAC-expand on the layer that other libraries' memory is quoted for."""
    x = torch.randn(16, 64, 56, 56)

    def unfolding() -> Any:
        u = torch.nn.functional.unfold(x, 3, padding=1)
        return torch.einsum("bro,bso->rs", u, u) / len(x)

    def merged() -> Any:
        u = torch.nn.functional.unfold(x, 3, padding=1).movedim(1, 0).flatten(1)
        return u @ u.mT / len(x)

    def ours(**options: Any) -> Any:
        f = dg.shipped("conv2d")["A_expand"].compile(k1=3, k2=3, p=1, **options)
        return lambda: f(x)

    ways = {
        "unfold, einsum": unfolding,
        "unfold, one product": merged,
        "ours": ours(),
        'ours, memory="77MiB"': ours(memory="77MiB"),
        'ours, memory="16MiB"': ours(memory="16MiB"),
    }
    times = clock.times(ways)
    least = min(times["unfold, einsum"], times["unfold, one product"])
    rows = tuple(
        (name, show_bytes(measured_peak(way)), shown(times[name]), f"{least / times[name]:.2f}")
        for name, way in ways.items()
    )
    return Sheet(
        "KFAC-expand, batch 16, 64 channels, 56×56, 3×3, padding 1, one thread",
        ("way", "measured peak", "time", "times as fast as unfold"),
        rows,
    )


def main(
    quick: Annotated[bool, typer.Option(help="Every tenth layer.")] = False,
    save: Annotated[bool, typer.Option(help="Write results/budget.md and .json.")] = False,
) -> None:
    """Measure peaks under memory budgets; status 1 where a budget is not kept."""
    torch.set_num_threads(1)
    console = results.console()
    chosen = every(layers(), 10 if quick else 4)
    clock = Clock(9, least=3, seconds=6.0)
    with tracked(console) as progress:
        pairs = [(name, layer) for layer in chosen for name in OPERATIONS]
        found = [
            k
            for name, layer in progress.track(pairs, description="layers")
            for k in kept(name, layer)
        ]
        dtypes = (torch.float32, torch.float64, torch.bfloat16)
        related = [k for name in RELATIONS for dtype in dtypes for k in of_relation(name, dtype)]
    sheets = [summary(found), of_relations(related), quoted(clock)]
    found += related
    for sheet in sheets:
        console.print(sheet.rich())
    if save:
        command = f"python -m benchmarks.budget{' --quick' if quick else ''}"
        console.print("written:", *results.save("budget", command, sheets, map(asdict, found)))
    sys.exit(0 if all(k.is_kept for k in found) else 1)


if __name__ == "__main__":
    typer.run(main)
