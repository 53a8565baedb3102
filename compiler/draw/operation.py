"""Collect the contents of a compiled function's report: costs, contraction tree, code.

Tensors have labels, "0:t3" for the tensor with key t3 in the story of result 0, so that rows of the
plan and lines of code are linked with the pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from diagrammar.draw.costs import Cost, costs
from diagrammar.draw.labels import value
from diagrammar.draw.layout import Storyboard, layout
from diagrammar.draw.story import Frame
from diagrammar.draw.tables import candidates_table
from diagrammar.ir.diagram import Diagram
from diagrammar.program import Origin
from diagrammar.program.liveness import show_bytes
from diagrammar.program.operations.base import Role
from diagrammar.rewrite.engine import Simplified
from diagrammar.runtime.options import CONTAINED

if TYPE_CHECKING:
    from diagrammar.runtime.specialised import Specialised

Labels = tuple[str, ...]


@dataclass(frozen=True)
class TreeRow:
    """A row of the contraction tree: its depth, operation, axes, cost and tensors."""

    depth: int
    what: str
    axes: str
    multiplications: str
    written: str
    brings: Labels
    within: Labels


@dataclass(frozen=True)
class CodeLine:
    """A line of source, the tensors that it brings in, and the tensors that it is made from."""

    text: str
    brings: Labels
    within: Labels


@dataclass(frozen=True)
class Operation:
    """A compiled function, ready to be shown: a layout for each result, the costs of its steps,
    operands with their axes and sizes, contraction tree, plan in a sentence, the candidates as a
    table, code, and a note where the program does not start from the end of the derivation."""

    name: str
    layouts: tuple[Storyboard, ...]
    costs: tuple[tuple[Cost | None, ...], ...]
    operands: tuple[tuple[str, str], ...]
    tree: tuple[TreeRow, ...]
    total: str
    candidates: str
    code: tuple[CodeLine, ...]
    note: str = ""


def operation(function: Specialised, *, sizes: bool = False) -> Operation:
    """Collect what to show of a function that was compiled for some shapes, or for all."""
    derivations: Sequence[Simplified | Diagram] = (
        function.derivations if function.traces else function.diagrams
    )
    layouts = tuple(layout(each, sizes=sizes) for each in derivations)
    frames = tuple(_frame(each, function.diagrams[n]) for n, each in enumerate(layouts))
    keys = [_keys(each, frame) for each, frame in zip(layouts, frames, strict=True)]
    stories = [[frame.diagram for frame in each.story.frames] for each in layouts]
    native, contained = function.options.native, function.options.nonfinite == CONTAINED
    known = all(isinstance(n, int) for step in function.program.steps for n in step.shape)
    plan = function.plan
    return Operation(
        function.program.name,
        layouts,
        tuple(costs(diagrams, native=native, contained=contained) for diagrams in stories),
        tuple((p.name, _axes(p.axes, p.shape)) for p in function.program.parameters),
        tuple(_tree(function, keys, known=known)),
        plan.total if known else "for all shapes: multiplications and bytes depend on the operands",
        candidates_table(plan) if known else "",
        tuple(
            CodeLine(line.text, _labels(line.brings, keys), _labels(line.within, keys))
            for line in function.lines
        ),
        AS_WRITTEN if function.as_written else "",
    )


AS_WRITTEN = (
    "The program below, chosen among the candidates, starts from the diagram as written, which a "
    "library knows as a call. The derivation shows what the rules make of that diagram."
)


def _frame(storyboard: Storyboard, diagram: Diagram) -> Frame:
    """The frame that a program starts from: the last one, or an earlier one."""
    frames = storyboard.story.frames
    return next((f for f in reversed(frames) if f.diagram.terms == diagram.terms), frames[0])


Keys = Mapping[tuple[int, int], Labels]
"""The tensors of the last picture at each place (term, tensor) of the diagram that a program starts
from: the tensor itself, or its heirs."""


def _keys(storyboard: Storyboard, frame: Frame) -> Keys:
    """The tensors of the last picture, by their places in a frame."""
    heirs = became(storyboard)
    return {
        (number, place): tuple(heirs.get(key, [key]))
        for number, term in enumerate(frame.terms)
        for place, key in enumerate(term.keys)
    }


def _labels(origins: Iterable[Origin], keys: Sequence[Keys]) -> Labels:
    """Label the tensors at the origins of a step or line."""
    labels = (
        f"{result}:{key}"
        for result, term, place in sorted(origins)
        for key in keys[result].get((term, place), ())
    )
    return tuple(dict.fromkeys(labels))


def _axes(names: Iterable[str], shape: Iterable[object]) -> str:
    """Write axes with their sizes."""
    return " ".join(
        name if value(size) == f"|{name}|" else f"{name}={value(size)}"
        for name, size in zip(names, shape, strict=True)
    )


def _tree(function: Specialised, keys: Sequence[Keys], *, known: bool) -> Iterator[TreeRow]:
    """Yield the steps of a program from its results down; the second time, a value is only
    named."""
    program, plan = function.program, function.plan
    if not function.candidates:  # the dense oracle has no plan to show
        return
    within = program.within()
    seen: dict[int, int] = {}

    def rows(number: int, depth: int) -> Iterator[TreeRow]:
        step, cost = program.steps[number], plan.rows[number]
        again = number in seen and step.operation.role is not Role.OPERAND
        seen.setdefault(number, len(seen))
        yield TreeRow(
            depth,
            step.operation.title + ", as above" * again,
            _axes(step.axes, step.shape),
            f"{cost.multiplications:,}" if cost.multiplications and known and not again else "",
            show_bytes(4 * cost.written) if cost.written and known and not again else "",
            _labels(step.origins, keys),
            _labels(within[number], keys),
        )
        if not again:
            for value in dict.fromkeys(step.operation.reads):
                yield from rows(value, depth + 1)

    for result in dict.fromkeys(program.results):
        yield from rows(result, 0)


def became(storyboard: Storyboard) -> dict[str, list[str]]:
    """The heirs of each tensor that a derivation took away, among the tensors at its end: the
    tensors that the same step changed or put in, and their heirs."""
    frames = storyboard.story.frames
    last = {key for term in frames[-1].terms for key in term.keys}
    heirs_of: dict[str, list[str]] = {}
    for before, frame in reversed(list(pairwise(frames))):
        for old in before.terms:
            new = frame.term(old.term)
            heirs = [key for key in (new.keys if new else ()) if key in frame.touched]
            for key in old.keys:
                if key in frame.gone:
                    remaining = [k for heir in heirs for k in heirs_of.get(heir, [heir])]
                    heirs_of[key] = [k for k in dict.fromkeys(remaining) if k in last]
    return {key: heirs_of[key] for key in sorted(heirs_of)}
