"""Fresh names for wires and operands, the same on every run."""

from __future__ import annotations

from collections.abc import Container, Mapping
from itertools import count

from diagrammar.ir.scalar import Dim


def primed(name: str, taken: Container[str]) -> str:
    """The name with as many primes as make it free."""
    while name in taken:
        name += "'"
    return name


def suffixed(name: str, suffix: str) -> str:
    """A longer name; primes stay behind, and the member of a pack stays one: `i.0'` and `_1` make
    `i_1.0'`."""
    bare = name.rstrip("'")
    stem, dot, number = bare.partition(".")
    return f"{stem}{suffix}{dot}{number}{name[len(bare) :]}"


def fresh_wire(name: str, extent: Dim, taken: Mapping[str, Dim]) -> str:
    """A free name for a wire of the given size: primes where the base name has that size, else a
    number.

    Wires of one base name have one size in the language, so `i'` may only stand for a wire of i's
    size.
    """
    stem = name.rstrip("'")
    sizes = {w.rstrip("'"): s for w, s in taken.items()}
    for number in count():
        candidate = stem if number == 0 else suffixed(stem, f"_{number}")
        if candidate not in sizes:
            return candidate if number else primed(name, taken)
        if sizes[candidate] == extent:
            return primed(candidate, taken)
    raise AssertionError("unreachable")
