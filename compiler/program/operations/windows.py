"""Sliding windows, and their transpose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from diagrammar.ir.scalar import Dim
from diagrammar.program.operations.unary import Unary


@dataclass(frozen=True, slots=True)
class Window(Unary):
    """Sliding windows along `axis`: result[…, o, …, k] = x[…, stride·o + dilation·k, …].

    `axis` becomes o, with `count` windows; a new last axis k has `size` entries. A view where the
    backend has them. The last entry touched must exist: stride·(count−1) + dilation·(size−1) <
    x.shape[axis].
    """

    law: ClassVar[str] = "windows: a view; nothing of the pattern is stored"

    axis: int
    count: Dim
    size: Dim
    stride: Dim = 1
    dilation: Dim = 1


@dataclass(frozen=True, slots=True)
class Fold(Unary):
    """The transpose of padding and windows: result[…, i] = Σ x[…, o, k] over i = stride·o +
    dilation·k − padding.

    Axes `windows` (o) and `entries` (k) go, a new last axis i of `size` comes; what falls outside
    is dropped.
    """

    law: ClassVar[str] = "fold: windows are added back to the rows that they came from"

    windows: int
    entries: int
    size: Dim
    stride: Dim = 1
    dilation: Dim = 1
    padding: Dim = 0
