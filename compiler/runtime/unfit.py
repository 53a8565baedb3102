"""Why a call failed, in the caller's words: what operands are that no function can take.

Asked when a call has failed, and once for operands that meet constants, so that other calls pay
nothing for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import reduce
from typing import Any

from diagrammar.grammar.errors import Problem
from diagrammar.ir.diagram import Declared

_OF_DTYPES = re.compile(r"not implemented for|\bdtype\b|scalar type")
"""What torch says where it has no such operation for a dtype."""


def unfit(declared: Sequence[Declared], operands: Sequence[Any], backend: str) -> list[Problem]:
    """What is wrong with operands by itself: no tensors, layouts, dtypes and devices that do not go
    together. Nothing where the reason is another."""
    given = list(zip(declared, operands, strict=False))
    if backend != "torch":
        return []
    import torch

    problems = [_no_tensor(d.name, x) for d, x in given if not isinstance(x, torch.Tensor)]
    if problems:
        return problems
    problems = [
        Problem(
            f"operand '{d.name}' is {'sparse' if x.is_sparse else x.layout}, not dense",
            help=f"make it dense: {d.name}.to_dense()",
        )
        for d, x in given
        if x.layout is not torch.strided
    ]
    if problems:
        return problems
    drawn = {d.name for d in declared if d.keep is not None}
    plain = [(d.name, x) for d, x in given if d.name not in drawn]
    problems = [
        Problem(
            f"operand '{name}' is of bool, which nothing can be multiplied in",
            help=f"convert it: {name}.float()",
        )
        for name, x in plain
        if x.dtype == torch.bool
    ]
    return problems or _different(plain)


def of_integers(
    declared: Sequence[Declared], operands: Sequence[Any], error: Exception
) -> list[Problem]:
    """Operands of integers, where a call failed because of a dtype: library gradients and products
    with averages take none."""
    if not _OF_DTYPES.search(str(error)):
        return []
    return [
        Problem(
            f"operand '{d.name}' is of {str(x.dtype).removeprefix('torch.')}, which this function "
            "cannot be computed in",
            help=f"convert it: {d.name}.float()",
        )
        for d, x in zip(declared, operands, strict=False)
        if not (x.is_floating_point() or x.is_complex())
    ]


def _no_tensor(name: str, value: Any) -> Problem:
    kind = type(value).__name__
    if type(value).__module__ == "numpy":
        way = f"torch.from_numpy({name}) makes one; compile(backend='numpy') takes arrays"
        return Problem(f"operand '{name}' is a numpy {kind}, not a tensor", help=way)
    way = f"make one: torch.as_tensor({name})"
    return Problem(f"operand '{name}' is of type {kind}, not a tensor", help=way)


def _different(given: Sequence[tuple[str, Any]]) -> list[Problem]:
    """Operands of several dtypes or on several devices."""
    import torch

    problems = []
    dtypes = {name: x.dtype for name, x in given}
    if len(set(dtypes.values())) > 1:
        wide = reduce(torch.promote_types, dtypes.values())
        narrow = next(name for name, dtype in dtypes.items() if dtype != wide)
        shown = ", ".join(f"{n} {str(d).removeprefix('torch.')}" for n, d in dtypes.items())
        way = f"convert them: {narrow}.to({wide})"
        problems.append(Problem(f"operands have different dtypes: {shown}", help=way))
    devices = {name: str(x.device) for name, x in given}
    if len(set(devices.values())) > 1:
        first, *others = devices
        other = next(name for name in others if devices[name] != devices[first])
        shown = ", ".join(f"{n} {d}" for n, d in devices.items())
        way = f"move them: {other}.to({first}.device)"
        problems.append(Problem(f"operands are on different devices: {shown}", help=way))
    return problems
