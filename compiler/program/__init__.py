"""The linear program of target operations: what a plan becomes and all that a backend sees.

A program is a list of steps in single-assignment form. Step n computes value n from earlier values.
Sizes are integers or, in a shape-generic program, sympy expressions over the symbols that
`Program.sizes` binds; numpy's conventions hold throughout (axes count from zero, no negative axes).
Nothing here knows diagrams, and no operation here is specific to one backend.
"""

from __future__ import annotations

from diagrammar.ir.scalar import Dim
from diagrammar.program.operations import OPERATIONS, Operation
from diagrammar.program.operations.axes import (
    Contiguous,
    Copy,
    Diagonal,
    Expand,
    Flip,
    Permute,
    Reshape,
)
from diagrammar.program.operations.convolutions import (
    Convolution,
    TransposedConvolution,
    WeightGradient,
)
from diagrammar.program.operations.given import Indicator, LinearCondition, Operand
from diagrammar.program.operations.marks import Finite, Marked, Spoiled
from diagrammar.program.operations.pieces import (
    Blocks,
    Concat,
    Dilate,
    Gather,
    Pad,
    Place,
    Scatter,
    Slice,
    Stack,
)
from diagrammar.program.operations.products import Einsum, Gram, Masked
from diagrammar.program.operations.rows import Stretches, WindowGram, WindowSums
from diagrammar.program.operations.sums import Add, Cast, Scale, Sum
from diagrammar.program.operations.windows import Fold, Window
from diagrammar.program.program import Cut, Parameter, Program, SizeBinding, SizeCheck, SizeLimit
from diagrammar.program.step import CONSTANT, Origin, Step, reread

__all__ = [
    "CONSTANT",
    "OPERATIONS",
    "Add",
    "Blocks",
    "Cast",
    "Concat",
    "Contiguous",
    "Convolution",
    "Copy",
    "Cut",
    "Diagonal",
    "Dilate",
    "Dim",
    "Einsum",
    "Expand",
    "Finite",
    "Flip",
    "Fold",
    "Gather",
    "Gram",
    "Indicator",
    "LinearCondition",
    "Marked",
    "Masked",
    "Operand",
    "Operation",
    "Origin",
    "Pad",
    "Parameter",
    "Permute",
    "Place",
    "Program",
    "Reshape",
    "Scale",
    "Scatter",
    "SizeBinding",
    "SizeCheck",
    "SizeLimit",
    "Slice",
    "Spoiled",
    "Stack",
    "Step",
    "Stretches",
    "Sum",
    "TransposedConvolution",
    "WeightGradient",
    "Window",
    "WindowGram",
    "WindowSums",
    "reread",
]
