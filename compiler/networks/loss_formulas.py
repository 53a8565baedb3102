"""Second derivatives of MSELoss, CrossEntropyLoss and BCEWithLogitsLoss, term by term.

The loss of one example is Σ_t w_t l_t / Z: terms l_t with weights w_t, zero where a term is
ignored, and Z the number by which "mean" divides, one for "sum". Each class has, at outputs and
targets, the vectors that `losses` returns. An example has `rows` consecutive rows of f.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import product
from math import sqrt
from typing import TYPE_CHECKING, Any

from diagrammar.networks.loss_targets import (
    check_class_weight,
    check_labels,
    check_like_outputs,
    check_unit_interval,
    entry_weight,
)

if TYPE_CHECKING:
    from torch import Generator, Tensor


def units(shape: tuple[int, ...], rows: int) -> Iterator[tuple[Any, ...]]:
    """Yield for each entry of an example's output its index for all examples at once, in outputs of
    shape [b·rows, …]."""
    every = (slice(row, None, rows) for row in range(rows))
    return product(every, *(range(n) for n in shape[1:]))


class Terms(ABC):
    """The terms of a loss at outputs f [b·rows, …] and targets y.

    `f` is float32 or float64. Raises ValueError for targets that do not fit.
    """

    def __init__(self, loss: Any, f: Tensor, rows: int, terms: int) -> None:
        self.f, self.rows = f, rows
        if loss.reduction == "none" and terms * rows > 1:
            raise ValueError(
                f"reduction is 'none', but an example has {terms * rows} losses: 'mean' or 'sum' "
                "says how they are one"
            )
        self.mean = loss.reduction == "mean"
        self.weight = f  # subclasses set the weight of each term
        self.total = f

    def _sum(self, values: Tensor) -> Tensor:
        """Sum over the terms of an example: [b·rows, 1, …]."""
        sums = values.reshape(len(self.f) // self.rows, -1).sum(1)
        return sums.repeat_interleave(self.rows).reshape(-1, *(1,) * (values.ndim - 1))

    def _over(self, values: Tensor, total: Tensor) -> Tensor:
        """values/total, and zero where no term counts."""
        return (values / total.masked_fill(total == 0, 1)).masked_fill(total == 0, 0)

    def _root(self) -> Tensor:
        """√(w/Z) of each term."""
        return self._over(self.weight, self.total).sqrt()

    def count(self) -> Tensor:
        """The number of terms by which each example's mean divides: [b·rows, 1, …]; one for
        sums."""
        from torch import ones_like

        number = self._sum((self.weight != 0).to(self.f.dtype)) if self.mean else self.total
        return (number if self.mean else ones_like(number)).reshape(-1, *(1,) * (self.f.ndim - 1))

    @abstractmethod
    def exact(self) -> Iterator[Tensor]:
        """Yield vectors whose outer products sum to the Hessian of each example's loss."""

    @abstractmethod
    def drawn(self, generator: Generator | None) -> Tensor:
        """Draw a vector whose outer product has the Hessian as its expectation."""

    @abstractmethod
    def gradient(self) -> Tensor:
        """The gradient of each example's loss."""

    @abstractmethod
    def apart(self) -> Iterator[Tensor]:
        """Yield gradients of single terms times √(w/Z), one term of all examples in each vector."""


class Entries(Terms):
    """A loss with one term for each entry of f: its Hessian is diagonal."""

    _curvature: Tensor
    _slope: Tensor

    def exact(self) -> Iterator[Tensor]:
        """Yield vectors of the Hessian, one for each entry of an output."""
        return self._one_by_one(self._root() * self._curvature.sqrt())

    def gradient(self) -> Tensor:
        """The gradient of each example's loss."""
        return self._over(self._slope, self.total)

    def apart(self) -> Iterator[Tensor]:
        """Yield gradients of single terms times √(w/Z)."""
        return self._one_by_one(self._over(self._slope, (self.weight * self.total).sqrt()))

    def _one_by_one(self, values: Tensor) -> Iterator[Tensor]:
        for unit in units(self.f.shape, self.rows):
            v = self.f.new_zeros(self.f.shape)
            v[unit] = values[unit]
            yield v


class SquaredError(Entries):
    """(f − y)², whose second derivative is 2."""

    def __init__(self, loss: Any, f: Tensor, y: Any, rows: int) -> None:
        super().__init__(loss, f, rows, f[0].numel())
        check_like_outputs("MSELoss", f, y)
        self.weight = f.new_ones(f.shape)
        self.total = self._sum(self.weight) if self.mean else f.new_ones((1,) * f.ndim)
        self._curvature = f.new_full(f.shape, 2)
        self._slope = 2 * (f - y.to(f.dtype))

    def drawn(self, generator: Generator | None) -> Tensor:
        """Draw targets, and from them a vector with the Hessian as its covariance."""
        from torch import randn

        f = self.f
        noise = randn(f.shape, generator=generator, dtype=f.dtype, device=f.device)
        return sqrt(2) * noise * self._root()


class Bernoulli(Entries):
    """Binary cross-entropy of logits: terms −u·y·ln p − (1 − y)·ln(1 − p) with p = σ(f) and u =
    pos_weight. The second derivative is (u·y + 1 − y)·p·(1 − p)."""

    def __init__(self, loss: Any, f: Tensor, y: Any, rows: int) -> None:
        super().__init__(loss, f, rows, f[0].numel())
        check_like_outputs("BCEWithLogitsLoss", f, y)
        check_unit_interval(y)
        y, p = y.to(f.dtype), f.sigmoid()
        positive = entry_weight("pos_weight", loss.pos_weight, f) * y
        scale = entry_weight("weight", loss.weight, f)
        self.weight = (scale * (positive + 1 - y)).expand(f.shape)
        ones = f.new_ones(f.shape)
        self.total = self._sum(ones) if self.mean else f.new_ones((1,) * f.ndim)
        self._p, self._curvature = p, p * (1 - p)
        self._slope = self.weight * p - scale * positive

    def drawn(self, generator: Generator | None) -> Tensor:
        """Draw targets, and from them a vector with the Hessian as its covariance."""
        return (self._p - self._p.bernoulli(generator=generator)) * self._root()


class Categorical(Terms):
    """Cross-entropy of logits f [b, c, *t]: a term −Σ_c q_c ln p_c at each position, p =
    softmax(f). With w = Σ_c q_c its Hessian is w·(diag(p) − p pᵀ), with the root √w·(diag(√p) − p
    √pᵀ).

    q are the targets, smoothed and weighted, and zero at ignored positions.
    """

    def __init__(self, loss: Any, f: Tensor, y: Any, rows: int) -> None:
        from torch import ones_like

        if f.ndim < 2:
            raise ValueError(
                f"CrossEntropyLoss needs logits [b, c, …]; outputs of shape {tuple(f.shape)} have "
                "no axis of classes, or none of examples: unsqueeze(0)"
            )
        super().__init__(loss, f, rows, f[0, 0].numel())
        self._p = f.softmax(1)
        self._by_class = check_class_weight(loss.weight, f)
        check_labels(f, y, loss.ignore_index)
        self._smoothing, self._y = float(loss.label_smoothing), y
        self._probable = y.is_floating_point()
        if self._probable:
            spread = y.to(f.dtype) * (1 - self._smoothing) + self._smoothing / f.shape[1]
            self._q = spread * self._by_class
            self.weight = self._q.sum(1)
            by_mean = ones_like(self.weight)
        else:
            labels = y.long()
            self._counted = labels != loss.ignore_index
            self._labels = labels = labels.masked_fill(~self._counted, 0)
            by_mean = self._by_class.flatten()[labels] * self._counted
            even = self._by_class.sum() * (self._smoothing / f.shape[1])
            self.weight = by_mean * (1 - self._smoothing) + even * self._counted
        self.total = self._sum(by_mean) if self.mean else f.new_ones((1,) * (f.ndim - 1))

    def exact(self) -> Iterator[Tensor]:
        """Yield vectors of the Hessian, one for each entry of an output."""
        p, scale = self._p, self._root()
        root = p.sqrt()
        for row, c, *position in units(self.f.shape, self.rows):
            classes, one = (row, slice(None), *position), (row, c, *position)
            v = self.f.new_zeros(self.f.shape)
            v[classes] = -p[classes] * root[one][:, None]
            v[one] += root[one]
            v[classes] *= scale[(row, *position)][:, None]
            yield v

    def drawn(self, generator: Generator | None) -> Tensor:
        """Draw targets, and from them a vector with the Hessian as its covariance."""
        p = self._p.movedim(1, -1)
        labels = p.reshape(-1, p.shape[-1]).multinomial(1, generator=generator)
        drawn = self._one_hot(labels.reshape(p.shape[:-1]))
        return (self._p - drawn) * self._root().unsqueeze(1)

    def gradient(self) -> Tensor:
        """The gradient of each example's loss."""
        return self._over(self._slope(), self.total.unsqueeze(1))

    def apart(self) -> Iterator[Tensor]:
        """Yield gradients of single terms times √(w/Z)."""
        scale = (self.weight * self.total).sqrt().unsqueeze(1)
        values = self._over(self._slope(), scale)
        for row, *position in units(self.f.shape[1:], self.rows):
            entries = (row, slice(None), *position)
            v = self.f.new_zeros(self.f.shape)
            v[entries] = values[entries]
            yield v

    def _slope(self) -> Tensor:
        """The gradient of each term times its weight, w p − q."""
        if self._probable:
            q = self._q
        else:
            labels = self._one_hot(self._labels) * (1 - self._smoothing)
            q = (labels + self._smoothing / self.f.shape[1]) * self._by_class
            q = q * self._counted.unsqueeze(1)
        slope: Tensor = self._p * self.weight.unsqueeze(1) - q
        return slope

    def _one_hot(self, labels: Tensor) -> Tensor:
        from torch import zeros_like

        one_hot: Tensor = zeros_like(self._p).scatter_(1, labels.unsqueeze(1), 1)
        return one_hot


FORMULAS: dict[str, Callable[[Any, Tensor, Any, int], Terms]] = {
    "MSELoss": SquaredError,
    "CrossEntropyLoss": Categorical,
    "BCEWithLogitsLoss": Bernoulli,
}
"""The terms of a loss from (loss, f, y, rows), by the names of torch's classes."""
