"""Losses without a formula: a function of outputs and targets, differentiated by autograd.

The Hessian of one example's loss by the output takes one backward pass for each output entry, for
all examples together. Vectors are its eigenvectors times the square roots of its eigenvalues.
Vectors that a function gives itself are not checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from diagrammar.networks.loss_calls import (
    call,
    check_outputs,
    couples,
    derivative,
    described,
    each_alone,
    gradient,
    is_numbers,
    name_of,
    shares,
    widened,
)
from diagrammar.networks.loss_formulas import units

if TYPE_CHECKING:
    from torch import Generator, Tensor

MOST_ENTRIES = 1 << 27
"""The most entries of all Hessians of a batch: 1 GiB in float64, and as much for eigenvectors."""


class AskedLoss:
    """The function (f, y, rows=1) → vectors of a loss that autograd differentiates, or that gives
    vectors itself."""

    def __init__(
        self,
        loss: Callable[[Tensor, Any], Any],
        kind: str,
        samples: int,
        generator: Generator | None,
    ) -> None:
        self.loss, self.kind, self.samples, self.generator = loss, kind, samples, generator
        self._checked = self._curved = False

    def __call__(self, f: Tensor, y: Any, rows: int = 1) -> Iterator[Tensor]:
        """Compute the vectors, in float32 for outputs of half precision."""
        from torch import enable_grad, float32

        check_outputs(f, rows)
        if not len(f):
            return iter(())
        with enable_grad():
            leaf, count = f.detach().requires_grad_(), len(f) // rows
            value = call(self.loss, leaf, y)
            if not is_numbers(value, 1) and not is_numbers(value, count):
                return self._given(value, f, count)
            if f.dtype.itemsize < float32.itemsize:
                leaf, y = f.detach().float().requires_grad_(), widened(y)
                value = call(self.loss, leaf, y)
            total = self._total(value, leaf, y, rows)
            g = gradient(self.loss, total, leaf)
            if self.kind == "empirical":
                return iter([g.detach().to(f.dtype)])
            hessians = self._hessians(g, leaf, rows)
            if not self._curved:
                self._check_curved(hessians, leaf, y, rows)
        return (v.to(f.dtype) for v in self._roots(hessians, leaf))

    # -- vectors that a function gives -------------------------------------------------------------

    def _given(self, value: Any, f: Tensor, count: int) -> Iterator[Tensor]:
        """Check the vectors that a function gives. Raises TypeError for other values, and
        ValueError for another kind than "exact"."""

        from torch import Tensor

        if isinstance(value, Tensor):
            several = value.shape[1:] == f.shape
        elif isinstance(value, list | tuple):
            several = all(isinstance(v, Tensor) and v.shape == f.shape for v in value)
        else:
            several = isinstance(value, Iterator)
        if not several:
            raise TypeError(
                f"{name_of(self.loss)} gives {described(value)} for outputs f {tuple(f.shape)}; "
                "wanted is the loss as one number, the losses of examples as a tensor "
                f"[{count}], or vectors: a tensor [n, *f.shape] or a list of tensors of f's shape"
            )
        if self.kind != "exact":
            raise ValueError(
                f"vectors={self.kind!r} is for a loss; {name_of(self.loss)} gives vectors itself"
            )
        return self._one_by_one(iter(value), f)

    def _one_by_one(self, vectors: Iterator[Any], f: Tensor) -> Iterator[Tensor]:
        """Yield vectors that a function gives. Raises TypeError for a wrong shape or device."""

        from torch import Tensor

        for v in vectors:
            if not isinstance(v, Tensor) or v.shape != f.shape or v.device != f.device:
                raise TypeError(
                    f"{name_of(self.loss)} gives {described(v)} as a vector for outputs "
                    f"{tuple(f.shape)} on {f.device}; a vector has their shape and device"
                )
            yield v.detach().to(f.dtype)

    # -- the sum of examples' losses ---------------------------------------------------------------

    def _total(self, value: Tensor, leaf: Tensor, y: Any, rows: int) -> Tensor:
        """Sum the examples' losses; for the first batch, compare them with the batch's loss."""
        count = len(leaf) // rows
        each = value.ndim == 1 and len(value) == count
        if each and self._checked:
            return value.sum()
        alone = each_alone(self.loss, leaf, y, rows)
        total: Tensor = sum(alone[1:], start=alone[0])
        if not self._checked and count > 1:
            self._check_apart(value, alone, each, leaf, rows)
            self._checked = True
        return total

    def _check_apart(
        self, value: Tensor, alone: list[Tensor], each: bool, leaf: Tensor, rows: int
    ) -> None:
        """Raise TypeError unless the loss of a batch is a weighted sum of the examples' own
        losses."""
        from torch import allclose, finfo, stack

        name, why = name_of(self.loss), "coupled examples have no curvature of their own"
        losses = stack(alone)
        in_batch, by_itself = (gradient(self.loss, t, leaf) for t in (value.sum(), losses.sum()))
        factors = shares(in_batch.detach(), by_itself.detach(), rows)
        # gradients of one entry are always parallel: compare the losses, too
        if factors is not None and leaf.numel() == len(alone):
            parts = factors * losses.detach()
            off = abs(float(value.detach().sum() - parts.sum()))
            if bool(factors.all()) and off > 1e-3 * float(parts.abs().sum()):
                factors = None
        if factors is None:
            raise TypeError(
                f"{name} couples examples: the loss of a batch is not a weighted sum of those of "
                f"its examples, each alone; {why}. A target that is broadcast does this, too"
            )
        if self.kind != "empirical" and couples(self.loss, in_batch, leaf, rows):
            raise TypeError(
                f"{name} couples examples: its gradient by one example's output depends on the "
                f"outputs of others; {why}"
            )
        near = 10 * finfo(leaf.dtype).eps ** 0.5
        if each and not allclose(value, losses, rtol=near, atol=near):
            raise TypeError(
                f"{name} gives one number for each example, but others for examples alone; the "
                "loss of an example must not depend on its batch"
            )

    # -- Hessians and their roots ------------------------------------------------------------------

    def _hessians(self, g: Tensor, leaf: Tensor, rows: int) -> Tensor:
        """Compute ∇² of each example's loss from the gradient g: [b, m, m] for m output entries.

        Raises ValueError where they have more than `MOST_ENTRIES` entries or are not finite.
        """
        from torch import stack

        count = len(leaf) // rows
        size = leaf.numel() // count
        name = name_of(self.loss)
        if count * size**2 > MOST_ENTRIES:
            raise ValueError(
                f"the Hessians of {name} by {count} outputs of {size} entries have "
                f"{count}·{size}² entries, too many; give smaller batches, or a function that "
                "gives vectors [n, *f.shape]"
            )
        if not g.requires_grad:
            return leaf.new_zeros(count, size, size)
        columns = (derivative(self.loss, g[unit].sum(), leaf) for unit in units(leaf.shape, rows))
        hessians = stack([column.reshape(count, size) for column in columns], 1)
        if not bool(hessians.isfinite().all()):
            raise ValueError(f"the Hessian of {name} by the network's output is not finite")
        return hessians

    def _check_curved(self, hessians: Tensor, leaf: Tensor, y: Any, rows: int) -> None:
        """Raise TypeError for a loss that is linear in outputs, or piecewise linear: its Hessian is
        zero here and wherever it is tried."""
        self._curved = bool(hessians.any()) or self._curved_elsewhere(leaf.detach(), y, rows)
        if self._curved:
            return
        raise TypeError(
            f"no vectors for {name_of(self.loss)}: it is linear in the network's output, or in "
            "pieces, so that its Hessian and the Gauss–Newton matrix are zero. "
            "vectors='empirical' takes gradients instead; or give MSELoss, CrossEntropyLoss, "
            "BCEWithLogitsLoss or another loss that is curved"
        )

    def _curved_elsewhere(self, f: Tensor, y: Any, rows: int) -> bool:
        """Whether the Hessian differs from zero at some outputs drawn at random."""
        from torch import Generator, randn, stack

        generator = Generator(f.device).manual_seed(0)
        for scale in (0.1, 1.0, 10.0):
            noise = randn(f.shape, generator=generator, dtype=f.dtype, device=f.device)
            point = (noise * scale).requires_grad_()
            try:
                total = stack(each_alone(self.loss, point, y, rows)).sum()
            except ValueError:  # the loss is not defined there
                continue
            g = gradient(self.loss, total, point)
            if g.requires_grad and bool(derivative(self.loss, (g * noise).sum(), point).any()):
                return True
        return False

    def _roots(self, hessians: Tensor, leaf: Tensor) -> Iterator[Tensor]:
        """Compute vectors of Hessians. Raises TypeError for a Hessian with negative eigenvalues."""
        from torch import finfo, linalg, randn

        values, basis = linalg.eigh(hessians)
        eps = finfo(values.dtype).eps
        least, most = float(values.min()), float(values.abs().max())
        if least < -most * max(32 * eps * values.shape[1], 0.01 * eps**0.5):
            raise TypeError(
                f"{name_of(self.loss)} is not convex in the network's output: its Hessian there "
                f"has eigenvalues from {least:.3g} to {most:.3g}, and no real vectors. "
                "vectors='empirical' takes gradients instead"
            )
        columns = basis * values.clamp(min=0).sqrt().unsqueeze(1)
        if self.kind == "exact":
            return (column.reshape(leaf.shape) for column in columns.unbind(2))
        scale = self.samples**-0.5

        def drawn() -> Tensor:
            z = randn(
                len(columns), columns.shape[2], 1,
                generator=self.generator, dtype=leaf.dtype, device=leaf.device,
            )  # fmt: skip
            vector: Tensor = (columns @ z).reshape(leaf.shape) * scale
            return vector

        return (drawn() for _ in range(self.samples))
