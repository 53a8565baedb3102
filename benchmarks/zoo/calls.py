"""Each use of a weight by an operator of PyTorch: the rows that come in, and the output.

Calls are seen at the operators of torch.nn.functional, not at modules, so that hooks of modules,
replaced forwards and functions that take a module's weight make no difference. Rows are windows of
the operator itself: its output for a kernel that copies each entry of a window to a channel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional

CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
TRANSPOSED = (
    *("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"),
)
OPERATORS: dict[str, tuple[type[nn.Module], tuple[str, ...]]] = {
    "linear": (nn.Linear, ("input", "weight", "bias")),
    "conv1d": (nn.Conv1d, CONVOLUTION),
    "conv2d": (nn.Conv2d, CONVOLUTION),
    "conv3d": (nn.Conv3d, CONVOLUTION),
    "conv_transpose1d": (nn.ConvTranspose1d, TRANSPOSED),
    "conv_transpose2d": (nn.ConvTranspose2d, TRANSPOSED),
    "conv_transpose3d": (nn.ConvTranspose3d, TRANSPOSED),
}
"""The operators with a weight, whose they are, and the names of their arguments in order."""

Operator = Callable[..., Tensor]


@dataclass(frozen=True)
class Call:
    """One use of a weight: rows a [g, r, d] without a one for the bias, the weight itself, which a
    parametrisation or a hook may have just made, and the output, whose channels stand before `dims`
    axes of positions."""

    rows: Tensor
    weight: Tensor
    output: Tensor
    dims: int

    def by_row(self, gradients: Tensor) -> Tensor:
        """Gradients by the output, [m, *output], as [m, g, r, c_out/g]."""
        groups = self.rows.shape[0]
        last = gradients.movedim(gradients.ndim - self.dims - 1, -1)
        flat = last.reshape(len(last), -1, groups, last.shape[-1] // groups)
        return flat.transpose(1, 2)


@contextmanager
def recorded(layers: Mapping[str, nn.Module]) -> Iterator[dict[str, list[Call]]]:
    """The calls of layers' operators with their weights, in order, while the context is entered.

    An output goes on as a copy, or an activation in place would change what is kept.
    """
    found: dict[str, list[Call]] = {name: [] for name in layers}

    def watched(name: str, operator: Operator) -> Operator:
        def watching(*args: Any, **kwargs: Any) -> Tensor:
            output = operator(*args, **kwargs)
            kind, names = OPERATORS[name]
            given = dict(zip(names, args, strict=False)) | kwargs
            users = [
                layer
                for layer, module in layers.items()
                if isinstance(module, kind) and module.weight is given["weight"]
            ]
            if not users:
                return output
            with torch.no_grad():
                rows = _rows(operator, given, names is TRANSPOSED)
            dims = 0 if name == "linear" else given["weight"].ndim - 2
            for layer in users:
                found[layer].append(Call(rows, given["weight"], output, dims))
            return output.clone()

        return watching

    with ExitStack() as stack:
        for name in OPERATORS:
            original = getattr(functional, name)
            stack.enter_context(patch.object(functional, name, watched(name, original)))
        yield found


def _rows(operator: Operator, given: Mapping[str, Any], transposed: bool) -> Tensor:
    """The rows of an operator's input, [g, r, d]."""
    x, weight = given["input"].detach(), given["weight"]
    kernel = weight.shape[2:]
    if not kernel:
        return x.reshape(1, -1, x.shape[-1])
    if x.ndim == len(kernel) + 1:  # one image without a batch
        x = x[None]
    groups = given.get("groups", 1)
    channels, taps = x.shape[1] // groups, prod(kernel)
    copying = torch.eye(channels * taps, dtype=x.dtype).reshape(-1, channels, *kernel)
    if transposed:
        copying = copying.transpose(0, 1)
    kept = {k: v for k, v in given.items() if k not in ("input", "weight", "bias", "groups")}
    windows = [operator(part, copying, None, groups=1, **kept) for part in x.chunk(groups, 1)]
    return torch.stack([w.movedim(1, -1).reshape(-1, channels * taps) for w in windows])
