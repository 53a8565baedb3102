"""Read hyper-parameters off torch.nn modules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class About:
    """Facts of a module besides hyper-parameters: output channels, input channels, whether it is
    linear, and the size that a Fold restores."""

    channels: int | None = None
    inputs: int | None = None
    linear: bool = False
    folded_size: tuple[int, ...] | None = None


def arguments(module: nn.Module) -> tuple[dict[str, Any], About]:
    """Read the arguments of `layers.Conv` off a module.

    Raises TypeError for other modules, and for subclasses that compute something else; ValueError
    for a lazy module that was not called yet.
    """
    from torch import nn

    _check_plain(module)
    match module:
        case nn.Conv1d() | nn.Conv2d() | nn.Conv3d():
            return _convolution(module), About(module.out_channels, module.in_channels)
        case nn.ConvTranspose1d() | nn.ConvTranspose2d() | nn.ConvTranspose3d():
            transposed = {"transposed": True, "output_padding": module.output_padding}
            return _convolution(module) | transposed, About(module.out_channels, module.in_channels)
        case nn.Linear():
            return {"kernel_size": (1,)}, About(
                module.out_features, module.in_features, linear=True
            )
        case nn.Unfold():
            return _window(module), About()
        case nn.Fold():
            size = _pair(module.output_size)
            return _window(module), About(folded_size=size)
    raise TypeError(
        f"no layer of {type(module).__name__}; there are Conv1d/2d/3d, ConvTranspose1d/2d/3d, "
        "Linear, Unfold and Fold, or give hyper-parameters to Conv(…)"
    )


def _check_plain(module: nn.Module) -> None:
    """Raise unless a module computes the same as torch's own class with these hyper-parameters."""
    from torch import nn
    from torch.nn.parameter import is_lazy

    for name in ("Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d",
                 "ConvTranspose3d", "Linear", "Unfold", "Fold"):  # fmt: skip
        cls = getattr(nn, name)
        if not isinstance(module, cls):
            continue
        for method in ("__call__", "forward", "_conv_forward", "_output_padding"):
            theirs = getattr(cls, method, None)
            if getattr(type(module), method, None) is theirs and method not in vars(module):
                continue
            what = "was replaced" if method in vars(module) else f"is not that of {name}"
            raise TypeError(
                f"no layer of {type(module).__name__}: its {method} {what}, so that its "
                "hyper-parameters do not say what it computes. Where it is a convolution with "
                "another weight, give them to Conv(…), and its methods that weight"
            )
        if is_lazy(module._parameters.get("weight")):
            raise ValueError(
                f"{type(module).__name__} has no channels yet: call the network once before"
            )


def _convolution(module: Any) -> dict[str, Any]:
    names = ("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
    return {name: getattr(module, name) for name in names}


def _window(module: Any) -> dict[str, Any]:
    names = ("kernel_size", "stride", "padding", "dilation")
    return {name: _pair(getattr(module, name)) for name in names}


def _pair(value: Any) -> tuple[int, ...]:
    """Expand a number to both dimensions."""
    if isinstance(value, int):
        return (value, value)
    numbers = tuple(int(n) for n in value)
    return numbers * 2 if len(numbers) == 1 else numbers
