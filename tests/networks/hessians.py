"""Hessians and gradients of losses, example by example, by autograd and torch.func."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

C = 4  # classes


def examples_of(f: Tensor, y: Any, rows: int) -> Iterator[tuple[Tensor, Any]]:
    for n in range(0, len(f), rows):
        yield f[n : n + rows], y[n : n + rows]


def hessians(loss: Any, f: Tensor, y: Any, rows: int = 1) -> list[Tensor]:
    """∇² of the loss of each example as a batch of one."""
    found = []
    for one, target in examples_of(f, y, rows):
        H = torch.autograd.functional.hessian(lambda t, y=target: loss(t, y).sum(), one)
        found.append(H.reshape(one.numel(), one.numel()))
    return found


def products(vectors: Iterator[Tensor], rows: int = 1) -> list[Tensor]:
    """Σ v vᵀ for each example."""
    stack = torch.stack(list(vectors))
    parts = stack.split(rows, 1)
    return [torch.einsum("vp,vq->pq", v.flatten(1), v.flatten(1)) for v in parts]


def gradients(loss: Any, f: Tensor, y: Any, rows: int = 1) -> list[Tensor]:
    return [
        torch.func.grad(lambda t, y=target: loss(t, y).sum())(one)
        for one, target in examples_of(f, y, rows)
    ]


def close(ours: list[Tensor], theirs: list[Tensor], rtol: float = 1e-10) -> bool:
    pairs = zip(ours, theirs, strict=True)
    return all(torch.allclose(a, b, rtol=rtol, atol=rtol * float(b.abs().max())) for a, b in pairs)
