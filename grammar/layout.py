"""Lines to logical statements: where each begins and ends, and whose each comment is.

A statement begins at a line that is not indented more than the first statement of the file and does
not begin with an operator or a closing bracket; all other lines continue it. A comment block that
touches a statement from above belongs to it (what of it is documentation says `comments`), comments
beside or inside it are trailing, and a block that touches nothing stands for itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from diagrammar.grammar.comments import held

_CONTINUES: Final = frozenset(")]+-*/=,^<>:")
_BLANK: Final = " \t\r\f"
_CODE: Final = re.compile(r"""(?:[A-Za-z0-9_.]+'*|"[^"\n]*"|'[^'\n]*'|[^#])*+""")


@dataclass(slots=True)
class Chunk:
    """One logical statement, `text[start:stop]`, or a free-standing comment if not `code`."""

    start: int
    stop: int
    code: bool
    gap: bool
    doc: tuple[str, ...] = ()
    comments: list[str] = field(default_factory=list)

    @property
    def trailing(self) -> str | None:
        """The comments beside and inside the statement as one."""
        return " ".join(comment for comment in self.comments if comment) or None


@dataclass(slots=True)
class _Block:
    """Comment lines that follow each other."""

    start: int
    stop: int
    gap: bool
    lines: list[str]

    def chunk(self) -> Chunk:
        return Chunk(self.start, self.stop, code=False, gap=self.gap, doc=tuple(self.lines))


def cut(text: str) -> Iterator[Chunk]:
    """The logical statements and free-standing comments of a text, in order."""
    current: Chunk | None = None
    blocks: list[_Block] = []
    base, gap, start = -1, False, 0
    for number, line in enumerate(text.split("\n")):
        begin, start = start, start + len(line) + 1
        if number == 0 and line.startswith("\ufeff"):
            begin, line = 1, line[1:]
        bare = line.lstrip(_BLANK)
        if not bare or bare.isspace():
            gap = True
        elif bare[0] == "#":
            _note(blocks, begin, line, gap)
            gap = False
        else:
            indent = _width(line[: len(line) - len(bare)])
            if current is not None and (indent > base or bare[0] in _CONTINUES):
                for block in blocks:
                    current.comments.extend(map(str.strip, block.lines))
            else:
                if current is None:
                    base = indent
                else:
                    yield current
                doc = blocks.pop() if blocks and not gap else None
                yield from (block.chunk() for block in blocks)
                current = _begun(begin + len(line) - len(bare), doc, gap=gap)
            blocks, gap = [], False
            current.stop = begin + len(line)
            current.comments.extend(_beside(bare))
    if current is not None:
        yield current
    yield from (block.chunk() for block in blocks)


def _begun(start: int, doc: _Block | None, *, gap: bool) -> Chunk:
    """A statement that begins here, below its documentation if it has one."""
    if doc is None:
        return Chunk(start, start, code=True, gap=gap)
    return Chunk(start, start, code=True, gap=doc.gap, doc=tuple(doc.lines))


def _width(space: str) -> int:
    """How far a line is indented; tabs go to multiples of eight."""
    return len(space.expandtabs()) if "\t" in space else len(space)


def _note(blocks: list[_Block], begin: int, line: str, gap: bool) -> None:
    """Take up a comment line: it continues the last block unless a blank line stands between."""
    stop = begin + len(line.rstrip())
    comment = held(line.lstrip(_BLANK))
    if blocks and not gap:
        blocks[-1].lines.append(comment)
        blocks[-1].stop = stop
    else:
        start = begin + len(line) - len(line.lstrip(_BLANK))
        blocks.append(_Block(start, stop, gap, [comment]))


def _beside(line: str) -> list[str]:
    """The comment at the end of a line of code, if there is one."""
    if "#" not in line:
        return []
    code = _CODE.match(line)
    stop = code.end() if code else len(line)
    return [line[stop + 1 :].strip()] if stop < len(line) else []
