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
    """One batch of a Gram matrix: numbers of vectors and examples, inputs [N, …] and vectors [n, N,
    …], which are None for a layer that was not called."""

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
    """Inner products of two batches' gradients: [v, n1, v, n2]; inputs are lifted to `ndim`
    axes."""
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
    first_products, *others = (einsum("vnp,wmp->vnwm", a, b.conj()) for a, b in pairs)
    return sum(others, start=first_products)


def gradients(site: Site, layer: Conv, x: Tensor, S: Tensor) -> list[Tensor]:
    """Gradients of a pruned layer by its parameters, weight and bias: [v, n, p] each."""
    from torch import stack

    pairs = [layer.batch_grad(x, s, bias=True) for s in S]
    names = ("weight", "bias") if site.bias else ("weight",)
    results = []
    for number, name in enumerate(names):
        grads, mask = stack([g[number] for g in pairs]).flatten(2), site.mask(name)
        results.append(grads if mask is None else grads * mask.flatten())
    return results


def lift(x: Tensor, axis: int, ndim: int) -> Tensor:
    """Give a tensor an axis for rows, where it has none."""
    return x if x.ndim == ndim else x.unsqueeze(axis)
