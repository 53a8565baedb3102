"""Vectors at a network's output whose outer products, summed, are a loss's Hessian there.

For an output f [b, …] and a target y, vectors v have f's shape; row n of each belongs to example n
alone. With the loss of *one example*, l_n = Σ for `reduction="sum"` and the mean over its own terms
for `reduction="mean"` (so that the loss is the mean of l_n), they are

- exact: Σ_v v[n] v[n]ᵀ = ∇² l_n, one vector for each entry of an output;
- mc: the same in expectation, gradients of l_n for labels drawn from the model's distribution;
- empirical: one vector, the gradient of l_n for the label that is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import sqrt
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

Vectors = Callable[["Tensor", "Tensor"], Iterator["Tensor"]]

KINDS = ("exact", "mc", "empirical")


def vectors_of(
    loss: nn.Module | Callable[[Tensor, Tensor], Tensor],
    kind: str = "exact",
    samples: int = 1,
    generator: Generator | None = None,
) -> Vectors:
    """The function (f, y) → vectors for MSELoss, CrossEntropyLoss (classes on axis 1, labels by
    number) and BCEWithLogitsLoss; of another function (f, y) → [n, *f.shape], that function.

    Raises TypeError for other losses, ValueError for options of theirs that are not handled.
    """
    from torch import nn

    if kind not in KINDS:
        raise ValueError(f"vectors must be one of {', '.join(KINDS)}, not {kind!r}")
    if samples < 1:
        raise ValueError(f"samples must be at least 1, not {samples}")
    match loss:
        case nn.MSELoss():
            found: Any = _Squared()
        case nn.CrossEntropyLoss():
            if loss.weight is not None or loss.label_smoothing:
                raise ValueError("CrossEntropyLoss with class weights or label smoothing")
            found = _Categorical()
        case nn.BCEWithLogitsLoss():
            if loss.weight is not None or loss.pos_weight is not None:
                raise ValueError("BCEWithLogitsLoss with weights")
            found = _Bernoulli()
        case nn.Module():
            raise TypeError(
                f"no vectors for {type(loss).__name__}; there are MSELoss, CrossEntropyLoss and "
                "BCEWithLogitsLoss, or give a function (f, y) → [n, *f.shape]"
            )
        case _ if callable(loss):
            return lambda f, y: iter(loss(f, y))
        case _:
            raise TypeError(f"a loss must be a torch.nn module or a function, not {loss!r}")
    if loss.reduction not in ("mean", "sum"):
        raise ValueError(f"reduction must be 'mean' or 'sum', not {loss.reduction!r}")
    mean = loss.reduction == "mean"

    def vectors(f: Tensor, y: Tensor) -> Iterator[Tensor]:
        f = f.detach()
        root = sqrt(1 / found.terms(f)) if mean else 1.0
        if kind == "exact":
            return (v * root for v in found.exact(f))
        if kind == "mc":
            scale = root / sqrt(samples)
            return (found.drawn(f, generator) * scale for _ in range(samples))
        return iter([found.gradient(f, y) * root**2])

    return vectors


def _units(f: Tensor) -> Iterator[Any]:
    """For each entry of an output, its index for all examples."""
    from itertools import product

    return product((slice(None),), *(range(n) for n in f.shape[1:]))


class _Squared:
    """Σ (f − y)²: ∇² = 2·1."""

    def terms(self, f: Tensor) -> int:
        return f[0].numel()

    def exact(self, f: Tensor) -> Iterator[Tensor]:
        for at in _units(f):
            v = f.new_zeros(f.shape)
            v[at] = sqrt(2)
            yield v

    def drawn(self, f: Tensor, generator: Generator | None) -> Tensor:
        from torch import randn

        return sqrt(2) * randn(f.shape, generator=generator, dtype=f.dtype, device=f.device)

    def gradient(self, f: Tensor, y: Tensor) -> Tensor:
        if y.shape != f.shape:
            raise ValueError(f"a target of shape {tuple(y.shape)} for outputs {tuple(f.shape)}")
        return 2 * (f - y)


class _Bernoulli(_Squared):
    """Binary cross-entropy of logits: ∇² = p·(1 − p) on the diagonal, p = σ(f)."""

    def exact(self, f: Tensor) -> Iterator[Tensor]:
        p = f.sigmoid()
        root = (p * (1 - p)).sqrt()
        for at in _units(f):
            v = f.new_zeros(f.shape)
            v[at] = root[at]
            yield v

    def drawn(self, f: Tensor, generator: Generator | None) -> Tensor:
        p = f.sigmoid()
        return p - p.bernoulli(generator=generator)

    def gradient(self, f: Tensor, y: Tensor) -> Tensor:
        return f.sigmoid() - y


class _Categorical:
    """Cross-entropy of logits f [b, c, *t]: ∇² = diag(p) − p pᵀ at each position t, with the root
    (diag(√p) − p √pᵀ)."""

    def terms(self, f: Tensor) -> int:
        return f[0, 0].numel()

    def exact(self, f: Tensor) -> Iterator[Tensor]:
        p = f.softmax(1)
        root = p.sqrt()
        for at in _units(f):
            here = (slice(None), slice(None), *at[2:])  # all classes at this position
            v = f.new_zeros(f.shape)
            v[here] = -p[here] * root[at][:, None]
            v[at] += root[at]
            yield v

    def drawn(self, f: Tensor, generator: Generator | None) -> Tensor:
        p = f.softmax(1).movedim(1, -1)
        labels = p.reshape(-1, p.shape[-1]).multinomial(1, generator=generator)
        return self.gradient(f, labels.reshape(p.shape[:-1]))

    def gradient(self, f: Tensor, y: Tensor) -> Tensor:
        from torch.nn.functional import one_hot

        if y.is_floating_point() or y.shape != f.shape[:1] + f.shape[2:]:
            raise ValueError(
                f"labels must be class numbers of shape {tuple(f.shape[:1] + f.shape[2:])}, not "
                f"{y.dtype} of shape {tuple(y.shape)}"
            )
        if bool((y < 0).any()):
            raise ValueError("labels must be class numbers from 0 on; ignored ones are not handled")
        return f.softmax(1) - one_hot(y, f.shape[1]).movedim(-1, 1).to(f.dtype)
