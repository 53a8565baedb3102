"""Losses without a formula: a function of outputs and targets, differentiated by autograd.

The Hessian of one example's loss by the output takes one backward pass for each entry, for all
examples together; vectors are its eigenvectors times the roots of its eigenvalues. Functions that
give vectors themselves are taken at their word.
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
"""Entries of all Hessians of a batch together: 1 GiB in float64, and as much for eigenvectors."""


class AskedLoss:
    """(f, y, rows=1) → vectors of a loss that is differentiated, or that gives vectors itself."""

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
        """The vectors; of half precision, computed in float32."""
        from torch import enable_grad, float32

        check_outputs(f, rows)
        if not len(f):
            return iter(())
        with enable_grad():
            leaf, count = f.detach().requires_grad_(), len(f) // rows
            made = call(self.loss, leaf, y)
            if not is_numbers(made, 1) and not is_numbers(made, count):
                return self._given(made, f, count)
            if f.dtype.itemsize < float32.itemsize:
                leaf, y = f.detach().float().requires_grad_(), widened(y)
                made = call(self.loss, leaf, y)
            total = self._total(made, leaf, y, rows)
            g = gradient(self.loss, total, leaf)
            if self.kind == "empirical":
                return iter([g.detach().to(f.dtype)])
            hessians = self._hessians(g, leaf, rows)
            if not self._curved:
                self._check_curved(hessians, leaf, y, rows)
        return (v.to(f.dtype) for v in self._roots(hessians, leaf))

    # -- vectors that a function gives -------------------------------------------------------------

    def _given(self, made: Any, f: Tensor, count: int) -> Iterator[Tensor]:
        from torch import Tensor

        if isinstance(made, Tensor):
            several = made.shape[1:] == f.shape
        elif isinstance(made, list | tuple):
            several = all(isinstance(v, Tensor) and v.shape == f.shape for v in made)
        else:
            several = isinstance(made, Iterator)
        if not several:
            raise TypeError(
                f"{name_of(self.loss)} gives {described(made)} for outputs f {tuple(f.shape)}; "
                "wanted is the loss as one number, the losses of examples as a tensor "
                f"[{count}], or vectors: a tensor [n, *f.shape] or a list of tensors of f's shape"
            )
        if self.kind != "exact":
            raise ValueError(
                f"vectors={self.kind!r} is for a loss; {name_of(self.loss)} gives vectors itself"
            )
        return self._one_by_one(iter(made), f)

    def _one_by_one(self, made: Iterator[Any], f: Tensor) -> Iterator[Tensor]:
        from torch import Tensor

        for v in made:
            if not isinstance(v, Tensor) or v.shape != f.shape or v.device != f.device:
                raise TypeError(
                    f"{name_of(self.loss)} gives {described(v)} as a vector for outputs "
                    f"{tuple(f.shape)} on {f.device}; a vector has their shape and device"
                )
            yield v.detach().to(f.dtype)

    # -- the sum of examples' losses ---------------------------------------------------------------

    def _total(self, made: Tensor, leaf: Tensor, y: Any, rows: int) -> Tensor:
        """Σ of the examples' losses; for the first batch, they are compared with the batch's."""
        count = len(leaf) // rows
        each = made.ndim == 1 and len(made) == count
        if each and self._checked:
            return made.sum()
        alone = each_alone(self.loss, leaf, y, rows)
        total: Tensor = sum(alone[1:], start=alone[0])
        if not self._checked and count > 1:
            self._check_apart(made, alone, each, leaf, rows)
            self._checked = True
        return total

    def _check_apart(
        self, made: Tensor, alone: list[Tensor], each: bool, leaf: Tensor, rows: int
    ) -> None:
        """Raise TypeError for a loss that is not made of the examples' own."""
        from torch import allclose, finfo, stack

        name, why = name_of(self.loss), "coupled examples have no curvature of their own"
        losses = stack(alone)
        in_batch, by_itself = (gradient(self.loss, t, leaf) for t in (made.sum(), losses.sum()))
        found = shares(in_batch.detach(), by_itself.detach(), rows)
        if found is not None and leaf.numel() == len(alone):  # numbers have no direction
            parts = found * losses.detach()
            off = abs(float(made.detach().sum() - parts.sum()))
            if bool(found.all()) and off > 1e-3 * float(parts.abs().sum()):
                found = None
        if found is None:
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
        if each and not allclose(made, losses, rtol=near, atol=near):
            raise TypeError(
                f"{name} gives one number for each example, but others for examples alone; the "
                "loss of an example must not depend on its batch"
            )

    # -- Hessians and their roots ------------------------------------------------------------------

    def _hessians(self, g: Tensor, leaf: Tensor, rows: int) -> Tensor:
        """∇² of each example's loss, [b, m, m] for the m entries of its output, from the gradient.

        Raises ValueError where they are too large or not finite.
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
        found = stack([column.reshape(count, size) for column in columns], 1)
        if not bool(found.isfinite().all()):
            raise ValueError(f"the Hessian of {name} by the network's output is not finite")
        return found

    def _check_curved(self, hessians: Tensor, leaf: Tensor, y: Any, rows: int) -> None:
        """Raise TypeError for a loss that is linear in outputs, or in pieces, so that its Hessian
        is zero here and wherever it is tried."""
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
        """Whether the Hessian differs from zero at outputs drawn at random, where it is tried."""
        from torch import Generator, randn, stack

        generator = Generator(f.device).manual_seed(0)
        for scale in (0.1, 1.0, 10.0):
            noise = randn(f.shape, generator=generator, dtype=f.dtype, device=f.device)
            point = (noise * scale).requires_grad_()
            try:
                total = stack(each_alone(self.loss, point, y, rows)).sum()
            except ValueError:  # outside of what the loss is defined for
                continue
            g = gradient(self.loss, total, point)
            if g.requires_grad and bool(derivative(self.loss, (g * noise).sum(), point).any()):
                return True
        return False

    def _roots(self, hessians: Tensor, leaf: Tensor) -> Iterator[Tensor]:
        """Vectors of Hessians. Raises TypeError where one has negative eigenvalues."""
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
            made: Tensor = (columns @ z).reshape(leaf.shape) * scale
            return made

        return (drawn() for _ in range(self.samples))
