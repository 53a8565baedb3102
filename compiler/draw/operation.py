"""What the report of a compiled function shows beside its pictures: costs, contraction tree, code.

Tensors are known by labels, "0:t3" for the tensor with key t3 in the story of result 0, so that
rows of the plan and lines of code can be linked with what is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from diagrammar import program as ops
from diagrammar.draw.costs import Cost, costs
from diagrammar.draw.labels import value
from diagrammar.draw.layout import Layout, layout
from diagrammar.draw.story import Frame
from diagrammar.draw.tables import candidates_table
from diagrammar.ir.diagram import Diagram
from diagrammar.program import Origin
from diagrammar.program.liveness import show_bytes
from diagrammar.rewrite.engine import Simplified
from diagrammar.runtime.options import CONTAINED

if TYPE_CHECKING:
    from diagrammar.runtime.specialised import Specialised

Labels = tuple[str, ...]
_WORDS = {
    "Einsum": "contract",
    "Masked": "mask",
    "Finite": "finite entries",
    "Marked": "marks",
    "Spoiled": "NaN where it belongs",
    "Gram": "Gram matrix",
    "WindowSums": "sums of windows",
    "WindowGram": "Gram matrix of windows",
    "Convolution": "convolution",
    "TransposedConvolution": "transposed convolution",
    "WeightGradient": "weight gradient",
    "Indicator": "0/1 tensor",
}


@dataclass(frozen=True)
class PlanRow:
    """A row of the contraction tree: how deep, what it is, its axes, its cost, its tensors."""

    depth: int
    what: str
    axes: str
    multiplications: str
    written: str
    brings: Labels
    within: Labels


@dataclass(frozen=True)
class CodeLine:
    """A line of source and the tensors that it brings in and is made from."""

    text: str
    brings: Labels
    within: Labels


@dataclass(frozen=True)
class Operation:
    """A compiled function, ready to be shown: a layout for each result, the costs of its steps,
    operands with their axes and sizes, contraction tree, plan in a sentence, the candidates as a
    table, code, and a note where the program does not start from the end of the derivation."""

    name: str
    layouts: tuple[Layout, ...]
    costs: tuple[tuple[Cost | None, ...], ...]
    operands: tuple[tuple[str, str], ...]
    tree: tuple[PlanRow, ...]
    total: str
    candidates: str
    code: tuple[CodeLine, ...]
    note: str = ""


def operation(made: Specialised, *, sizes: bool = False) -> Operation:
    """What there is to show of a function that was made for some shapes, or for all."""
    told: Sequence[Simplified | Diagram] = made.told if made.traces else made.diagrams
    layouts = tuple(layout(one, sizes=sizes) for one in told)
    frames = tuple(_frame(one, made.diagrams[n]) for n, one in enumerate(layouts))
    keys = [_keys(one, frame) for one, frame in zip(layouts, frames, strict=True)]
    stories = [[frame.diagram for frame in one.story.frames] for one in layouts]
    native, contained = made.options.native, made.options.nonfinite == CONTAINED
    known = all(isinstance(n, int) for step in made.program.steps for n in step.shape)
    plan = made.plan
    return Operation(
        made.program.name,
        layouts,
        tuple(costs(diagrams, native=native, contained=contained) for diagrams in stories),
        tuple((p.name, _axes(p.axes, p.shape)) for p in made.program.parameters),
        tuple(_tree(made, keys, known=known)),
        plan.total if known else "for all shapes: multiplications and bytes depend on the operands",
        candidates_table(plan) if known else "",
        tuple(
            CodeLine(line.text, _labels(line.brings, keys), _labels(line.within, keys))
            for line in made.lines
        ),
        AS_WRITTEN if made.as_written else "",
    )


AS_WRITTEN = (
    "The program below, chosen among the candidates, starts from the diagram as written, which a "
    "library knows as a call. The derivation shows what the rules make of that diagram."
)


def _frame(one: Layout, diagram: Diagram) -> Frame:
    """The frame that a program starts from: the last one, or an earlier one."""
    frames = one.story.frames
    return next((f for f in reversed(frames) if f.diagram.terms == diagram.terms), frames[0])


Keys = Mapping[tuple[int, int], Labels]
"""For a place (term, tensor) of what the program starts from, the tensors of the last picture that
are it, or what became of it."""


def _keys(one: Layout, frame: Frame) -> Keys:
    heirs = became(one)
    return {
        (number, at): tuple(heirs.get(key, [key]))
        for number, term in enumerate(frame.terms)
        for at, key in enumerate(term.keys)
    }


def _labels(origins: Iterable[Origin], keys: Sequence[Keys]) -> Labels:
    found = (
        f"{result}:{key}"
        for result, term, at in sorted(origins)
        for key in keys[result].get((term, at), ())
    )
    return tuple(dict.fromkeys(found))


def _axes(names: Iterable[str], shape: Iterable[object]) -> str:
    return " ".join(
        name if value(size) == f"|{name}|" else f"{name}={value(size)}"
        for name, size in zip(names, shape, strict=True)
    )


def _tree(made: Specialised, keys: Sequence[Keys], *, known: bool) -> Iterator[PlanRow]:
    """The steps of a program from its results down; a value that was shown before is named only."""
    program, plan = made.program, made.plan
    if not made.candidates:  # the dense oracle has no plan to show
        return
    within = program.within()
    seen: dict[int, int] = {}

    def rows(at: int, depth: int) -> Iterator[PlanRow]:
        step, cost = program.steps[at], plan.rows[at]
        again = at in seen and not isinstance(step.operation, ops.Operand)
        seen.setdefault(at, len(seen))
        yield PlanRow(
            depth,
            _what(step.operation, again=again),
            _axes(step.axes, step.shape),
            f"{cost.multiplications:,}" if cost.multiplications and known and not again else "",
            show_bytes(4 * cost.written) if cost.written and known and not again else "",
            _labels(step.origins, keys),
            _labels(within[at], keys),
        )
        if not again and not isinstance(step.operation, ops.Indicator):
            for value in dict.fromkeys(step.operation.inputs):
                yield from rows(value, depth + 1)

    for result in dict.fromkeys(program.results):
        yield from rows(result, 0)


def _what(operation: ops.Operation, *, again: bool) -> str:
    if isinstance(operation, ops.Operand):
        return operation.name
    kind = type(operation).__name__
    said = _WORDS.get(kind, kind.lower())
    if isinstance(operation, ops.Einsum) and len(set(operation.values)) < len(operation.values):
        said = "contract with itself"
    return f"{said}, as above" if again else said


def became(one: Layout) -> dict[str, list[str]]:
    """For each tensor that a derivation took away, those of its end that stand for it now: what
    the same step changed or put in, and what became of that."""
    frames = one.story.frames
    last = {key for term in frames[-1].terms for key in term.keys}
    found: dict[str, list[str]] = {}
    for before, frame in reversed(list(pairwise(frames))):
        for old in before.terms:
            new = frame.term(old.term)
            heirs = [key for key in (new.keys if new else ()) if key in frame.touched]
            for key in old.keys:
                if key in frame.gone:
                    kept = [k for heir in heirs for k in found.get(heir, [heir])]
                    found[key] = [k for k in dict.fromkeys(kept) if k in last]
    return {key: found[key] for key in sorted(found)}
