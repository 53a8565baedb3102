"""A sheet of characters on which wires run at right angles.

A cell knows in which of four directions lines leave it, and to which wire they belong: two wires
may cross in a cell, but not run along each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

Cell = tuple[int, int]
"""Column and row."""

LEFT, RIGHT, UP, DOWN = 1, 2, 4, 8
_LINES = {
    LEFT: "─", RIGHT: "─", UP: "│", DOWN: "│", LEFT | RIGHT: "─", UP | DOWN: "│",
    RIGHT | DOWN: "╭", LEFT | DOWN: "╮", RIGHT | UP: "╰", LEFT | UP: "╯",
    LEFT | RIGHT | DOWN: "┬", LEFT | RIGHT | UP: "┴", UP | DOWN | RIGHT: "├", UP | DOWN | LEFT: "┤",
}  # fmt: skip


class Canvas:
    """Lines, and texts that cover them."""

    def __init__(self) -> None:
        self._lines: dict[Cell, dict[int, int]] = {}
        self._over: dict[Cell, str] = {}

    # -- lines -------------------------------------------------------------------------------------

    def clashes(self, path: Sequence[Cell], owner: int) -> int:
        """The cost of running a wire along a path: 20 for each cell along another wire or under a
        text, 1 for each crossing."""
        count = 0
        for cell, mask in _masks(path):
            for other, theirs in self._lines.get(cell, {}).items():
                if other == owner:
                    continue
                straight = mask in (LEFT | RIGHT, UP | DOWN) and theirs in (LEFT | RIGHT, UP | DOWN)
                count += 1 if straight and mask != theirs else 20
            count += 20 if cell in self._over else 0
        return count

    def run(self, path: Sequence[Cell], owner: int) -> None:
        """Draw a wire through cells, corner to corner."""
        for cell, mask in _masks(path):
            lines = self._lines.setdefault(cell, {})
            lines[owner] = lines.get(owner, 0) | mask

    def own_runs(self, owner: int) -> Iterator[list[Cell]]:
        """Yield the horizontal stretches that belong to one wire alone, the longest first."""
        cells = sorted(
            (row, column)
            for (column, row), lines in self._lines.items()
            if lines == {owner: LEFT | RIGHT} and (column, row) not in self._over
        )
        runs: list[list[Cell]] = []
        for row, column in cells:
            if runs and runs[-1][-1] == (column - 1, row):
                runs[-1].append((column, row))
            else:
                runs.append([(column, row)])
        yield from sorted(runs, key=lambda run: -len(run))

    def cells_of(self, owner: int) -> list[Cell]:
        """All cells of one wire, from the top and left."""
        return sorted(
            (c for c, lines in self._lines.items() if owner in lines), key=lambda c: c[::-1]
        )

    # -- what stands over them ---------------------------------------------------------------------

    def free(self, column: int, row: int, length: int) -> bool:
        """Whether a text and the cells beside it would cover nothing."""
        inside = all(
            (c, row) not in self._over and (c, row) not in self._lines
            for c in range(column, column + length)
        )
        return (
            inside
            and (column - 1, row) not in self._over
            and (column + length, row) not in self._over
        )

    def write(self, column: int, row: int, text: str) -> None:
        """Write a text over lines and other texts."""
        for n, character in enumerate(text):
            self._over[column + n, row] = character

    def frame(self, left: int, top: int, right: int, bottom: int, style: str) -> None:
        """Draw a box; `style` has its corners (clockwise), horizontal and vertical line."""
        for row in range(top, bottom + 1):
            self.write(left, row, " " * (right - left + 1))
        self.write(left, top, style[0] + style[4] * (right - left - 1) + style[1])
        self.write(left, bottom, style[3] + style[4] * (right - left - 1) + style[2])
        for row in range(top + 1, bottom):
            self.write(left, row, style[5])
            self.write(right, row, style[5])

    def __str__(self) -> str:
        signs = {cell: _sign(lines.values()) for cell, lines in self._lines.items()} | self._over
        if not signs:
            return ""
        left, top = min(c for c, _ in signs), min(r for _, r in signs)
        right, bottom = max(c for c, _ in signs), max(r for _, r in signs)
        rows = [
            "".join(signs.get((c, r), " ") for c in range(left, right + 1)).rstrip()
            for r in range(top, bottom + 1)
        ]
        return "\n".join(rows)


def _sign(masks: Iterable[int]) -> str:
    directions = list(masks)
    if len(directions) == 1:
        return _LINES.get(directions[0], "●" if directions[0] else " ")
    return "┼"


def _masks(path: Sequence[Cell]) -> Iterator[tuple[Cell, int]]:
    """Yield every cell of a path given by its corners, with the directions in which the path leaves
    the cell."""
    cells: list[Cell] = [path[0]]
    for (c0, r0), (c1, r1) in pairwise(path):
        steps = max(abs(c1 - c0), abs(r1 - r0))
        dc, dr = _sign_of(c1 - c0), _sign_of(r1 - r0)
        cells += [(c0 + n * dc, r0 + n * dr) for n in range(1, steps + 1)]
    for n, cell in enumerate(cells):
        mask = 0
        for other in (cells[n - 1] if n else None, cells[n + 1] if n + 1 < len(cells) else None):
            if other is not None:
                mask |= _direction(cell, other)
        yield cell, mask


def _sign_of(number: int) -> int:
    return (number > 0) - (number < 0)


def _direction(start: Cell, end: Cell) -> int:
    if end[0] != start[0]:
        return RIGHT if end[0] > start[0] else LEFT
    return DOWN if end[1] > start[1] else UP if end[1] < start[1] else 0
