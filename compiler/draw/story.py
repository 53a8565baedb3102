"""The diagrams of a derivation, with tensors that stay the same recognised.

A `Frame` is one diagram; its tensors have keys that persist from frame to frame, so that a layout
can keep them in place. Terms and tensors are matched in order, since rewrites keep order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count

from diagrammar.ir.diagram import Diagram, Network, Operand, Tensor
from diagrammar.rewrite.engine import Simplified, Step, Trace


@dataclass(frozen=True)
class TermFrame:
    """A term of a diagram: its number, which stays the same throughout the story, and the key of
    each tensor."""

    term: int
    network: Network
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Frame:
    """A diagram of the story; `step` is the rewrite that led to it, `touched` has the keys of
    tensors that it changed or put in, `gone` the keys of tensors that it took away."""

    diagram: Diagram
    terms: tuple[TermFrame, ...]
    step: Step | None = None
    touched: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()

    def term(self, number: int) -> TermFrame | None:
        """Term `number` of the story, if it is still there."""
        return next((t for t in self.terms if t.term == number), None)


@dataclass(frozen=True)
class Story:
    """The frames of a derivation, the first one its start; a diagram alone has one frame."""

    frames: tuple[Frame, ...]


def story(what: Diagram | Simplified | Trace | Step) -> Story:
    """Tell the story of a diagram, of a simplification, of its trace, or of one step."""
    if isinstance(what, Diagram):
        return tell(what, ())
    if isinstance(what, Trace):
        return tell(what.start, what)
    if isinstance(what, Step):
        return tell(what.before, (what,))
    return tell(what.trace.start, what.trace, what.diagram)


def tell(start: Diagram, steps: Iterable[Step], end: Diagram | None = None) -> Story:
    """Make frames for a start, the results of steps, and an end that may differ by merged terms. A
    step that changes no tensor, for example one that tells parallel wires apart, has no frame."""
    fresh = (f"t{n}" for n in count())
    terms = tuple(
        TermFrame(n, term, tuple(next(fresh) for _ in term.tensors))
        for n, term in enumerate(start.terms)
    )
    frames = [Frame(start, terms)]
    for step in steps:
        if step.after.terms == frames[-1].diagram.terms:
            continue
        frames.append(_next(frames[-1], step.after, step, fresh))
    if end is not None and end.terms != frames[-1].diagram.terms:
        frames.append(_next(frames[-1], end, None, fresh))
    return Story(tuple(frames))


def _next(frame: Frame, diagram: Diagram, step: Step | None, fresh: Iterable[str]) -> Frame:
    """Make the frame after `frame`; tensors that match keep their keys."""
    names = iter(fresh)
    terms: list[TermFrame] = []
    touched: set[str] = set()
    gone: set[str] = set()
    for old, new in _paired_terms(frame.terms, diagram.terms):
        pairs = dict(_aligned(new.tensors, old.network.tensors))
        keys = tuple(
            old.keys[pairs[n]] if n in pairs else next(names) for n in range(len(new.tensors))
        )
        before = old.network.tensors
        touched |= {
            k for n, k in enumerate(keys) if n not in pairs or before[pairs[n]] != new.tensors[n]
        }
        gone |= set(old.keys) - set(keys)
        terms.append(TermFrame(old.term, new, keys))
    return Frame(diagram, tuple(terms), step, frozenset(touched), frozenset(gone))


def _paired_terms(
    old: Sequence[TermFrame], new: Sequence[Network]
) -> Iterable[tuple[TermFrame, Network]]:
    """Pair each new term with the old one that it comes from: at the same place, or after merging
    the first equal one."""
    if len(old) == len(new):
        return list(zip(old, new, strict=True))
    left = list(old)
    pairs = []
    for term in new:
        origin = next((o for o in left if o.network.tensors == term.tensors), left[0])
        left.remove(origin)
        pairs.append((origin, term))
    return pairs


def _aligned(new: Sequence[Tensor], old: Sequence[Tensor]) -> list[tuple[int, int]]:
    """Pairs of positions (new, old) of tensors that are the same, in order, with the greatest total
    similarity."""
    head = 0
    while head < min(len(new), len(old)) and new[head] == old[head]:
        head += 1
    tail = 0
    while tail < min(len(new), len(old)) - head and new[-1 - tail] == old[-1 - tail]:
        tail += 1
    middle_new, middle_old = new[head : len(new) - tail], old[head : len(old) - tail]
    pairs = [(n, n) for n in range(head)]
    pairs += [(head + a, head + b) for a, b in _best(middle_new, middle_old)]
    pairs += [(len(new) - 1 - t, len(old) - 1 - t) for t in range(tail)]
    return pairs


def _best(new: Sequence[Tensor], old: Sequence[Tensor]) -> list[tuple[int, int]]:
    """The alignment of greatest similarity, by dynamic programming."""

    @cache
    def similar(a: int, b: int) -> int:
        return _similarity(new[a], old[b])

    rows, columns = len(new), len(old)
    best = [[0] * (columns + 1) for _ in range(rows + 1)]
    for a in reversed(range(rows)):
        for b in reversed(range(columns)):
            pair = similar(a, b)
            together = best[a + 1][b + 1] + pair if pair else 0
            best[a][b] = max(best[a + 1][b], best[a][b + 1], together)
    pairs, a, b = [], 0, 0
    while a < rows and b < columns:
        if similar(a, b) and best[a][b] == best[a + 1][b + 1] + similar(a, b):
            pairs.append((a, b))
            a, b = a + 1, b + 1
        elif best[a][b] == best[a + 1][b]:
            a += 1
        else:
            b += 1
    return pairs


def _similarity(new: Tensor, old: Tensor) -> int:
    """How similar two tensors are: 0 for not at all, 8 for equal."""
    if isinstance(new, Operand) != isinstance(old, Operand):
        return 0
    if new == old:
        return 8
    shared = bool(set(new.wires) & set(old.wires))
    if isinstance(new, Operand):
        return 4 + 2 * shared if new.name == old.name else 0
    return 2 * (new.name == old.name) + 2 * shared
