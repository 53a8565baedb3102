"""Convolutions with kernels in factors: multiplications beside dense cost models, and time beside
rebuilding the kernel.

Orders are those of opt_einsum (`optimal`) and, where it is installed, cotengra (`auto-hq`), which
take a pattern Π for a dense I×O×K array. Multiplications of every order are counted twice: "dense"
as those models do, and "structured", where only index combinations count that patterns let through
(a pattern lets i through once its o and k are known, and a library convolution multiplies nothing
else). Times are of float32 with `plan="measure"`, beside the fastest of: rebuilding the kernel with
the best order and calling torch's convolution.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Annotated, Any

import opt_einsum
import torch
import typer

from benchmarks import results
from benchmarks.progress import tracked
from benchmarks.results import Sheet
from benchmarks.timing import Clock, geometric_mean, shown
from diagrammar import factorised
from diagrammar.ir.tree import Leaf, Tree, applies, children, positions
from diagrammar.plan.planner import plan
from diagrammar.runtime.devices import default
from diagrammar.search.moves import Options

LAYERS = ((64, 64, 56), (128, 128, 28), (256, 256, 14), (512, 512, 7))
"""Channels in and out, and the size of the square image; 3×3, padding 1."""
RANKS = {"cp": (16, 64, 256), "tucker": (16, 32, 64), "tt": (8, 16, 32), "tr": (4, 8, 12)}
BATCH = 16
TERMS = {
    "cp": ("co r", "ci r", "k1 r", "k2 r"),
    "tucker": ("co r", "r q k1 k2", "ci q"),
    "tt": ("co r", "r k1 q", "q k2 t", "t ci"),
    "tr": ("u co r", "r k1 q", "q k2 t", "t ci u"),
}
FEWEST = Options(
    default().with_rates(products=1.0, strided=0.0, streamed=0.0, calls=1e-3), native=False
)
INPUT, PATTERNS, OUTPUT = "b ci i1 i2", ("i1 o1 k1", "i2 o2 k2"), "b co o1 o2"
Wires = frozenset[str]


@dataclass(frozen=True)
class Case:
    """A form of the kernel at a rank on a layer."""

    form: str
    rank: int
    inner: int
    outer: int
    image: int

    @property
    def sizes(self) -> dict[str, int]:
        """The size of each wire."""
        return {
            **dict.fromkeys(("r", "q", "t", "u"), self.rank),
            **{"b": BATCH, "ci": self.inner, "co": self.outer, "k1": 3, "k2": 3},
            **dict.fromkeys(("i1", "i2", "o1", "o2"), self.image),
        }

    def shape(self, axes: str) -> tuple[int, ...]:
        """The sizes of some axes."""
        return tuple(self.sizes[w] for w in axes.split())

    @property
    def terms(self) -> tuple[str, ...]:
        """The axes of the input, the patterns and the factors, as in the shipped files."""
        return (INPUT, *PATTERNS, *TERMS[self.form])

    @property
    def equation(self) -> str:
        """The contraction with dense patterns, as opt_einsum reads it."""
        letter = {w: opt_einsum.get_symbol(n) for n, w in enumerate(self.sizes)}
        written = ["".join(letter[w] for w in t.split()) for t in (*self.terms, OUTPUT)]
        return f"{','.join(written[:-1])}->{written[-1]}"


def combinations(wires: Wires, patterns: Wires, sizes: dict[str, int]) -> int:
    """The index combinations of some wires that the patterns of these dimensions let through."""
    found = prod(sizes[w] for w in wires if w[0] not in "iok" or len(w) == 1 or w in ("co", "ci"))
    for d in ("1", "2"):
        i, o, k = (f"{letter}{d}" for letter in "iok")
        have = wires & {i, o, k}
        if d in patterns and i in have and len(have) == 3:
            have -= {i}
        elif d in patterns and have == {i, o}:
            found *= sizes[o] * sizes[f"k{d}"]
            continue
        found *= prod(sizes[w] for w in have)
    return found


@dataclass
class Count:
    """Multiplications of an order, counted by both models."""

    dense: int = 0
    structured: int = 0

    def add(self, wires: Wires, patterns: Wires, sizes: dict[str, int]) -> None:
        """One contraction over all these wires."""
        self.dense += prod(sizes[w] for w in wires)
        self.structured += combinations(wires, patterns, sizes)


def of_path(case: Case, path: Sequence[Sequence[int]]) -> Count:
    """Both counts of an order of pairs."""
    rest = [frozenset(t.split()) for t in case.terms]
    patterns = [frozenset(t[1] for t in [term] if term in PATTERNS) for term in case.terms]
    found = Count()
    for step in path:
        taken = sorted(step, reverse=True)
        wires = frozenset[str]().union(*(rest.pop(n) for n in taken))
        read = frozenset[str]().union(*(patterns.pop(n) for n in taken))
        if len(taken) > 1:
            found.add(wires, read, case.sizes)
        outside = frozenset(OUTPUT.split()).union(*rest)
        rest.append(wires & outside)
        patterns.append(read)
    return found


def of_tree(case: Case, tree: Tree) -> Count:
    """Both counts of our own tree: reading a pattern along a result multiplies nothing; in the
    dense model it is a contraction with the pattern."""
    found = Count()
    _visit(case, tree, found)
    return found


def _visit(case: Case, tree: Tree, found: Count) -> tuple[Wires, frozenset[int]]:
    """The wires of a result and the terms in it."""
    if isinstance(tree, Leaf):
        return frozenset(case.terms[tree.at].split()), frozenset({tree.at})
    parts = [_visit(case, child, found) for child in children(tree)]
    inside = frozenset[int]().union(*(terms for _, terms in parts))
    wires = frozenset[str]().union(*(own for own, _ in parts))
    relations = positions(tree)
    left = parts[0][0]
    for at in relations:  # the dense model: one pattern after the other into the data
        dimension = frozenset(case.terms[at].split())
        found.dense += prod(case.sizes[w] for w in left | dimension)
        inside |= {at}
        left = _kept(case, left | dimension, inside)
        wires |= dimension
    if not applies(tree, "windows"):
        whole = left | parts[1][0] if relations else wires
        found.dense += prod(case.sizes[w] for w in whole)
        read = frozenset(case.terms[at][1] for at in inside if at in (1, 2))
        found.structured += combinations(wires, read, case.sizes)
    return _kept(case, wires, inside), inside


def _kept(case: Case, wires: Wires, inside: frozenset[int]) -> Wires:
    outside = [t.split() for n, t in enumerate(case.terms) if n not in inside]
    return wires & frozenset(OUTPUT.split()).union(*outside)


@dataclass(frozen=True)
class Measured:
    """One case: multiplications of the orders, seconds of both ways, and the relative error."""

    form: str
    rank: int
    layer: str
    fewest: int
    ours: int
    ours_dense: int
    opt_einsum: int
    opt_einsum_dense: int
    cotengra: int | None
    cotengra_dense: int | None
    rebuilt: int
    seconds: float
    seconds_rebuilt: float
    error: float

    @property
    def ratio(self) -> float:
        """How many times faster than rebuilding."""
        return self.seconds_rebuilt / self.seconds

    @property
    def best_other(self) -> int:
        """The fewest structured multiplications of the other orders."""
        return min(n for n in (self.opt_einsum, self.cotengra) if n is not None)


def measured(case: Case, clock: Clock) -> Measured:
    """Both ways on one case."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(case.shape(INPUT), generator=random)
    parts = [
        torch.randn(case.shape(t), generator=random) / case.rank**0.5 for t in TERMS[case.form]
    ]
    function = factorised.compiled(case.form, (("p", 1), ("plan", "measure")))
    counted = factorised.compiled(case.form, (("p", 1),))
    names = [o.name for o in function.operands]
    shapes = dict(zip(names, (tuple(t.shape) for t in (x, *parts)), strict=True))
    special = counted.specialise(**shapes)
    ours = of_tree(case, special.planned.trees[0][1])
    fewest = plan("Y", special.diagrams, counted.operands, FEWEST).trees[0][1]
    path, _ = opt_einsum.contract_path(
        case.equation, *map(case.shape, case.terms), shapes=True, optimize="optimal"
    )
    theirs, others = of_path(case, path), _cotengra(case)

    def rebuilding() -> Any:
        made = factorised.kernel(case.form, *parts)
        return torch.nn.functional.conv2d(x, made, padding=1)

    def direct() -> Any:
        return function(x, *parts)

    with torch.no_grad():
        exact = rebuilding()
        error = float((direct() - exact).abs().max() / exact.abs().max())
        times = clock.times({"ours": direct, "rebuilding": rebuilding})
    positions = BATCH * case.image**2
    return Measured(
        case.form,
        case.rank,
        f"{case.inner}→{case.outer}, {case.image}²",
        of_tree(case, fewest).structured,
        ours.structured,
        ours.dense,
        theirs.structured,
        theirs.dense,
        others and others.structured,
        others and others.dense,
        positions * case.inner * case.outer * 9,
        times["ours"],
        times["rebuilding"],
        error,
    )


def _cotengra(case: Case) -> Count | None:
    """Both counts of cotengra's order, if it is installed."""
    try:
        from cotengra import array_contract_path
    except ImportError:
        return None
    inputs = [tuple(t.split()) for t in case.terms]
    path = array_contract_path(
        inputs, tuple(OUTPUT.split()), size_dict=case.sizes, optimize="auto-hq"
    )
    return of_path(case, path)


def cases(*, quick: bool) -> Iterator[Case]:
    """All forms and ranks on all layers; the quick ones on every second layer."""
    for form, ranks in RANKS.items():
        for inner, outer, image in LAYERS[:: 2 if quick else 1]:
            for rank in ranks:
                yield Case(form, rank, inner, outer, image)


def sheet(found: Sequence[Measured]) -> Sheet:
    """A line for each case."""
    million = 1e-6
    rows = tuple(
        (
            *(m.form, m.layer, str(m.rank)),
            f"{m.fewest * million:.1f}",
            f"{m.ours * million:.1f}",
            f"{m.opt_einsum * million:.1f}",
            "" if m.cotengra is None else f"{m.cotengra * million:.1f}",
            f"{m.ours_dense * million:.0f}",
            f"{m.opt_einsum_dense * million:.0f}",
            f"{m.rebuilt * million:.0f}",
            *(shown(m.seconds), shown(m.seconds_rebuilt), f"{m.ratio:.2f}"),
        )
        for m in found
    )
    more = [m for m in found if m.fewest > m.best_other]
    cheaper = [m for m in found if m.ours < m.rebuilt]
    ratios = [m.ratio for m in cheaper]
    return Sheet(
        f"kernels in factors, 3×3, batch {BATCH}, float32, one thread; millions of multiplications",
        (
            *("form", "layer", "rank", "fewest", "ours", "opt_einsum", "cotengra"),
            *("ours, dense", "opt_einsum, dense", "rebuilt", "time", "rebuilding", "ratio"),
        ),
        rows,
        labels=2,
        notes=(
            "ours, opt_einsum, cotengra: structured counts of the orders; dense: by the model "
            "that takes a pattern for an array. rebuilt: those of the convolution alone.",
            "fewest: our search when it counts multiplications only; ours: when it counts time.",
            f"fewest exceeds the better of the others in {len(more)} of {len(found)}.",
            f"Where ours needs fewer multiplications than the rebuilt convolution "
            f"({len(cheaper)}): geometric mean {geometric_mean(ratios):.2f}, least "
            f"{min(ratios):.2f}, most {max(ratios):.2f} times as fast; "
            f"{sum(r < 1 for r in ratios)} slower.",
            f"Largest relative error beside rebuilding: {max(m.error for m in found):.1e}.",
        ),
    )


def main(
    quick: Annotated[bool, typer.Option(help="Every second layer, fewer turns.")] = False,
    save: Annotated[bool, typer.Option(help="Write results/factorised.md and .json.")] = False,
) -> None:
    """Measure convolutions with CP, Tucker, TT and TR kernels against rebuilding the kernel."""
    torch.set_num_threads(1)
    console = results.console()
    clock = Clock(9, least=3, seconds=0.6) if quick else Clock(25, least=5, seconds=2.0)
    chosen = list(cases(quick=quick))
    with tracked(console) as progress:
        found = [measured(c, clock) for c in progress.track(chosen, description="cases")]
    table = sheet(found)
    console.print(table.rich())
    if save:
        rows = [{**asdict(m), "ratio": m.ratio} for m in found]
        command = f"python -m benchmarks.factorised{' --quick' if quick else ''}"
        console.print("written:", *results.save("factorised", command, [table], rows))
    sys.exit(0 if all(m.fewest <= m.best_other for m in found) else 1)


if __name__ == "__main__":
    typer.run(main)
