"""Candidate programs for some diagrams, all exact: the search under several restrictions, and each
result with other library calls.

A candidate starts from the simplified diagrams or from the diagrams as they are written, since a
library convolution may be faster than the view or reshape that a rule finds. `choose` takes the
cheapest by cost; `plan.measure` times the best few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from diagrammar.cost.cost import Machine
from diagrammar.cost.pricing import price
from diagrammar.ir.autocorrelation import gram_form
from diagrammar.ir.diagram import Declared, Diagram, Network, Operand
from diagrammar.lowerings.by_region import recognise
from diagrammar.lowerings.meeting import DEARER
from diagrammar.lowerings.tree import Tree
from diagrammar.plan.planner import Planned, Shortcut, plan
from diagrammar.program.liveness import peak_bytes, result_elements
from diagrammar.program.nonfinite import Reach, as_contained, reach
from diagrammar.program.passes.flip_kernel import as_flipped
from diagrammar.program.passes.fuse_bias import with_bias
from diagrammar.program.passes.mark_nan import as_marked
from diagrammar.program.passes.matmul_as_conv import as_backward, as_convolutions
from diagrammar.program.passes.split_kernel import as_narrow
from diagrammar.program.passes.syrk import as_grams
from diagrammar.program.passes.window_sums import as_sums
from diagrammar.rewrite.engine import Pipeline, Simplified
from diagrammar.search.native import whole
from diagrammar.search.search import Options, Search
from diagrammar.transform.unit_wires import without_units

FACTORS = 4
"""Operands of a term with which a library call may come after all that its weight is made of."""

CLOSE = 1.05
"""Times closer than this are alike: a clock can hardly tell them apart."""
MUCH = 2**18
"""Entries from which the memory of the fastest counts."""

ONE_CALL = "one library call"
"""What a candidate's name ends with that is PyTorch's own call for some term."""

MARKED = ", NaN marked"
"""What a candidate's name ends with that keeps NaN apart by marks (`passes.mark_nan`)."""

Finish = Callable[[Planned], Planned]


@dataclass(frozen=True)
class Way:
    """How a program is made of simplified diagrams: by a search, or from trees that one found, and
    what is done to its steps afterwards."""

    name: str
    options: Options
    shortcut: Shortcut | None
    doc: str
    accumulate: str | None
    finish: Finish

    def plan(
        self,
        diagrams: Sequence[Diagram],
        operands: Sequence[Declared],
        trees: Sequence[Tree] | None = None,
    ) -> Planned:
        """The program before it is finished."""
        return plan(
            self.name,
            diagrams,
            operands,
            self.options,
            doc=self.doc,
            accumulate=self.accumulate,
            shortcut=self.shortcut,
            trees=trees,
        )


@dataclass(frozen=True)
class Candidate:
    """A program, how it came about, its cost in seconds, its peak in entries, and what a NaN in an
    operand may reach."""

    name: str
    planned: Planned
    start: tuple[Simplified, ...]
    way: Way
    cost: float
    peak: int
    reach: Reach = Reach.MORE

    @property
    def held(self) -> int:
        """What it allocates beside its results, in entries."""
        return self.peak - result_elements(self.planned.program)


AS_WRITTEN = "as written: "
"""How the names of candidates begin that start from the diagram as it stands, deltas aside."""


def candidates(
    name: str,
    diagrams: Sequence[Diagram],
    operands: Sequence[Declared],
    machine: Machine,
    *,
    native: bool,
    without: frozenset[str],
    accumulate: str | None,
    doc: Callable[[Sequence[Simplified]], str],
    contained: bool = True,
) -> list[Candidate]:
    """Programs that do different things, the cheapest first; of some that do the same PyTorch's own
    call gives the name. `contained`: only those in which a NaN or infinity stays in the sums that
    have it and at borders (`program.nonfinite`)."""
    made: dict[object, Candidate] = {}

    def add(title: str, way: Way, searched: Planned, start: Sequence[Simplified]) -> None:
        planned = way.finish(searched).owned()
        program = planned.program
        does = program.results, tuple((step.operation, step.shape) for step in program.steps)
        known = made.get(does)
        if known is None or (title.endswith(ONE_CALL) and not known.name.endswith(ONE_CALL)):
            cost, peak = price(program, machine), peak_bytes(program) // 4
            made[does] = Candidate(title, planned, tuple(start), way, cost, peak, reach(program))

    simplified = [Pipeline(without=without).run(d) for d in diagrams]
    starts = [("", simplified)]
    written = [Pipeline(("delta",), without).run(d) for d in diagrams]
    if native and any(a.diagram != b.diagram for a, b in zip(written, simplified, strict=True)):
        starts.append((AS_WRITTEN, written))
    for prefix, start in starts:
        for title, options, shortcut in _searches(
            start, machine, native=native, library_only=bool(prefix)
        ):
            options = replace(options, contained=contained)
            way = Way(name, options, shortcut, doc(start), accumulate, as_products)
            planned = way.plan([s.diagram for s in start], operands)
            for suffix, finish in _finishes(
                native=native,
                plain=not prefix and shortcut is None,
                windows=options.paired is None,
            ):
                finish = partial(_then, as_contained, finish) if contained else finish
                add(prefix + title + suffix, replace(way, finish=finish), planned, start)
    found = sorted(made.values(), key=lambda c: c.cost)
    return _kept(found, machine) if contained else found


def _kept(found: Sequence[Candidate], machine: Machine) -> list[Candidate]:
    """Those in which a NaN stays in the sums that have it; if these are much dearer and none of
    them is PyTorch's own call, the others too, with marked products."""
    kept = [c for c in found if c.reach < Reach.MORE]
    call = any(c.name.endswith(ONE_CALL) for c in kept)
    if call or (kept and kept[0].cost <= DEARER * found[0].cost):
        return kept
    marked = [_marked(c, machine) for c in found if c.reach is Reach.MORE]
    kept += [c for c in marked if c.reach < Reach.MORE]
    return sorted(kept, key=lambda c: c.cost) or list(found)


def _marked(candidate: Candidate, machine: Machine) -> Candidate:
    """The candidate with marked products (`passes.mark_nan`)."""
    way = replace(candidate.way, finish=partial(_then, as_marked, candidate.way.finish))
    planned = as_marked(candidate.planned)
    program = planned.program
    cost, peak = price(program, machine), peak_bytes(program) // 4
    name = candidate.name + MARKED
    return Candidate(name, planned, candidate.start, way, cost, peak, reach(program))


def _then(after: Finish, before: Finish, planned: Planned) -> Planned:
    """One thing that is done to the steps, then another."""
    return after(before(planned))


def _finishes(*, native: bool, plain: bool, windows: bool) -> Iterator[tuple[str, Finish]]:
    """What may be done to the steps of a program, by what it adds to a candidate's name. A program
    that keeps a paired relation is made of products or calls of its own, and left as it is."""
    yield "", as_products
    if windows and plain:
        yield ", sums of rows", as_row_sums
    if windows and plain and native:
        yield ", products as convolutions", as_calls
    if windows and native:
        yield ", backward pass", as_backward_pass
        yield ", three columns at a time", as_three_columns
        yield ", kernels flipped", as_flipped_kernels


def as_products(planned: Planned) -> Planned:
    """The bias in its call, symmetric products by half."""
    return as_grams(with_bias(planned))


def as_row_sums(planned: Planned) -> Planned:
    """Sums of windows as sums of rows."""
    return as_grams(as_sums(with_bias(planned)))


def as_backward_pass(planned: Planned) -> Planned:
    """Strided input gradients in groups by the library's backward pass."""
    return as_backward(as_products(planned))


def as_three_columns(planned: Planned) -> Planned:
    """Wide weight gradients with one channel a group by three columns of the kernel."""
    return as_narrow(as_products(planned))


def as_flipped_kernels(planned: Planned) -> Planned:
    """Convolutions of few channels as input gradients, and back."""
    return as_products(as_flipped(planned))


def as_calls(planned: Planned) -> Planned:
    """Every product that is a library convolution by its call."""
    return with_bias(as_convolutions(planned))


def _searches(
    start: Sequence[Simplified], machine: Machine, *, native: bool, library_only: bool
) -> Iterator[tuple[str, Options, Shortcut | None]]:
    """The ways to search, by what they are called."""
    cheap = Options(machine=replace(machine, library_discount=0.05))
    one_call = partial(_one_call, cheap)
    if native and any(_knows(one_call, s.diagram) for s in start):
        yield ONE_CALL, cheap, one_call
    if library_only:
        yield "library calls", cheap, None
        return
    if not any(list(t.relations()) for s in start for t in s.diagram.terms):
        yield "products", Options(machine=machine), None  # nothing but products, in one way
        return
    if native:
        yield "library calls", Options(machine=machine), None
        if any(sum(isinstance(x, Operand) for x in t.tensors) >= FACTORS for t in _terms(start)):
            yield "factors first", cheap, None
    yield "views and products", Options(machine=machine, native=False), None
    if any(_paired(s.diagram) for s in start):
        yield "row by row", Options(machine=machine, native=False, paired=0), None
        if native:
            batched = Options(machine=machine, native=False, paired=0, batched=True)
            yield "row by row, library calls", batched, None
            if any(_knows(recognise, s.diagram) for s in start):
                yield "stretches of rows", Options(machine=machine), recognise


def _knows(shortcut: Shortcut, diagram: Diagram) -> bool:
    """Whether a shortcut has a tree for some term."""
    return any(shortcut(t, diagram.open) for t in without_units(diagram).terms)


def _one_call(options: Options, term: Network, open_wires: Sequence[str]) -> Tree | None:
    return whole(Search(term, tuple(open_wires), options))


def _terms(start: Sequence[Simplified]) -> Iterator[Network]:
    return (term for s in start for term in s.diagram.terms)


def _paired(diagram: Diagram) -> bool:
    """Whether some term has a relation between the rows of two windows, of known size."""
    return any(
        gram_form(r, t.sizes) is not None and all(isinstance(t.sizes[w], int) for w in r.wires)
        for t in diagram.terms
        for _, r in t.relations()
    )


def choose(found: Sequence[Candidate], budget: int | None) -> Candidate:
    """The best that allocates at most `budget` entries; the smallest where none does."""
    fitting = [c for c in found if budget is None or c.peak <= budget]
    if not fitting:
        return min(found, key=lambda c: c.peak)
    return fitting[best([c.cost for c in fitting], fitting)]


def best(seconds: Sequence[float], found: Sequence[Candidate]) -> int:
    """The number of the fastest candidate, or of one as fast that takes at most half of what it
    allocates beside the results, if that is much."""
    fastest = min(range(len(found)), key=lambda n: seconds[n])
    most = found[fastest].held
    if most < MUCH:
        return fastest
    lean = [
        n
        for n, candidate in enumerate(found)
        if seconds[n] <= CLOSE * seconds[fastest] and 2 * candidate.held <= most
    ]
    return min(lean, key=lambda n: found[n].held, default=fastest)
