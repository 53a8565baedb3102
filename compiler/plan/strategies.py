"""How a candidate comes about, as values: where it starts, how it is searched, which passes change
its steps. What it is called is their `str`; nothing reads that text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from diagrammar import program as ops
from diagrammar.cost.device import Device
from diagrammar.ir.autocorrelation import gram_form
from diagrammar.ir.diagram import Diagram, Network, Operand
from diagrammar.ir.tree import Tree
from diagrammar.lowerings.by_region import recognise
from diagrammar.plan.cutting import told_of
from diagrammar.plan.planner import Shortcut
from diagrammar.program.passes.registry import ProgramPass, Stage, in_order
from diagrammar.search.native import whole
from diagrammar.search.search import Options, Search
from diagrammar.transform.unit_wires import without_units

PREFERENCE = 0.05
"""How many times its seconds a library call counts where the search is to find trees full of
them."""
FACTORS = 4
"""Operands of a term with which a library call may come after all that its weight is made of."""


@dataclass(frozen=True)
class Strategy:
    """How trees are found: by a search, unless the shortcut knows one. `one_call`: it knows
    PyTorch's own call for some term."""

    name: str
    options: Options = field(repr=False)
    shortcut: Shortcut | None = field(default=None, repr=False)
    one_call: bool = False

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Recipe:
    """How a candidate is made: a strategy for diagrams as they are written, or simplified, then
    passes over the program's steps; `cuts` where it runs in parts."""

    strategy: Strategy
    passes: tuple[ProgramPass, ...]
    as_written: bool = False
    cuts: tuple[ops.Cut, ...] = ()

    @property
    def is_one_call(self) -> bool:
        """Whether it is PyTorch's own call for some term, and left as it is."""
        chosen = any(one.choice for one in self.passes)
        return self.strategy.one_call and not chosen and not self.cuts

    def uses(self, one: ProgramPass) -> bool:
        """Whether a pass is one of its passes."""
        return one in self.passes

    def __str__(self) -> str:
        parts = [str(self.strategy), *(one.choice for one in self.passes if one.choice)]
        parts += [told_of(self.cuts)] if self.cuts else []
        return ("as written: " if self.as_written else "") + ", ".join(parts)


def pass_lists(
    strategy: Strategy, *, native: bool, as_written: bool, contained: bool
) -> Iterator[tuple[ProgramPass, ...]]:
    """The passes that may be run over a program of a strategy: those of every candidate, alone and
    with each one of the others. A program that keeps a paired relation is made of products or calls
    of its own, and gets none of the others."""
    last = Stage.MASKS if contained else Stage.SYMMETRY
    every = [one for one in in_order() if one.stage <= last]
    yield tuple(one for one in every if not one.choice)
    if strategy.options.paired is not None:
        return
    plain = not as_written and strategy.shortcut is None
    for choice in every:
        if choice.choice and (native or not choice.native) and (plain or not choice.plain):
            beside = (one for one in every if one is choice or not one.choice)
            yield tuple(one for one in beside if one.name not in choice.excludes)


def strategies(
    start: Sequence[Diagram], device: Device, *, native: bool, as_written: bool, contained: bool
) -> Iterator[Strategy]:
    """The ways to search; diagrams as they are written are only searched for library calls.
    `contained`: a NaN stays in the sums that have it, or may spread."""
    plain = Options(device=device, contained=contained)
    cheap = replace(plain, preference=PREFERENCE)
    one_call = partial(_one_call, cheap)
    if native and any(_knows(one_call, d) for d in start):
        yield Strategy("one library call", cheap, one_call, one_call=True)
    if as_written:
        yield Strategy("library calls", cheap)
        return
    if not any(list(t.relations()) for d in start for t in d.terms):
        # nothing but products, in one way
        yield Strategy("products", plain)
        return
    if native:
        yield Strategy("library calls", plain)
        terms = (t for d in start for t in d.terms)
        if any(sum(isinstance(x, Operand) for x in t.tensors) >= FACTORS for t in terms):
            yield Strategy("factors first", cheap)
    yield Strategy("views and products", replace(plain, native=False))
    if any(_paired(d) for d in start):
        yield Strategy("row by row", replace(plain, native=False, paired=0))
        if native:
            batched = replace(plain, native=False, paired=0, batched=True)
            yield Strategy("row by row, library calls", batched)
            if any(_knows(recognise, d) for d in start):
                yield Strategy("stretches of rows", plain, recognise)


def _knows(shortcut: Shortcut, diagram: Diagram) -> bool:
    """Whether a shortcut has a tree for some term."""
    return any(shortcut(t, diagram.open) for t in without_units(diagram).terms)


def _one_call(options: Options, term: Network, open_wires: Sequence[str]) -> Tree | None:
    return whole(Search(term, tuple(open_wires), options))


def _paired(diagram: Diagram) -> bool:
    """Whether some term has a relation between the rows of two windows, of known size."""
    return any(
        gram_form(r, t.sizes) is not None and all(isinstance(t.sizes[w], int) for w in r.wires)
        for t in diagram.terms
        for _, r in t.relations()
    )
