"""Pictures for the terminal, in box drawing characters.

Round boxes are operands (heavy: constants), square ones index relations (dashed: windows and
masks), double ones were changed by the step; ● is a copy or a delta, ○ a sum or a broadcast, ┼ only
a crossing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

from diagrammar.draw.canvas import Canvas, Cell
from diagrammar.draw.picture import Node, Picture
from diagrammar.draw.scenes import Scene
from diagrammar.draw.shapes import Knot
from diagrammar.draw.tags import Tag

_COLUMN, _ROW = 7.0, 10.0
"""Width and height of a character cell, in px of the layout."""
_STYLES = {
    "operand": "╭╮╯╰─│",
    "constant": "┏┓┛┗━┃",
    "window": "┌┐┘└╌╎",
    "touched": "╔╗╝╚═║",
}
_PLAIN = "┌┐┘└─│"


def picture_text(picture: Picture) -> str:
    """Write one picture as lines of text."""
    return str(_Terminal(picture).draw())


def film_text(shown: Sequence[Scene]) -> str:
    """Write several steps below each other, each under its law."""
    parts = []
    for scene in shown:
        head = [scene.title, f"   {scene.because}"] if scene.because else [scene.title]
        parts.append("\n".join([*head, "", picture_text(scene.picture)]))
    return "\n\n".join(parts)


class _Terminal:
    """Draws one picture."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.canvas = Canvas()
        self.dots = {_cell(mark.x, mark.y) for mark in picture.marks if mark.kind == "copy"}

    def draw(self) -> Canvas:
        """Draw wires first, then nodes, bundles, dots and names over them."""
        nodes = [node for node in self.picture.nodes if not node.gone]
        self._wires()
        for node in nodes:
            self._node(node)
        for bundle in self.picture.bundles:
            column, bar = _column(bundle.bar.x), bundle.bar
            rows = range(_row(bar.top + 2), _row(bar.bottom - 2) + 1)
            outer, row = _column(bundle.outer), (rows[0] + rows[-1]) // 2
            for r in rows:
                self.canvas.write(column, r, "┃")
            left = min(column, outer)
            self.canvas.write(left, row, "━" * abs(outer - column))
            self.canvas.write(column, row, "┣" if outer > column else "┫")
        for mark in self.picture.marks:
            self.canvas.write(_column(mark.x), _row(mark.y), "●" if mark.kind == "copy" else "○")
        for tag in self.picture.tags:
            if tag.kind != "wire":
                self._tag(tag)
        names: dict[str, list[Tag]] = {}
        for tag in self.picture.tags:
            if tag.kind == "wire":
                names.setdefault(tag.wire, []).append(tag)
        for number, wire in enumerate(self.picture.wires):
            if names.get(wire.name):
                self._name(number, names[wire.name].pop(0))
        return self.canvas

    # -- wires -------------------------------------------------------------------------------------

    def _wires(self) -> None:
        """Draw wires; stretches with a single way come first, so that the others keep clear of
        them."""
        stretches = [
            (number, _paths(a, b, self.dots))
            for number, wire in enumerate(self.picture.wires)
            for knots in wire.knots
            for a, b in pairwise(knots)
        ]
        for number, paths in sorted(stretches, key=lambda stretch: len(stretch[1])):
            clashes = [self.canvas.clashes(path, number) for path in paths]
            self.canvas.run(paths[clashes.index(min(clashes))], number)

    def _name(self, number: int, tag: Tag) -> None:
        """Write a wire's name into the wire where a stretch is long enough, else beside it."""
        text = f"{tag.text} {tag.small}".rstrip()
        for run in self.canvas.own_runs(number):
            if len(run) >= len(text) + 2:
                column, row = run[(len(run) - len(text)) // 2]
                self.canvas.write(column, row, text)
                return
            break
        near = _column(tag.box.left), _row(tag.box.centre[1])
        spots = [
            (column + dc, row + dr)
            for column, row in self.canvas.cells_of(number)
            for dc, dr in ((0, -1), (0, 1), (1, 0), (-len(text), 0))
        ]
        free = [spot for spot in spots if self.canvas.free(*spot, len(text))]
        if free:
            column, row = min(
                free, key=lambda s: (abs(s[0] - near[0]) + 2 * abs(s[1] - near[1]), s)
            )
            self.canvas.write(column, row, text)

    # -- what they join ----------------------------------------------------------------------------

    def _node(self, node: Node) -> None:
        """Draw a box with its lines, or a dot for a delta."""
        if node.caption.kind == "delta":
            self.canvas.write(*(_cell(*node.box.centre)), "◆" if node.touched else "●")
            return
        lines = node.caption.lines
        if node.caption.kind == "constant":
            lines = (*lines, "constant")
        middle = _row(node.box.centre[1])
        top = min(_row(node.box.top), middle - 1)
        bottom = max(_row(node.box.bottom), middle + (1 if len(lines) < 2 else 2))
        left, right = _column(node.box.left), _column(node.box.right)
        need = max(len(line) for line in lines) + 1
        while right - left < need:
            left, right = (left - 1, right) if (right - left) % 2 else (left, right + 1)
        style = _STYLES["touched"] if node.touched else _STYLES.get(node.caption.kind, _PLAIN)
        self.canvas.frame(left, top, right, bottom, style)
        first = (top + bottom + 1 - len(lines)) // 2
        for n, line in enumerate(lines):
            self.canvas.write((left + right + 1 - len(line)) // 2, first + n, line)

    def _tag(self, tag: Tag) -> None:
        """Write a name, moved aside by up to three characters where others are in the way."""
        text = f"{tag.text} {tag.small}".rstrip()
        x, y = tag.box.centre
        column = round(x / _COLUMN - (len(text) - 1) / 2)
        row = _row(y)
        for dc in (0, 1, -1, 2, -2, 3, -3):
            if self.canvas.free(column + dc, row, len(text)):
                column += dc
                break
        self.canvas.write(column, row, text)


def _paths(a: Knot, b: Knot, dots: Collection[Cell]) -> list[list[Cell]]:
    """Ways between two knots at right angles: with one corner, or with two and the middle piece
    anywhere between. At a dot wires may leave in any direction."""
    start, end = _cell(a.x, a.y), _cell(b.x, b.y)
    (c0, r0), (c1, r1) = start, end
    if a.flow != b.flow:
        return [[start, (c1, r0) if a.flow == "h" else (c0, r1), end]]
    if (r0 == r1) if a.flow == "h" else (c0 == c1):
        return [[start, end]]
    low, high = sorted((c0, c1) if a.flow == "h" else (r0, r1))
    middle = (low + high) // 2
    between = sorted(range(low + 1, high) or (middle,), key=lambda n: abs(n - middle))
    if a.flow == "h":
        corners = [cell[0] for cell in (start, end) if cell in dots]
        return [[start, (n, r0), (n, r1), end] for n in corners + between]
    return [[start, (c0, n), (c1, n), end] for n in between]


def _cell(x: float, y: float) -> Cell:
    return _column(x), _row(y)


def _column(x: float) -> int:
    return round(x / _COLUMN)


def _row(y: float) -> int:
    return round(y / _ROW)
