"""Large networks: the contraction order against opt_einsum's `auto-hq`, and the time of planning.

Random networks of opt_einsum's generator and, where it is installed, of cotengra's (random,
regular, trees, lattices, with hyperedges). Orders are compared by their multiplications: for each
pairwise contraction the product of the sizes of all its wires, counted in the same way for both.
Planning is everything from known shapes to source, in seconds of processor time. The emitted
function is run where it is small enough, and its value compared with numpy's along opt_einsum's
order, in float64.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import prod
from statistics import median
from typing import Annotated, Any

import numpy as np
import opt_einsum
import torch
import typer
from opt_einsum.testing import rand_equation

import diagrammar as dg
from benchmarks import results
from benchmarks.progress import tracked
from benchmarks.results import Sheet
from benchmarks.timing import geometric_mean
from diagrammar import program as ops
from diagrammar.program import Program

SIZES = (16, 30, 46, 60)
LIMIT = 1.0
"""Seconds that planning may take."""
RUN = 10**8
"""The most multiplications of a network that is also run."""


@dataclass(frozen=True)
class Network:
    """An einsum of many operands: `axes[n]` are the wires of operand n."""

    family: str
    axes: tuple[tuple[str, ...], ...]
    opened: tuple[str, ...]
    sizes: dict[str, int]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The operands' shapes."""
        return [tuple(self.sizes[w] for w in axes) for axes in self.axes]

    @property
    def text(self) -> str:
        """The network as a file of ours."""
        terms = [f"T{n}[{', '.join(axes)}]" for n, axes in enumerate(self.axes)]
        declared = "".join(f"tensor {term}\n" for term in terms)
        return f"{declared}R[{', '.join(self.opened)}] = {' * '.join(terms)}\n"

    @property
    def equation(self) -> str:
        """The network as opt_einsum reads it."""
        letter = {w: opt_einsum.get_symbol(n) for n, w in enumerate(self.sizes)}
        inputs = ",".join("".join(letter[w] for w in axes) for axes in self.axes)
        return f"{inputs}->{''.join(letter[w] for w in self.opened)}"


def named(family: str, inputs: Sequence[Any], output: Any, sizes: dict[str, int]) -> Network:
    """A generated network with names that a file can have."""
    name = {letter: f"w{n}" for n, letter in enumerate(sizes)}
    axes = tuple(tuple(name[c] for c in term) for term in inputs)
    used = {w for term in axes for w in term}
    known = {name[c]: int(n) for c, n in sizes.items() if name[c] in used}
    return Network(family, axes, tuple(name[c] for c in output), known)


def networks(size: int, seed: int) -> Iterator[Network]:
    """One network of each generator with about so many tensors."""
    for regularity in (3, 4):
        made = rand_equation(
            size, regularity, n_out=2, d_min=2, d_max=4, seed=seed, return_size_dict=True
        )
        inputs, output = made[0].split("->")
        yield named(f"opt_einsum, {regularity} wires", inputs.split(","), output, made[2])
    try:
        from cotengra import utils
    except ImportError:
        return
    side = round(size**0.5)
    for family, (inputs, output, _, sizes) in {
        "random": utils.rand_equation(size, 3, n_out=2, d_min=2, d_max=4, seed=seed),
        "hyperedges": utils.rand_equation(size, 3, 1, 2, 1, d_min=2, d_max=3, seed=seed),
        "regular": utils.randreg_equation(size, 3, d_min=2, d_max=4, seed=seed),
        "tree": utils.tree_equation(size, d_min=2, d_max=6, n_outer=3, seed=seed),
        "lattice": utils.lattice_equation([side, size // side], d_min=2, d_max=4, seed=seed),
    }.items():
        yield named(f"cotengra, {family}", inputs, output, sizes)


@dataclass(frozen=True)
class Ordered:
    """One network: multiplications of both orders, seconds of both, and our relative error."""

    family: str
    tensors: int
    ours: float
    auto_hq: float
    seconds: float
    seconds_auto_hq: float
    error: float | None

    @property
    def ratio(self) -> float:
        """How many times more multiplications the other order has."""
        return self.auto_hq / self.ours


def multiplications(program: Program) -> int:
    """Of all pairwise contractions of a program."""
    found = 0
    for step in program.steps:
        if isinstance(step.operation, ops.Einsum):
            terms = zip(step.operation.terms, step.operation.values, strict=True)
            sizes = {n: s for t, v in terms for n, s in zip(t, program.steps[v].shape, strict=True)}
            found += prod(int(n) for n in sizes.values())
    return found


def path_multiplications(network: Network, path: Sequence[Sequence[int]]) -> int:
    """The same for a path of opt_einsum's."""
    rest = [frozenset(axes) for axes in network.axes]
    found = 0
    for step in path:
        taken = [rest.pop(n) for n in sorted(step, reverse=True)]
        wires = frozenset[str]().union(*taken)
        found += prod(network.sizes[w] for w in wires)
        outside = frozenset(network.opened).union(*rest)
        rest.append(wires & outside)
    return found


def ordered(network: Network) -> Ordered:
    """Both orders of one network."""
    function = dg.parse(network.text)["R"].compile()
    shapes = {f"T{n}": shape for n, shape in enumerate(network.shapes)}
    start = time.thread_time()
    made = function.specialise(**shapes)
    middle = time.thread_time()
    path, _ = opt_einsum.contract_path(
        network.equation, *network.shapes, shapes=True, optimize="auto-hq"
    )
    end = time.thread_time()
    ours, theirs = multiplications(made.program), path_multiplications(network, path)
    error = None
    if min(ours, theirs) <= RUN:
        random = np.random.default_rng(0)
        operands = [random.standard_normal(shape) for shape in network.shapes]
        expected = opt_einsum.contract(network.equation, *operands, optimize=path)
        found = made(*map(torch.from_numpy, operands)).numpy()
        error = float(np.abs(found - expected).max() / np.abs(expected).max())
    tensors = len(network.axes)
    return Ordered(network.family, tensors, ours, theirs, middle - start, end - middle, error)


def summary(found: Sequence[Ordered]) -> Sheet:
    """A line for each generator."""
    rows = []
    for family in dict.fromkeys(o.family for o in found):
        own = [o for o in found if o.family == family]
        ratios = [o.ratio for o in own]
        seconds, theirs = [o.seconds for o in own], [o.seconds_auto_hq for o in own]
        numbers = (geometric_mean(ratios), min(ratios), max(ratios))
        rows.append(
            (
                family,
                str(len(own)),
                *(f"{n:.2f}" for n in numbers),
                str(sum(r < 1 for r in ratios)),
                f"{median(seconds):.2f}",
                f"{max(seconds):.2f}",
                f"{median(theirs):.2f}",
            )
        )
    errors = [o.error for o in found if o.error is not None]
    worse = [o for o in found if o.ratio < 1]
    return Sheet(
        f"multiplications of auto-hq's order / of ours; {', '.join(map(str, SIZES))} tensors",
        (
            *("networks", "count", "geometric mean", "least", "most", "below 1"),
            *("s, median", "s, most", "s of auto-hq"),
        ),
        tuple(rows),
        notes=(
            f"Planning takes {max(o.seconds for o in found):.2f} s of processor time at most.",
            f"Ours needs more multiplications on {len(worse)} of {len(found)}.",
            f"{len(errors)} were run; largest relative error {max(errors):.1e} (float64).",
        ),
    )


def main(
    seeds: Annotated[int, typer.Option(help="Networks of each generator and size.")] = 5,
    save: Annotated[bool, typer.Option(help="Write results/networks.md and .json.")] = False,
) -> None:
    """Order random networks; status 1 where auto-hq's order is better or planning is slow."""
    torch.set_num_threads(1)
    console = results.console()
    chosen = [n for size in SIZES for seed in range(seeds) for n in networks(size, seed)]
    ordered(chosen[0])  # what is loaded on the first call is no planning
    with tracked(console) as progress:
        found = [ordered(n) for n in progress.track(chosen, description="networks")]
    sheet = summary(found)
    console.print(sheet.rich())
    if save:
        rows = [{**asdict(o), "ratio": o.ratio} for o in found]
        command = f"python -m benchmarks.networks --seeds {seeds}"
        console.print("written:", *results.save("networks", command, [sheet], rows))
    good = all(o.ratio >= 1 and o.seconds < LIMIT for o in found)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    typer.run(main)
