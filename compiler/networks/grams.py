"""Gram matrices of a layer: inner products of examples' gradients, over all pairs of batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from diagrammar.layers.conv import Conv
    from diagrammar.networks.site import Site


@dataclass(frozen=True)
class Part:
    """A batch's part of a Gram matrix: the numbers of vectors and examples, inputs [N, …] and
    vectors [n, N, …]; none of a layer that was not called."""

    vectors: int
    examples: int
    x: Tensor | None = None
    S: Tensor | None = None


def gram(site: Site) -> Tensor:
    """Inner products of all examples' gradients: [v, n, v, n]."""
    from torch import cat

    most = max(part.x.ndim for part in site.grams if part.x is not None)
    return cat([cat([inner(site, a, b, most) for b in site.grams], 3) for a in site.grams], 1)


def inner(site: Site, first: Part, second: Part, ndim: int) -> Tensor:
    """Inner products of two batches' gradients: [v, n1, v, n2]; inputs have `ndim` axes."""
    if first.x is None or first.S is None or second.x is None or second.S is None:
        like = next(part.x for part in site.grams if part.x is not None)
        sides = (first.vectors, first.examples, second.vectors, second.examples)
        return like.new_zeros(sides)
    (x1, x2), (S1, S2) = (
        [lift(x, axis, most) for x in pair]
        for pair, axis, most in (
            ((first.x, second.x), 2, ndim), ((first.S, second.S), 3, ndim + 1),
        )
    )  # fmt: skip
    layer = site.layer_of(x1)
    if site.mask("weight") is None and site.mask("bias") is None:
        return layer.gram(x1, S1, x2, S2, bias=site.bias)
    from torch import einsum

    pairs = zip(gradients(site, layer, x1, S1), gradients(site, layer, x2, S2), strict=True)
    made, *others = (einsum("vnp,wmp->vnwm", a, b.conj()) for a, b in pairs)
    return sum(others, start=made)


def gradients(site: Site, layer: Conv, x: Tensor, S: Tensor) -> list[Tensor]:
    """Gradients of a pruned layer by its parameters, weight and bias: [v, n, p] each."""
    from torch import stack

    made = [layer.batch_grad(x, s, bias=True) for s in S]
    names = ("weight", "bias") if site.bias else ("weight",)
    found = []
    for at, name in enumerate(names):
        grads, mask = stack([g[at] for g in made]).flatten(2), site.mask(name)
        found.append(grads if mask is None else grads * mask.flatten())
    return found


def lift(x: Tensor, axis: int, ndim: int) -> Tensor:
    """A tensor with an axis for rows, where it has none."""
    return x if x.ndim == ndim else x.unsqueeze(axis)
