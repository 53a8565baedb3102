"""The order of things in each column, and their coordinates.

A link that passes a column has a lane in it, which takes room like any other thing, so that no wire
runs through a node. Things are ordered by the mean place of their neighbours, as long as that
removes crossings; heights are means of the neighbours' heights, kept apart.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from math import fsum  # sum() rounds in another way from Python 3.12 on

from diagrammar.draw.wiring import Link

LANE = 17.0
"""Distance of parallel wires in px: a label fits between."""
APART = 26.0
"""Least distance of nodes in a column, in px."""

_FEW = 6
"""The most columns for which all ways to turn them are tried."""


@dataclass
class Cell:
    """A thing in a column, or a lane for `links`, with a key of its own."""

    key: str
    column: int
    width: float
    height: float
    links: tuple[Link, ...] = ()
    near: list[tuple[str, float]] = field(default_factory=list)
    y: float = 0.0

    @property
    def is_lane(self) -> bool:
        """Whether this is a lane."""
        return bool(self.links)


@dataclass(frozen=True)
class Grid:
    """The cells by column, top to bottom, with their heights."""

    columns: tuple[tuple[Cell, ...], ...]

    def lane(self, link: Link, column: int) -> float | None:
        """The height at which a link passes a column, if it has a lane there."""
        for cell in self.columns[column]:
            if link in cell.links:
                first = cell.y - LANE * (len(cell.links) - 1) / 2
                return first + LANE * cell.links.index(link)
        return None


def arrange(
    column: Mapping[str, int],
    sizes: Mapping[str, tuple[float, float]],
    links: Sequence[Link],
    reserved: Sequence[Link],
    spread: float,
) -> Grid:
    """Order things with columns and sizes, and choose heights; `reserved` links get lanes where
    they pass."""
    cells = {k: Cell(k, c, *sizes[k]) for k, c in column.items()}
    for cell in _lanes(column, reserved):
        cells[cell.key] = cell
    _join(cells, links, column)
    count = max(column.values(), default=-1) + 1
    stacks = [_start([c for c in cells.values() if c.column == n]) for n in range(count)]
    stacks = _uncrossed(_turned(stacks))
    _heights(stacks, cells, spread)
    return Grid(tuple(tuple(stack) for stack in stacks))


def _lanes(column: Mapping[str, int], links: Sequence[Link]) -> list[Cell]:
    """Make the lanes of links that pass columns."""
    bunches: dict[tuple[str, str], list[Link]] = {}
    for link in links:
        if link.a in column and link.b in column and abs(column[link.a] - column[link.b]) > 1:
            a, b = sorted((link.a, link.b), key=lambda k: column[k])
            bunches.setdefault((a, b), []).append(link)
    return [
        Cell(f"lane {a} {b} {c}", c, 0.0, LANE * len(bunch), tuple(bunch))
        for (a, b), bunch in bunches.items()
        for c in range(column[a] + 1, column[b])
    ]


def _join(cells: Mapping[str, Cell], links: Sequence[Link], column: Mapping[str, int]) -> None:
    """Tell each cell its neighbours in other columns, lanes included; straight lanes weigh more."""
    for link in links:
        if link.a not in column or link.b not in column or column[link.a] == column[link.b]:
            continue
        a, b = sorted((link.a, link.b), key=lambda k: column[k])
        path = [a, *(f"lane {a} {b} {c}" for c in range(column[a] + 1, column[b])), b]
        if any(key not in cells for key in path):
            path = [a, b]
        for first, second in pairwise(path):
            weight = {0: 1.0, 1: 2.0, 2: 6.0}[cells[first].is_lane + cells[second].is_lane]
            cells[first].near.append((second, weight))
            cells[second].near.append((first, weight))


def _start(cells: list[Cell]) -> list[Cell]:
    """Order nodes with lanes and dots in their middle; a lone node in the middle of its lanes."""
    nodes = [c for c in cells if not c.is_lane and not c.key.startswith("w:")]
    others = [c for c in cells if c not in nodes]
    outer, inner = (others, nodes) if len(nodes) == 1 and len(others) > 1 else (nodes, others)
    half = (len(outer) + 1) // 2
    return outer[:half] + inner + outer[half:]


# -- order -----------------------------------------------------------------------------------------


def _turned(stacks: list[list[Cell]]) -> list[list[Cell]]:
    """Turn columns of one node and lanes upside down where that removes crossings; of equally good
    ways, take one that is symmetric."""
    loose = [n for n, stack in enumerate(stacks) if len(stack) - sum(c.is_lane for c in stack) == 1]
    loose = [n for n in loose if len(stacks[n]) > 1]
    if not 0 < len(loose) <= _FEW:
        return stacks
    ways = []
    for flips in product((False, True), repeat=len(loose)):
        turned = [list(stack) for stack in stacks]
        for n, flip in zip(loose, flips, strict=True):
            if flip:
                turned[n].reverse()
        ways.append((_crossings(turned), flips != flips[::-1], flips, turned))
    return min(ways, key=lambda way: way[:3])[3]


def _uncrossed(stacks: list[list[Cell]]) -> list[list[Cell]]:
    """Find the stacks with the fewest crossings in a few sweeps; the first ones win where equal."""
    best, fewest = stacks, _crossings(stacks)
    now = stacks
    for sweep in range(8):
        if fewest == 0:
            break
        now = _sweep(now, forward=sweep % 2 == 0)
        count = _crossings(now)
        if count < fewest:
            best, fewest = now, count
    if sum(len(s) for s in best) <= 120:
        best = _swapped(best)
    return best


def _positions(stacks: Sequence[Sequence[Cell]]) -> dict[str, float]:
    """Relative places: −½ … ½ within each column."""
    return {c.key: (n + 0.5) / len(stack) - 0.5 for stack in stacks for n, c in enumerate(stack)}


def _sweep(stacks: list[list[Cell]], *, forward: bool) -> list[list[Cell]]:
    """Sort each column by the mean place of the neighbours on one side."""
    out = [list(stack) for stack in stacks]
    numbers = range(len(out)) if forward else range(len(out) - 1, -1, -1)
    column = {c.key: c.column for stack in out for c in stack}
    for n in numbers:
        places = _positions(out)

        def mean(cell: Cell, n: int = n, places: dict[str, float] = places) -> float:
            before = [places[k] for k, _ in cell.near if (column[k] < n) == forward]
            return fsum(before) / len(before) if before else places[cell.key]

        out[n].sort(key=mean)
    return out


def _crossings(stacks: Sequence[Sequence[Cell]]) -> int:
    """Count all crossings."""
    place = {c.key: n for stack in stacks for n, c in enumerate(stack)}
    column = {c.key: c.column for stack in stacks for c in stack}
    return sum(_between(stack, place, column) for stack in stacks)


def _between(stack: Sequence[Cell], place: Mapping[str, int], column: Mapping[str, int]) -> int:
    """Count the crossings of links from a column to the next: inversions of their ends."""
    seen: list[int] = []
    count = 0
    for cell in stack:
        ends = sorted(place[k] for k, _ in cell.near if column[k] == cell.column + 1)
        count += sum(len(seen) - bisect_right(seen, end) for end in ends)
        for end in ends:
            insort(seen, end)
    return count


def _swapped(stacks: list[list[Cell]]) -> list[list[Cell]]:
    """Exchange neighbours wherever that removes crossings."""
    fewest = _crossings(stacks)
    better = True
    while better and fewest:
        better = False
        for stack in stacks:
            for n in range(len(stack) - 1):
                stack[n], stack[n + 1] = stack[n + 1], stack[n]
                count = _crossings(stacks)
                if count < fewest:
                    fewest, better = count, True
                else:
                    stack[n], stack[n + 1] = stack[n + 1], stack[n]
    return stacks


# -- heights ---------------------------------------------------------------------------------------


def _heights(stacks: list[list[Cell]], cells: Mapping[str, Cell], spread: float) -> None:
    """Choose heights: spread evenly, then drawn towards the neighbours."""
    for stack in stacks:
        gaps = _gaps(stack, spread)
        total = fsum(gaps)
        y = -total / 2
        for cell, gap in zip(stack, gaps, strict=True):
            y += gap
            cell.y = y
    for _ in range(40 if len(cells) < 150 else 16):
        wanted = {c.key: _wish(c, cells) for c in cells.values()}
        for stack in stacks:
            _set_heights(stack, [wanted[c.key] for c in stack], spread)


def _wish(cell: Cell, cells: Mapping[str, Cell]) -> float:
    """The mean of a cell's height and its neighbours'."""
    if not cell.near:
        return cell.y
    total = fsum(w for _, w in cell.near)
    mean = fsum(cells[k].y * w for k, w in cell.near) / total
    return 0.5 * (cell.y + mean)


def _gaps(stack: Sequence[Cell], spread: float) -> list[float]:
    """The least distance of each cell's centre from the centre above (0 for the first)."""
    gaps = [0.0]
    for above, below in pairwise(stack):
        nodes = 2 - above.is_lane - below.is_lane
        apart = {0: 0.0, 1: 7.0, 2: APART}[nodes] * spread
        gaps.append((above.height + below.height) / 2 + apart)
    return gaps[: len(stack)]


def _set_heights(stack: Sequence[Cell], wanted: Sequence[float], spread: float) -> None:
    """Choose the heights nearest to the wanted ones that keep the distances, by isotonic
    regression."""
    offset, offsets = 0.0, []
    for gap in _gaps(stack, spread):
        offset += gap
        offsets.append(offset)
    blocks: list[tuple[float, float, int]] = []  # mean, weight and number of cells
    for cell, want, shift in zip(stack, wanted, offsets, strict=True):
        weight = 1.0 + fsum(w for _, w in cell.near)
        blocks.append((want - shift, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (m1, w1, n1), (m2, w2, n2) = blocks[-2], blocks[-1]
            blocks[-2:] = [((m1 * w1 + m2 * w2) / (w1 + w2), w1 + w2, n1 + n2)]
    means = [m for m, _, n in blocks for _ in range(n)]
    for cell, mean, shift in zip(stack, means, offsets, strict=True):
        cell.y = mean + shift
