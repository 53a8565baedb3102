"""What is left to contract, beside einconv 0.1.0: operands, indices, entries, multiplications.

Both write an operation on a layer as one contraction and simplify it. Of einconv that is the
equation and the operands that it returns; of us the simplified diagram. Views are not operands, as
nothing is contracted with them: a tensor that is read through one counts with the entries that are
read. The Gram rule is left out here, as it changes the contraction itself. Multiplications are
those of the best pairwise order, found by opt_einsum for both with dense patterns.

    python -m pip install '.[libraries]'

The status is 1 where we leave more than einconv does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Annotated, Any

import opt_einsum
import torch
import typer
from opt_einsum.testing import build_views
from rich.console import Console

import diagrammar as dg
from benchmarks import results
from benchmarks.layers import Layer, chosen, layers
from benchmarks.progress import tracked
from benchmarks.results import Sheet
from benchmarks.timing import geometric_mean
from diagrammar.ir.diagram import Diagram, Network, Operand
from diagrammar.ir.relation import Relation
from diagrammar.rules.passes import Pipeline
from diagrammar.transform.parallel_wires import parallel
from diagrammar.transform.unit_wires import without_units
from diagrammar.transform.values import resolve_values

BATCH = 16

DEFINITIONS = {
    "forward": "Y",
    "weight VJP": "dW",
    "input VJP": "dX",
    "KFC": "A_expand",
    "KFAC-reduce": "A_reduce",
}


@dataclass(frozen=True)
class Left:
    """A contraction: the indices of each operand, the size of each index, and those of the result.

    `entries` are those of all operands, each entry that is read counted once.
    """

    terms: tuple[str, ...]
    sizes: dict[str, int]
    out: str
    entries: int

    @property
    def operands(self) -> int:
        """The number of tensors."""
        return len(self.terms)

    @property
    def indices(self) -> int:
        """The number of different indices."""
        return len({letter for term in self.terms for letter in term})

    def _summed(self, at: int) -> str:
        """An operand's indices without those that it alone has, which are summed first."""
        others = set(self.out).union(*(t for n, t in enumerate(self.terms) if n != at))
        return "".join(letter for letter in self.terms[at] if letter in others)

    def multiplications(self) -> int:
        """Of the best pairwise order; none for one operand."""
        if len(self.terms) == 1:
            return 0
        summed = [self._summed(at) for at in range(len(self.terms))]
        equation = f"{','.join(summed)}->{self.out}"
        shapes = build_views(equation, self.sizes)
        path, _ = opt_einsum.contract_path(equation, *shapes, optimize="optimal")
        terms, total = summed, 0
        for step in path:
            picked = [terms.pop(at) for at in sorted(step, reverse=True)]
            both = set("".join(picked))
            if len(picked) > 1:
                total += prod(self.sizes[letter] for letter in both)
            kept = set(self.out).union(*terms)
            terms.append("".join(sorted(both & kept)))
        return total


@dataclass(frozen=True)
class Row:
    """One operation on one layer, theirs and ours."""

    layer: str
    kind: str
    operation: str
    operands: tuple[int, int]
    indices: tuple[int, int]
    entries: tuple[int, int]
    multiplications: tuple[int, int]

    @property
    def more(self) -> bool:
        """Whether we leave more than they do."""
        pairs = (self.operands, self.indices, self.entries, self.multiplications)
        return any(ours > theirs for theirs, ours in pairs)


# -- ours ------------------------------------------------------------------------------------------


def ours(layer: Layer, operation: str) -> Left:
    """The simplified diagram as a contraction."""
    diagram = known(layer, DEFINITIONS[operation])
    simple = without_units(Pipeline(without=frozenset({"gram"})).run(diagram).diagram)
    term, read = simple.terms[0], []
    seen: list[tuple[str, ...]] = []
    for tensor in term.tensors:
        if isinstance(tensor, Relation) and tensor.view:
            continue
        wires, entries = _read(term, tensor, simple.open)
        seen.append(wires)
        read.append(entries)
    out = tuple(w for w in _result(term, simple.open) if any(w in wires for wires in seen))
    return _lettered(term, seen, out, sum(read))


def known(layer: Layer, name: str) -> Diagram:
    """A shipped definition at all the numbers of a layer."""
    diagram = dg.shipped("conv2d_unequal")[name]
    values = {"g": layer.groups, "b": BATCH, "ci": layer.in_channels // layer.groups}
    values["co"] = layer.out_channels // layer.groups
    for n in range(2):
        values |= {f"i{n + 1}": layer.input_size[n], f"k{n + 1}": layer.kernel_size[n]}
        values |= {f"s{n + 1}": layer.stride[n], f"p{n + 1}": layer.padding[n]}
        values |= {f"d{n + 1}": layer.dilation[n]}
    names = {*diagram.parameters, *diagram.sizes, *(w for o in diagram.operands for w in o.sizes)}
    symbols, problems = resolve_values(diagram, {w: n for w, n in values.items() if w in names})
    assert not problems, problems
    return diagram.substitute(symbols)


def _read(
    term: Network, tensor: Operand | Relation, opened: Iterable[str]
) -> tuple[tuple[str, ...], int]:
    """The wires of a tensor behind its views, and how many of its entries they reach."""
    wires = list(tensor.wires)
    changed = True
    while changed:
        changed = False
        for _, view in term.relations():
            if view.view in wires and view.view not in opened:
                at = wires.index(view.view)
                wires[at : at + 1] = [w for w in view.wires if w != view.view]
                changed = True
    wires = list(dict.fromkeys(wires))
    own = prod(int(term.sizes[w]) for w in tensor.wires)
    return tuple(wires), min(own, prod(int(term.sizes[w]) for w in wires))


def _result(term: Network, opened: Sequence[str]) -> list[str]:
    """The wires that the contraction leaves: those of views that place the result, not the placed
    one."""
    wires = list(opened)
    for _, view in term.relations():
        if view.view in opened:
            wires += [w for w in view.wires if w != view.view]
    return list(dict.fromkeys(wires))


def _lettered(
    term: Network, seen: Sequence[tuple[str, ...]], out: Sequence[str], entries: int
) -> Left:
    """Wires as letters, parallel ones as one."""
    tensors = tuple(Operand(f"T{n}", tuple((w,) for w in wires)) for n, wires in enumerate(seen))
    used = {w for wires in seen for w in wires}
    patterns = {w for t in term.tensors if isinstance(t, Relation) and not t.view for w in t.wires}
    network = Network(1, tensors, {w: s for w, s in term.sizes.items() if w in used})
    names: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for group in parallel(network, out):
        parts = [(w,) for w in group] if set(group) & patterns else [group]
        for part in parts:
            letter = opt_einsum.get_symbol(len(sizes))
            sizes[letter] = prod(int(term.sizes[w]) for w in part)
            names |= dict.fromkeys(part, letter)
    terms = tuple("".join(dict.fromkeys(names[w] for w in wires)) for wires in seen)
    return Left(terms, sizes, "".join(dict.fromkeys(names[w] for w in out)), entries)


# -- theirs ----------------------------------------------------------------------------------------


def theirs(layer: Layer, operation: str) -> Left:
    """What einconv returns, its factor of one entry left out."""
    # an optional peer, which type checkers need not have
    from einconv.expressions import (  # type: ignore[import-not-found]
        convNd_forward,
        convNd_input_vjp,
        convNd_kfac_reduce,
        convNd_kfc,
        convNd_weight_vjp,
    )

    x = torch.zeros(layer.input_shape(BATCH))
    w = torch.zeros(layer.weight_shape)
    v = torch.zeros(layer.output_shape(BATCH))
    hyper = {
        "stride": layer.stride,
        "padding": layer.padding,
        "dilation": layer.dilation,
        "groups": layer.groups,
    }
    make: dict[str, Callable[[], tuple[str, list[torch.Tensor], object]]] = {
        "forward": lambda: convNd_forward.einsum_expression(x, w, **hyper),
        "weight VJP": lambda: convNd_weight_vjp.einsum_expression(x, v, layer.kernel_size, **hyper),
        "input VJP": lambda: convNd_input_vjp.einsum_expression(w, v, layer.input_size, **hyper),
        "KFC": lambda: convNd_kfc.einsum_expression(x, layer.kernel_size, **hyper),
        "KFAC-reduce": lambda: convNd_kfac_reduce.einsum_expression(x, layer.kernel_size, **hyper),
    }
    equation, operands, _ = make[operation]()
    left, out = equation.split("->")
    sizes: dict[str, int] = {}
    terms, entries = [], 0
    for term, operand in zip(left.split(","), operands, strict=True):
        sizes |= dict(zip(term, operand.shape, strict=True))
        if operand.numel() > 1:
            kept = "".join(c for c, n in zip(term, operand.shape, strict=True) if n > 1)
            terms.append(kept)
            entries += operand.numel()
    return Left(tuple(terms), sizes, "".join(c for c in out if sizes[c] > 1), entries)


# -- tables ----------------------------------------------------------------------------------------

SQUARE = {"count": 1, "in_channels": 64, "out_channels": 64, "groups": 1, "network": "gap"}


def _gap(name: str, size: int, kernel: int, stride: int, padding: int, dilation: int) -> Layer:
    pairs: dict[str, Any] = {
        "input_size": (size, size),
        "kernel_size": (kernel, kernel),
        "stride": (stride, stride),
        "padding": (padding, padding),
        "dilation": (dilation, dilation),
    }
    return Layer(name=name, kind=name, **SQUARE, **pairs)


GAPS = (
    _gap("truncated dense: 4×4, stride 4, input 31", 31, 4, 4, 0, 1),
    _gap("one entry, dilation 2: 1×1", 32, 1, 1, 0, 2),
    _gap("common factor: 3×3, stride 2, dilation 2", 33, 3, 2, 2, 2),
    _gap("down-sampling: 1×1, stride 2", 32, 1, 2, 0, 1),
    _gap("parallel wires: 1×1", 32, 1, 1, 0, 1),
)
"""One layer for each simplification that einconv 0.1.0 is known to miss."""


def compared(layer: Layer, operation: str) -> Row:
    """Both contractions of an operation on a layer."""
    a, b = theirs(layer, operation), ours(layer, operation)
    return Row(
        layer.label if layer.network != "gap" else layer.name,
        layer.kind,
        operation,
        (a.operands, b.operands),
        (a.indices, b.indices),
        (a.entries, b.entries),
        (a.multiplications(), b.multiplications()),
    )


def by_kind(rows: Sequence[Row]) -> Sheet:
    """A line for each kind of layer and operation."""
    lines = []
    bad = set()
    for kind in dict.fromkeys(r.kind for r in rows):
        for operation in DEFINITIONS:
            part = [r for r in rows if (r.kind, r.operation) == (kind, operation)]
            ratios = [ratio(r.multiplications) for r in part]
            if any(r.more for r in part):
                bad.add(len(lines))
            lines.append(
                (
                    kind,
                    operation,
                    str(len(part)),
                    _means([r.operands for r in part]),
                    _means([r.indices for r in part]),
                    f"{geometric_mean([ratio(r.entries) for r in part]):.2f}",
                    f"{geometric_mean(ratios):.2f}",
                    f"{max(ratios):.2f}",
                    str(sum(r.more for r in part)),
                )
            )
    columns = (
        "layers", "operation", "number", "operands", "indices", "entries", "multiplications",
        "most", "more",
    )  # fmt: skip
    notes = (
        "operands, indices: einconv → ours, means; entries, multiplications: einconv / ours, "
        "geometric means",
        "most: the largest ratio of multiplications; more: layers where ours leaves more",
        "a result behind a view is placed or, where windows overlap, folded: additions only",
    )
    return Sheet("what is left to contract", columns, tuple(lines), 2, notes, frozenset(bad))


def ratio(pair: tuple[int, int]) -> float:
    """Theirs over ours; one where both have none."""
    return 1.0 if pair[0] == pair[1] else pair[0] / max(pair[1], 1)


def _means(pairs: Sequence[tuple[int, int]]) -> str:
    first, second = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
    return f"{first:.1f} → {second:.1f}"


def one_by_one(rows: Sequence[Row]) -> Sheet:
    """A line for each layer and operation."""
    pairs = ("operands", "indices", "entries", "multiplications")
    lines = tuple(
        (r.layer, r.operation, *(f"{a:,} → {b:,}" for a, b in (getattr(r, p) for p in pairs)))
        for r in rows
    )
    title = "einconv's gaps, one by one: einconv → ours"
    return Sheet(title, ("layer", "operation", *pairs), lines, 2)


def main(
    only: Annotated[list[str] | None, typer.Option(help="Layers whose label has this.")] = None,
    save: Annotated[bool, typer.Option(help="Write results/connectivity.md and .json.")] = False,
) -> None:
    """Compare what is left to contract with einconv 0.1.0, on 132 layers and on its known gaps."""
    jobs = [(layer, op) for layer in chosen(layers(), only or []) for op in DEFINITIONS]
    console = Console()
    rows = []
    with tracked(console) as progress:
        task = progress.add_task("simplifying", total=len(jobs))
        for layer, operation in jobs:
            rows.append(compared(layer, operation))
            progress.advance(task)
    gaps = [compared(layer, operation) for layer in GAPS for operation in DEFINITIONS]
    sheets = (by_kind(rows), one_by_one(gaps))
    for sheet in sheets:
        console.print(sheet.rich())
    if save:
        found = [asdict(row) for row in (*rows, *gaps)]
        results.save("connectivity", "python -m benchmarks.connectivity --save", sheets, found)
    more = [row for row in (*rows, *gaps) if row.more]
    for row in more:
        console.print(row)
    sys.exit(1 if more else 0)


if __name__ == "__main__":
    typer.run(main)
