"""What every operation says of itself, where it is not what most say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

Sizes = Sequence[int]
"""A shape in numbers: a program's own, or typical ones where it leaves some open."""


class Base:
    """Counted facts of an operation. Methods take the shapes of its inputs, in their order, and
    that of its result."""

    __slots__ = ()

    law: ClassVar[str] = ""
    """The sentence of a printed plan that says why the step is right."""

    def multiplications(self, inputs: Sequence[Sizes], result: Sizes) -> int:
        """Multiplications of numbers; none for what only moves or adds."""
        return 0

    def workspace(self, inputs: Sequence[Sizes], result: Sizes) -> int:
        """Entries that the emitted helper holds at its peak beside operands and result."""
        return 0
