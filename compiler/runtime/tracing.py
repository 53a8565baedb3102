"""Whether PyTorch traces a call, asked without importing it.

Operands in a trace go to `traced`, with PyTorch 2.13 or newer; before, Dynamo traces what it finds,
which needs a plain call first and no symbols among the sizes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from diagrammar.backends.registry import Backend

LEAST = (2, 13)
"""The PyTorch whose Dynamo takes objects as operands of constant functions."""


def tracing(backend: Backend) -> Callable[[], bool]:
    """What says whether Dynamo traces a call. It is asked at each call, so it is PyTorch's own
    where that is loaded."""
    if not backend.tensors:
        return bool
    torch = sys.modules.get("torch")
    if torch is None:
        return is_tracing
    asked: Callable[[], bool] = torch.compiler.is_dynamo_compiling if _is_new(torch) else bool
    return asked


def is_tracing() -> bool:
    """Whether Dynamo traces this call."""
    import torch

    return _is_new(torch) and torch.compiler.is_dynamo_compiling()


def _is_new(torch: Any) -> bool:
    return tuple(map(int, torch.__version__.split(".")[:2])) >= LEAST


def is_symbolic(operands: Sequence[Any]) -> bool:
    """Whether sizes of tensors are symbols, as torch.export has them."""
    import torch

    sizes = (n for x in operands if isinstance(x, torch.Tensor) for n in x.shape)
    return _is_new(torch) and any(isinstance(n, torch.SymInt) for n in sizes)
