"""The operations of a program, one file a family."""

from __future__ import annotations

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
from diagrammar.program.operations.given import Indicator, Operand
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
from diagrammar.program.operations.rows import WindowGram, WindowSums
from diagrammar.program.operations.sums import Add, Cast, Scale, Sum
from diagrammar.program.operations.windows import Fold, Window

Operation = (
    Operand
    | Indicator
    | Reshape
    | Contiguous
    | Copy
    | Permute
    | Slice
    | Pad
    | Window
    | Fold
    | Diagonal
    | Flip
    | Dilate
    | Place
    | Gather
    | Scatter
    | Expand
    | Sum
    | Scale
    | Cast
    | Add
    | Concat
    | Stack
    | Blocks
    | Einsum
    | Masked
    | Finite
    | Marked
    | Spoiled
    | Gram
    | WindowSums
    | WindowGram
    | Convolution
    | TransposedConvolution
    | WeightGradient
)
