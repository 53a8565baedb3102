"""Comments as the syntax tree holds them, and which of them are documentation.

A comment is documentation where it says so: a block of lines that begin with `#:` and touches a
definition from above. The tree has a line without its `#` and one space; one of documentation keeps
its colon, and where another comment begins with a colon a space stays before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diagrammar.grammar.syntax import Statement

MARK = ":"


def held(comment: str) -> str:
    """A comment line, from its `#` on, as the tree holds it."""
    text = comment[1:].rstrip()
    bare = text.removeprefix(" ")
    return text if bare.startswith(MARK) else bare


def written(lines: Iterable[str]) -> list[str]:
    """Lines of the tree as a text has them."""
    return [f"#{line}" if line.startswith(MARK) else f"# {line}".rstrip() for line in lines]


def documentation(statement: Statement) -> str:
    """What a statement's documentation says; nothing where its comments are remarks."""
    lines = [line.removeprefix(MARK) for line in statement.doc if line.startswith(MARK)]
    return "\n".join(line.removeprefix(" ") for line in lines)


def documenting(text: str) -> tuple[str, ...]:
    """A text as the lines of a documentation in the tree."""
    return tuple(f"{MARK} {line}".rstrip() for line in text.split("\n")) if text else ()
