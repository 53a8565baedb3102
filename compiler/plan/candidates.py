"""Candidate programs for some diagrams, all exact: the search under several restrictions, and each
result with other library calls.

A candidate starts from the simplified diagrams or from the diagrams as they are written, since a
library convolution may be faster than the view or reshape that a rule finds. `choose` takes the
cheapest by cost; `plan.measure` times the best few.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import diagrammar.program.passes  # which registers them  # noqa: F401
from diagrammar.cost.device import Device
from diagrammar.cost.pricing import price
from diagrammar.ir.diagram import Declared, Diagram
from diagrammar.ir.tree import Tree
from diagrammar.plan.planner import Planned, plan
from diagrammar.plan.strategies import Recipe, pass_lists, strategies
from diagrammar.program.liveness import peak_bytes, result_elements
from diagrammar.program.nonfinite import Reach, reach
from diagrammar.program.owning import owned
from diagrammar.program.passes.driver import run
from diagrammar.program.passes.mark_nan import mark_nan
from diagrammar.rewrite.engine import Simplified
from diagrammar.rules.passes import Pipeline
from diagrammar.search.meeting import DEARER

CLOSE = 1.05
"""Times closer than this are alike: a clock can hardly tell them apart."""
MUCH = 2**18
"""Entries from which the memory of the fastest counts."""


@dataclass(frozen=True)
class Candidate:
    """A program, how it came about, its cost in seconds, its peak in entries, and what a NaN in an
    operand may reach. `accumulate` is the dtype that its sums are computed in."""

    recipe: Recipe
    planned: Planned
    start: tuple[Simplified, ...]
    accumulate: str | None
    cost: float
    peak: int
    reach: Reach = Reach.MORE

    @property
    def name(self) -> str:
        """What it is called: how it is made, in words."""
        return str(self.recipe)

    @property
    def held(self) -> int:
        """What it allocates beside its results, in entries."""
        return self.peak - result_elements(self.planned.program)

    def of(
        self,
        diagrams: Sequence[Diagram],
        operands: Sequence[Declared],
        trees: Sequence[Tree] | None = None,
    ) -> Planned:
        """What is made in the same way of the same diagrams with other sizes."""
        program, strategy = self.planned.program, self.recipe.strategy
        planned = plan(
            program.name,
            diagrams,
            operands,
            strategy.options,
            doc=program.doc,
            accumulate=self.accumulate,
            shortcut=strategy.shortcut,
            trees=trees,
        )
        return replace(planned, program=run(self.recipe.passes, planned.program))


def candidates(
    name: str,
    diagrams: Sequence[Diagram],
    operands: Sequence[Declared],
    device: Device,
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

    def add(recipe: Recipe, searched: Planned, start: Sequence[Simplified]) -> None:
        program = owned(run(recipe.passes, searched.program))
        does = program.results, tuple((step.operation, step.shape) for step in program.steps)
        known = made.get(does)
        if known is None or (recipe.is_one_call and not known.recipe.is_one_call):
            planned = replace(searched, program=program)
            cost, peak = price(program, device), peak_bytes(program) // 4
            about = tuple(start), accumulate, cost, peak, reach(program)
            made[does] = Candidate(recipe, planned, *about)

    simplified = [Pipeline(without=without).run(d) for d in diagrams]
    starts = [(False, simplified)]
    written = [Pipeline(("delta",), without).run(d) for d in diagrams]
    if native and any(a.diagram != b.diagram for a, b in zip(written, simplified, strict=True)):
        starts.append((True, written))
    for as_written, start in starts:
        found = [s.diagram for s in start]
        for strategy in strategies(
            found, device, native=native, as_written=as_written, contained=contained
        ):
            planned = plan(
                name,
                found,
                operands,
                strategy.options,
                doc=doc(start),
                accumulate=accumulate,
                shortcut=strategy.shortcut,
            )
            for passes in pass_lists(
                strategy, native=native, as_written=as_written, contained=contained
            ):
                add(Recipe(strategy, passes, as_written), planned, start)
    every = sorted(made.values(), key=lambda c: c.cost)
    return _kept(every, device) if contained else every


def _kept(found: Sequence[Candidate], device: Device) -> list[Candidate]:
    """Those in which a NaN stays in the sums that have it; if these are much dearer and none of
    them is PyTorch's own call, the others too, with marked products."""
    kept = [c for c in found if c.reach < Reach.MORE]
    call = any(c.recipe.is_one_call for c in kept)
    if call or (kept and kept[0].cost <= DEARER * found[0].cost):
        return kept
    marked = [_marked(c, device) for c in found if c.reach is Reach.MORE]
    kept += [c for c in marked if c.reach < Reach.MORE]
    return sorted(kept, key=lambda c: c.cost) or list(found)


def _marked(candidate: Candidate, device: Device) -> Candidate:
    """The candidate with marked products."""
    recipe = candidate.recipe
    program = run((mark_nan,), candidate.planned.program)
    return replace(
        candidate,
        recipe=replace(recipe, passes=(*recipe.passes, mark_nan)),
        planned=replace(candidate.planned, program=program),
        cost=price(program, device),
        peak=peak_bytes(program) // 4,
        reach=reach(program),
    )


def choose(candidates: Sequence[Candidate]) -> Candidate:
    """The best by what it costs."""
    return candidates[best([c.cost for c in candidates], candidates)]


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
