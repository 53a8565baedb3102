"""Python expressions as text that knows how tightly it binds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SUM, PRODUCT, ATOM = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Code:
    """An expression: its text, how tightly it binds, and how many methods are chained at its end.

    `word` names the value, where the operation knows a word.
    """

    text: str
    level: int = ATOM
    links: int = 0
    word: str = ""

    def __str__(self) -> str:
        return self.atom

    @property
    def atom(self) -> str:
        """The text, in parentheses unless a method may follow it."""
        return self.at(ATOM)

    def at(self, level: int) -> str:
        """The text, in parentheses unless it binds at least as tightly as `level`."""
        return self.text if self.level >= level else f"({self.text})"

    def method(self, name: str, *arguments: str) -> Code:
        """Call a method of the value."""
        return Code(f"{self.atom}.{name}({', '.join(arguments)})", ATOM, self.links + 1)

    def indexed(self, parts: Sequence[str]) -> Code:
        """Index the value, one part for each axis; trailing `:` are left out, leading ones become
        `...`."""
        parts = list(parts)
        first = next((n for n, part in enumerate(parts) if part != ":"), len(parts))
        if first > 1 and parts[-1] != ":":
            parts[:first] = ["..."]
        while parts and parts[-1] == ":":
            parts.pop()
        if not parts:
            return self
        return Code(f"{self.atom}[{', '.join(parts)}]", ATOM, self.links + 1)


def call(function: str, *arguments: str) -> Code:
    """Call a function of values."""
    return Code(f"{function}({', '.join(arguments)})")
