"""What is declared of constant matrices, in numbers: whether values obey it, random ones that do.

    constant E[a, b] = identity          E = 1
    constant Q[u, h] = orthogonal        Q Qᵀ = Qᵀ Q = 1, without conjugation

An axis may be a group of wires; the matrix is then one over whole axes. What follows for diagrams
is in `rules.constants`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from diagrammar.grammar.errors import Problem
from diagrammar.ir.diagram import Declared

Array = np.ndarray[Any, np.dtype[Any]]


def contradiction(name: str, kind: str, values: Any) -> Problem | None:
    """What is wrong with the values of a constant [n, n] that is declared so; None if nothing is.

    Values are an array or a tensor of any kind. An identity is exact; orthogonal is meant up to the
    square root of the precision of the values' type.
    """
    found = _as_numbers(values) if kind else None
    if found is None:
        return None
    matrix, precision = found
    if matrix.ndim != 2 or len(set(matrix.shape)) > 1:
        return None  # a wrong shape is told by whoever knows the sizes
    if kind == "identity":
        product, what, most = matrix, "it", 0.0
    else:
        product, what, most = matrix @ matrix.T, f"{name} {name}ᵀ", precision**0.5
    away = float(np.abs(product - np.eye(len(matrix))).max(initial=0.0))
    if away <= most:
        return None
    message = f"constant '{name}' is declared {kind}, but {what} is up to {away:.2g} away from 1"
    return Problem(message, help=f"give another value, or leave '= {kind}' out of the file")


def contradictions(declared: Iterable[Declared], values: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with given values of operands of which something is declared."""
    found = (
        contradiction(o.name, o.kind, values[o.name])
        for o in declared
        if o.kind and o.name in values
    )
    return [problem for problem in found if problem is not None]


def drawn(kind: str, extent: int, random: np.random.Generator, *, whole: bool = False) -> Array:
    """A random [n, n] of that kind, in float64; `whole` asks for integer entries.

    A whole orthogonal matrix is a permutation with signs.
    """
    if kind == "identity":
        return np.eye(extent)
    if whole:
        signs = random.choice((-1.0, 1.0), extent)
        return signs[:, None] * np.eye(extent)[random.permutation(extent)]
    q: Array = np.linalg.qr(random.standard_normal((extent, extent)))[0]
    return q


def _as_numbers(values: Any) -> tuple[Array, float] | None:
    """Values in double precision, and the precision of their type (0 for integers); None for what
    has no values, such as a tensor that is being traced."""
    if hasattr(values, "detach"):  # a tensor, whatever its device and type
        import torch

        if torch.compiler.is_compiling() or values.is_meta:
            return None
        exact = not (values.is_floating_point() or values.is_complex())
        precision = 0.0 if exact else torch.finfo(values.dtype).eps
        wide = torch.complex128 if values.is_complex() else torch.float64
        try:
            return values.detach().cpu().to(wide).numpy(), precision
        except RuntimeError:  # inside vmap and its like
            return None
    array = np.asarray(values)
    inexact = array.dtype.kind in "fc"
    return array, float(np.finfo(array.dtype).eps) if inexact else 0.0
