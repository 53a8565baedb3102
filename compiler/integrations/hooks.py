"""Whether forward hooks leave a module's output as its forward computes it.

Operations on layers need the layer's own output: where a hook scales it, or adds to it, gradients
by the weight are different.
"""

from __future__ import annotations

from torch import Tensor, finfo, nn, no_grad


def check_unchanged(name: str, module: nn.Module, x: Tensor, output: Tensor, own: int) -> None:
    """Compare a module's output with its forward on x, where it has more than `own` forward hooks.
    Raises TypeError where they differ."""
    if len(module._forward_hooks) <= own:
        return
    with no_grad():
        plain = type(module).forward(module, x)
        same = plain.shape == output.shape
        if same and plain.numel():
            near = 10 * finfo(plain.dtype).eps ** 0.5 * float(plain.abs().max())
            same = float((plain - output).abs().max()) <= near
    if not same:
        raise TypeError(
            f"layer {name!r} has a forward hook that changes its output, so that it is not the "
            f"{type(module).__name__} that its hyper-parameters say; remove the hook, or put what "
            "it does into a module of its own"
        )
