"""Call a loss, on one example alone and on a batch, with errors that name it.

The loss of one example is the loss of a batch of that example alone.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

CHECKED_EXAMPLES = 16
"""Examples of the first batch whose gradients are compared with a formula's."""


def name_of(loss: Any) -> str:
    """The name of a loss in errors."""
    from torch import nn

    if isinstance(loss, nn.Module):
        return type(loss).__name__
    if isinstance(loss, partial):
        return name_of(loss.func)
    name: str = getattr(loss, "__name__", type(loss).__name__)
    return "the loss" if name == "<lambda>" else name


def check_outputs(f: Any, rows: int) -> None:
    """Raise ValueError unless f is a network's output, with `rows` rows for each example."""
    from torch import Tensor

    if not isinstance(f, Tensor) or not f.is_floating_point():
        what = f"of dtype {f.dtype}" if isinstance(f, Tensor) else f"a {type(f).__name__}"
        raise ValueError(f"the network's output must be a tensor of real numbers, not {what}")
    if not f.ndim:
        raise ValueError("the network's output is one number; it must have an axis of examples")
    if rows < 1 or len(f) % rows:
        raise ValueError(f"{len(f)} rows of outputs are not {rows} for each example")


def call(loss: Any, f: Tensor, y: Any) -> Any:
    """Call loss(f, y). Raises ValueError with the loss's name where it fails."""
    from torch import Tensor

    try:
        return loss(f, y)
    except Exception as error:
        target = f"of shape {tuple(y.shape)}" if isinstance(y, Tensor) else f"a {type(y).__name__}"
        raise ValueError(
            f"{name_of(loss)} failed on outputs of shape {tuple(f.shape)} and a target, {target}: "
            f"{type(error).__name__}: {error}"
        ) from error


def described(value: Any) -> str:
    """Describe a loss's value for an error."""
    from torch import Tensor

    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, list | tuple):
        inside = f", first {described(value[0])}" if value else ""
        return f"a {type(value).__name__} of {len(value)}{inside}"
    return f"a {type(value).__name__}"


def is_numbers(value: Any, count: int) -> bool:
    """Whether a loss gave `count` numbers in one axis, or in none."""
    from torch import Tensor

    return isinstance(value, Tensor) and value.numel() == count and value.ndim <= 1


def each_alone(loss: Any, f: Tensor, y: Any, rows: int) -> list[Tensor]:
    """The losses of examples, each as a batch of one. Raises ValueError where one is not a finite
    number."""
    losses = []
    for n in range(len(f) // rows):
        value = _alone(loss, f, y, rows, n)
        if not is_numbers(value, 1):
            raise ValueError(
                f"{name_of(loss)} gives {described(value)} for one example with outputs "
                f"{(rows, *f.shape[1:])}, not one number"
            )
        if not bool(value.isfinite().all()):
            raise ValueError(
                f"{name_of(loss)} gives {value.item():g} for example {n} of a batch alone; a mean "
                "whose positions are all ignored does so"
            )
        losses.append(value.sum())
    return losses


def _alone(loss: Any, f: Tensor, y: Any, rows: int, n: int) -> Any:
    """The loss of example n alone."""
    one = f[n * rows : (n + 1) * rows]
    return call(loss, one, _target_of(y, n, len(f), rows))


def _target_of(y: Any, n: int, count: int, rows: int) -> Any:
    """The target of example n as a batch of one. A tensor with `count` rows, as many as f, gives
    the example's rows; a tensor with a row for each example gives its row; so for tensors in
    containers."""
    from torch import Tensor

    if isinstance(y, dict):
        return {key: _target_of(part, n, count, rows) for key, part in y.items()}
    if isinstance(y, list | tuple):
        parts = [_target_of(part, n, count, rows) for part in y]
        return type(y)(*parts) if hasattr(y, "_fields") else type(y)(parts)
    if not isinstance(y, Tensor) or not y.ndim:
        return y
    if len(y) == count:
        return y[n * rows : (n + 1) * rows]
    if len(y) * rows == count:
        return y[n : n + 1]
    raise ValueError(f"a target of shape {tuple(y.shape)} for {count // rows} examples")


def widened(y: Any) -> Any:
    """A target with float32 in place of narrower real numbers, also in containers."""
    from torch import Tensor, float32

    if isinstance(y, dict):
        return {key: widened(part) for key, part in y.items()}
    if isinstance(y, list | tuple):
        parts = [widened(part) for part in y]
        return type(y)(*parts) if hasattr(y, "_fields") else type(y)(parts)
    narrow = isinstance(y, Tensor) and y.is_floating_point() and y.itemsize < float32.itemsize
    return y.float() if narrow else y


# -- derivatives -----------------------------------------------------------------------------------


def gradient(loss: Any, value: Tensor, f: Tensor) -> Tensor:
    """The gradient of a loss's value by outputs, itself differentiable where it depends on them.
    Raises TypeError for a value that cannot be differentiated."""
    from torch import autograd

    if not value.requires_grad:
        raise TypeError(
            f"{name_of(loss)} gives a value that is not differentiable in the network's output"
        )
    return autograd.grad(
        value, f, create_graph=True, allow_unused=True, materialize_grads=True
    )[0]  # fmt: skip


def derivative(loss: Any, value: Tensor, f: Tensor) -> Tensor:
    """The gradient of a sum of entries of a `gradient`. Raises TypeError where there is none."""
    from torch import autograd

    try:
        return autograd.grad(
            value, f, retain_graph=True, allow_unused=True, materialize_grads=True
        )[0]  # fmt: skip
    except RuntimeError as error:
        raise TypeError(f"{name_of(loss)} cannot be differentiated twice: {error}") from error


def shares(batch: Tensor, alone: Tensor, rows: int) -> Tensor | None:
    """The factors, one above 0 for each example, between gradients in a batch and gradients of
    examples alone; 0 where both are zero. None where there are none."""
    from torch import finfo

    count, eps = len(batch) // rows, finfo(batch.dtype).eps
    batch, alone = batch.reshape(count, -1), alone.reshape(count, -1)
    square = (alone * alone).sum(1)
    factor = (batch * alone).sum(1) / square.masked_fill(square == 0, 1)
    off = (batch - factor.unsqueeze(1) * alone).abs().amax(1)
    most = batch.abs().amax(1)
    fits = off <= 10 * eps**0.5 * most + 10 * eps * most.max()
    return factor if bool((fits & ((factor > 0) | (square == 0))).all()) else None


def couples(loss: Any, batch: Tensor, f: Tensor, rows: int) -> bool:
    """Whether the gradient by the first example's output depends on the outputs of others."""
    from torch import finfo, linspace

    if not batch.requires_grad:
        return False
    own = batch[:rows]
    direction = linspace(1, 2, own.numel(), dtype=f.dtype, device=f.device).reshape(own.shape)
    change = derivative(loss, (own * direction).sum(), f).abs()
    others, most = float(change[rows:].max()), float(change.max())
    tolerance: float = 10 * finfo(f.dtype).eps ** 0.5
    return others > tolerance * most


def check_gradients(loss: Any, f: Tensor, y: Any, rows: int, ours: Tensor) -> None:
    """Compare gradients of examples' losses by f with the loss's own, by autograd.

    An example whose positions are all ignored has zeros here and a NaN in torch. Raises TypeError
    where gradients differ: then the loss does not compute what its class says.
    """
    from torch import enable_grad, finfo

    tolerance = 10 * finfo(f.dtype).eps ** 0.5
    with enable_grad():
        leaf = f.detach().requires_grad_()
        for n in range(min(len(f) // rows, CHECKED_EXAMPLES)):
            value = _alone(loss, leaf, y, rows, n).sum()
            own_rows = slice(n * rows, (n + 1) * rows)
            mine = ours[own_rows].to(f.dtype)
            if bool(value.isnan()) and not bool(mine.any()):
                continue
            theirs = gradient(loss, value, leaf)[own_rows].detach()
            off, most = float((mine - theirs).abs().max()), float(theirs.abs().max())
            if not off <= tolerance * max(most, float(mine.abs().max())):
                raise TypeError(
                    f"{name_of(loss)} does not compute what torch's class of that name does: the "
                    f"gradient of example {n} is off by {off:.3g}, its largest entry being "
                    f"{most:.3g}. Given as a function, lambda f, y: loss(f, y), it is "
                    "differentiated itself"
                )
