"""Checks of operands' sizes, which raise ValueError in the words of the definition."""

from __future__ import annotations

from torch import Tensor


def _check_axes(x: Tensor, name: str, axes: tuple[str, ...]) -> None:
    """Raise ValueError unless x has as many axes."""
    if x.ndim != len(axes):
        expected = f"{len(axes)} ({', '.join(axes)})" if axes else "none"
        raise ValueError(f"{name}: has {x.ndim} axes, expected {expected}")


def _check(x: Tensor, name: str, axes: tuple[str, ...], sizes: tuple[int | None, ...]) -> None:
    """Raise ValueError unless the axes of x have these sizes (None: any)."""
    _check_axes(x, name, axes)
    for axis, (wires, expected) in enumerate(zip(axes, sizes, strict=True)):
        if expected is not None and x.shape[axis] != expected:
            where = f"{name}: axis {axis} ({wires})"
            raise ValueError(f"{where} has size {x.shape[axis]}, expected {expected}")
