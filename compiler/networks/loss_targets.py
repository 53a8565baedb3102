"""Check a loss's labels, targets and weights, with errors that say what to give.

PyTorch itself broadcasts some targets, and says "Target 7 is out of bounds" of others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def _check_tensor(name: str, y: Any, f: Tensor) -> None:
    """Raise ValueError unless y is a tensor on f's device."""

    from torch import Tensor

    if not isinstance(y, Tensor):
        raise ValueError(f"{name} needs a tensor for a target, not a {type(y).__name__}")
    if y.device != f.device:
        raise ValueError(f"the target is on {y.device}, the network's output on {f.device}")


def check_like_outputs(name: str, f: Tensor, y: Any) -> None:
    """Raise ValueError unless a target is real and has the outputs' shape: nothing is broadcast."""
    _check_tensor(name, y, f)
    if y.is_complex():
        raise ValueError(f"{name} needs a real target, not {y.dtype}")
    if y.shape != f.shape:
        help = ""
        if y.numel() == f.numel():
            help = f"; y.reshape({', '.join(map(str, f.shape))}) would have it"
        raise ValueError(
            f"{name} needs a target of the outputs' shape {tuple(f.shape)}, not "
            f"{tuple(y.shape)}; it is not broadcast{help}"
        )


def check_unit_interval(y: Tensor) -> None:
    """Raise ValueError unless targets are probabilities between 0 and 1."""
    low, high = float(y.min()), float(y.max())
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"BCEWithLogitsLoss needs targets between 0 and 1; these run from {low:g} to {high:g}"
        )


def check_labels(f: Tensor, y: Any, ignored: int) -> None:
    """Raise ValueError unless y has labels by number [b, *t], or probabilities of f's shape, for
    logits f [b, c, *t]."""
    from torch import int64, uint8

    _check_tensor("CrossEntropyLoss", y, f)
    wanted = f.shape[:1] + f.shape[2:]
    if y.is_floating_point() and y.shape == f.shape:
        if ignored >= 0:
            raise ValueError(
                f"ignore_index={ignored} is for labels by number; these are probabilities"
            )
        if not bool((y >= 0).all()):
            raise ValueError(f"probabilities of classes must be at least 0, not {float(y.min()):g}")
        return
    if y.shape != wanted:
        raise ValueError(
            f"logits {tuple(f.shape)} have classes on axis 1, so labels have shape "
            f"{tuple(wanted)}, not {tuple(y.shape)}{_way_out(f, y)}"
        )
    if y.dtype not in (int64, uint8):
        raise ValueError(
            f"labels are class numbers of dtype int64, not {str(y.dtype).removeprefix('torch.')}: "
            "y.long()"
        )
    y = y.long()
    wrong = ((y < 0) | (y >= f.shape[1])) & (y != ignored)
    if bool(wrong.any()):
        index = wrong.nonzero()[0].tolist()
        raise ValueError(
            f"label {int(y[tuple(index)])} at {index} is not among the classes 0 … "
            f"{f.shape[1] - 1}, nor ignore_index={ignored}"
        )


def _way_out(f: Tensor, y: Tensor) -> str:
    """Suggest what to do about labels of another shape, where that can be seen."""
    if f.ndim > 2 and y.shape == f.shape[:-1]:
        turn = "transpose(1, 2)" if f.ndim == 3 else "movedim(-1, 1)"
        return f"; classes are on the last axis here: let the network return f.{turn}"
    if f.ndim > 2 and y.shape == f.shape[:1]:
        return "; one label for an example needs one row of logits [b, c]"
    if y.shape == f.shape:
        return "; for labels one-hot or as probabilities: y.float()"
    wanted = f.shape[:1] + f.shape[2:]
    if y.numel() == wanted.numel() and [n for n in y.shape if n != 1] == [
        n for n in wanted if n != 1
    ]:
        return f": y.reshape({', '.join(map(str, wanted))})"
    return ""


def check_class_weight(weight: Tensor | None, f: Tensor) -> Tensor:
    """The weights of classes as [c, 1, …], ones by default. Raises ValueError for another shape."""
    classes = f.shape[1]
    if weight is None:
        weight = f.new_ones(classes)
    if weight.shape != (classes,):
        raise ValueError(
            f"the loss has weights of shape {tuple(weight.shape)} for {classes} classes of "
            f"outputs {tuple(f.shape)}, classes on axis 1"
        )
    _check_weight("weight", weight, f)
    return weight.to(f.dtype).reshape(-1, *(1,) * (f.ndim - 2))


def entry_weight(name: str, weight: Tensor | None, f: Tensor) -> Tensor:
    """A weight of BCEWithLogitsLoss, which must broadcast against one example's output.

    Raises ValueError where it does not.
    """
    from torch import broadcast_shapes

    if weight is None:
        return f.new_ones((1,) * f.ndim)
    _check_weight(name, weight, f)
    one = (1, *f.shape[1:])
    try:
        fits = tuple(broadcast_shapes(weight.shape, one)) == one  # type: ignore[no-untyped-call]
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name} of shape {tuple(weight.shape)} does not broadcast against one example's "
            f"output {one}; weights of examples belong to the data: give the loss as a function "
            "(f, y) → losses [b], with the weights in y"
        )
    return weight.to(f.dtype)


def _check_weight(name: str, weight: Tensor, f: Tensor) -> None:
    """Raise ValueError for weights on another device or below 0."""
    if weight.device != f.device:
        raise ValueError(f"the loss's {name} is on {weight.device}, the outputs on {f.device}")
    if not bool((weight >= 0).all()):
        raise ValueError(
            f"the loss's {name} has {float(weight.min()):g}; with weights below 0 its Hessian has "
            "no real vectors"
        )
