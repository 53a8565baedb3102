"""What every operation says of itself, where it is not what most say; and all operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, TypeVar

from diagrammar.ir.scalar import Dim
from diagrammar.program.operations.nan import Known, Reach, worst_reach, worst_zeros
from diagrammar.program.operations.placed import Numbers, Placed, row_major
from diagrammar.program.operations.sharing import Overlap
from diagrammar.program.operations.work import VIEW, Library, Work, moved

Sizes = Sequence[int]
"""A shape in numbers: a program's own, or typical ones where it leaves some open."""
Shape = Sequence[Dim]
"""A shape that may have symbols."""


class Role(Enum):
    """What an operation does with entries."""

    OPERAND = "takes what is given"
    PATTERN = "makes 0/1 tensors from sizes"
    MOVE = "puts them elsewhere, among zeros or into another dtype; adds nothing"
    EACH = "makes one of each"
    SUM = "adds them"
    PRODUCT = "multiplies and adds them"
    CALL = "calls a library's convolution"


@dataclass(frozen=True, slots=True)
class Base:
    """An operation: its fields say what it computes, its methods are facts about that.

    The fields `x`, `weight`, `cotangent`, `bias`, `like` and `values` number earlier values; no
    other field does. Methods take what is known of those in `reads`, in their order,
    and the shape of the result.
    """

    law: ClassVar[str] = ""
    """The sentence of a printed plan that says why the step is right."""
    words: ClassVar[str] = ""
    """Its name in pictures; without one that of the class."""
    role: ClassVar[Role] = Role.EACH

    @property
    def inputs(self) -> tuple[int, ...]:
        """The earlier values that it takes."""
        return ()

    @property
    def reads(self) -> tuple[int, ...]:
        """Those of the inputs whose entries it takes, and not the dtype alone."""
        return self.inputs

    @property
    def title(self) -> str:
        """Its name in pictures."""
        return self.words or type(self).__name__.lower()

    @property
    def calls(self) -> float:
        """Calls that its emitted code makes at the least, in the time of one that adds two numbers
        (measured on operands of some entries; Xeon of 2023, one thread)."""
        return 1

    def multiplications(self, inputs: Sequence[Sizes], result: Sizes) -> int:
        """Multiplications of numbers; none for what only moves or adds."""
        return 0

    def work(self, inputs: Sequence[Placed], result: Placed, library: Library) -> Work:
        """What is counted as its cost. A view costs a call; all else reads its inputs and writes
        the result, in order where all of them lie so."""
        if not result.copied:
            return VIEW
        scattered = any(not x.contiguous for x in inputs)
        read = sum(x.entries for x in inputs)
        moving = moved(read, result.entries, library, scattered=scattered)
        return moving._replace(calls=self.calls)

    def workspace(self, inputs: Sequence[Sizes], result: Sizes) -> int:
        """Entries that the emitted helper holds at its peak beside operands and result."""
        return 0

    def scratch(self, inputs: Sequence[Placed], result: Sizes, itemsize: int) -> int:
        """Entries of `itemsize` bytes that PyTorch allocates for itself meanwhile, at most."""
        return 0

    def strides(self, inputs: Sequence[Placed], result: Numbers) -> Numbers | None:
        """The strides of the result as a view of the first input; None where it is written."""
        return None

    def written(self, result: Numbers) -> Numbers:
        """The strides of the result where it is written."""
        return row_major(result)

    def shares(self, overlap: Overlap, inputs: Sequence[Shape], result: Shape) -> Overlap | None:
        """The overlap of the result's entries, where it may lie in the memory of the first input,
        whose entries have `overlap`; None where it has memory of its own."""
        return None

    def is_given(self, inputs: Sequence[bool]) -> bool:
        """Whether an operand is in the result, from whether one is in each input."""
        return any(inputs)

    def zeros(self, inputs: Sequence[Known], shapes: Sequence[Shape], result: Shape) -> Reach:
        """The worst zeros of the result that stand for no term."""
        return worst_zeros(inputs)

    def reach(self, inputs: Sequence[Known], shapes: Sequence[Shape], result: Shape) -> Reach:
        """What a NaN in an operand may reach in the result."""
        return worst_reach(inputs)

    def covers(
        self, inputs: Sequence[Known], result: Shape
    ) -> Callable[[Sequence[int]], bool] | None:
        """For a pattern: whether it has no zero once some axes are summed."""
        return None


Kind = TypeVar("Kind", bound=type[Base])


@dataclass(frozen=True, slots=True)
class Example:
    """An operation on small values: the shapes of its inputs, and that of its result."""

    operation: Base
    inputs: tuple[tuple[int, ...], ...]
    result: tuple[int, ...]


OPERATIONS: dict[type[Base], tuple[Example, ...]] = {}
"""All operations, with examples."""


def operation(
    inputs: Sequence[tuple[int, ...]], result: tuple[int, ...], **values: Any
) -> Callable[[Kind], Kind]:
    """Registers an operation with an example: the shapes of its inputs, that of its result, and its
    fields. Given several times, it has several examples."""

    def decorated(kind: Kind) -> Kind:
        example = Example(kind(**values), tuple(inputs), result)
        OPERATIONS[kind] = (example, *OPERATIONS.get(kind, ()))
        return kind

    return decorated
