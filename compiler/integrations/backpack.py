"""BackPACK's quantities of convolutions, computed by `diagrammar.layers`.

    from diagrammar.integrations.backpack import ours

    with backpack(ours(BatchGrad()), ours(DiagGGNExact())):
        loss.backward()

`ours` sets module extensions, BackPACK's documented way, for Conv1d/2d/3d and
ConvTranspose1d/2d/3d, so that groups, padding modes, `'same'` and output padding are right. All
other modules, losses and save fields stay BackPACK's. Made for BackPACK 1.6 and 1.7.
"""

from __future__ import annotations

from typing import Any, TypeVar

from diagrammar.integrations.versions import need, offers

LIBRARY = "backpack", "backpack-for-pytorch"
need(*LIBRARY, "1.6", "2")
NAMES = (
    "backpack:hook_store_io",
    "backpack.extensions.backprop_extension:BackpropExtension.get_subsampling",
    "backpack.extensions.backprop_extension:BackpropExtension.set_module_extension",
    "backpack.extensions.module_extension:ModuleExtension",
    "backpack.utils.subsampling:subsample",
)
offers(*LIBRARY, NAMES)

from backpack import extensions, hook_store_io  # noqa: E402
from backpack.extensions.backprop_extension import BackpropExtension  # noqa: E402
from backpack.extensions.module_extension import ModuleExtension  # noqa: E402
from backpack.utils.subsampling import subsample  # noqa: E402
from torch import Tensor, nn, unflatten  # noqa: E402

from diagrammar.integrations.hooks import check_unchanged  # noqa: E402
from diagrammar.layers import Conv  # noqa: E402
from diagrammar.layers.shared import shared_layer  # noqa: E402

__all__ = ["ours"]

Extension = TypeVar("Extension", bound=Any)

MODULES = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)


def layer_of(module: Any) -> Conv:
    """The layer of a module. Raises TypeError for a module that computes something else, by its own
    forward or by a forward hook."""
    hooks = list(module._forward_hooks.values())
    position = hooks.index(hook_store_io) if hook_store_io in hooks else len(hooks) - 1
    if hooks[position + 1 :]:
        raise TypeError(
            f"{type(module).__name__} has a forward hook that was registered after "
            "backpack.extend, which does not see what it changes; register it before"
        )
    check_unchanged(type(module).__name__, module, module.input0, module.output, own=1)
    return shared_layer(module)


class GradientQuantity(ModuleExtension):
    """A quantity of the examples' gradients, a `method` of layers, for weight and bias
    separately."""

    def __init__(self, method: str) -> None:
        self.method = method
        super().__init__(params=["bias", "weight"])

    def weight(self, ext: Any, module: Any, g_inp: Any, g_out: Any, vectors: Any) -> Tensor:
        """The quantity by the weight."""
        x, v = self._seen(ext, module.input0, g_out[0])
        quantity: Tensor = getattr(layer_of(module), self.method)(x, v)
        return quantity

    def bias(self, ext: Any, module: Any, g_inp: Any, g_out: Any, vectors: Any) -> Tensor:
        """The quantity by the bias, whose gradients are sums over positions."""
        layer_of(module)
        _, v = self._seen(ext, module.input0, g_out[0])
        g = v.flatten(2).sum(2)
        match self.method:
            case "batch_grad":
                return g
            case "batch_l2":
                return g.square().sum(1)
            case "sum_grad_squared":
                return g.square().sum(0)
        return g.square().mean(0) - g.mean(0).square()

    @staticmethod
    def _seen(ext: Any, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """The input and gradient of the examples that the extension looks at."""
        chosen = ext.get_subsampling()
        return subsample(x.detach(), subsampling=chosen), subsample(v, subsampling=chosen)


class DiagonalGGN(ModuleExtension):
    """The Gauss–Newton diagonal, from the vectors [n, b, c_out, *o] that BackPACK carries back
    through the network; with `each`, of each example."""

    def __init__(self, each: bool) -> None:
        self.each = each
        super().__init__(params=["bias", "weight"])

    def weight(self, ext: Any, module: Any, g_inp: Any, g_out: Any, vectors: Tensor) -> Tensor:
        """The diagonal by the weight."""
        layer = layer_of(module)
        method = layer.batch_diag_ggn if self.each else layer.diag_ggn
        diagonal = method(module.input0.detach(), vectors)
        assert not isinstance(diagonal, tuple)
        return diagonal

    def bias(self, ext: Any, module: Any, g_inp: Any, g_out: Any, vectors: Tensor) -> Tensor:
        """The diagonal by the bias."""
        layer_of(module)
        return vectors.flatten(3).sum(3).square().sum(0 if self.each else (0, 1))

    def backpropagate(
        self, ext: Any, module: Any, g_inp: Any, g_out: Any, vectors: Tensor
    ) -> Tensor:
        """Carry the vectors back to the layer's input."""
        flat = layer_of(module).input_vjp(
            vectors.flatten(0, 1), module.weight.detach(), module.input0.shape
        )
        back: Tensor = unflatten(flat, 0, vectors.shape[:2])
        return back


def ours(extension: Extension) -> Extension:
    """Make an extension of BackPACK take convolutions' quantities from here; the same extension.

    For BatchGrad, BatchL2Grad, SumGradSquared, Variance, DiagGGNExact, DiagGGNMC, BatchDiagGGNExact
    and BatchDiagGGNMC. Raises TypeError for others.
    """
    module_extension = _module_extension(extension)
    for module in MODULES:
        extension.set_module_extension(module, module_extension, overwrite=True)
    return extension


def _module_extension(extension: BackpropExtension) -> ModuleExtension:
    """Our module extension in place of BackPACK's. Raises TypeError where there is none."""
    match extension:
        case extensions.BatchGrad():
            return GradientQuantity("batch_grad")
        case extensions.BatchL2Grad():
            return GradientQuantity("batch_l2")
        case extensions.SumGradSquared():
            return GradientQuantity("sum_grad_squared")
        case extensions.Variance():
            return GradientQuantity("grad_variance")
        case extensions.BatchDiagGGNExact() | extensions.BatchDiagGGNMC():
            return DiagonalGGN(each=True)
        case extensions.DiagGGNExact() | extensions.DiagGGNMC():
            return DiagonalGGN(each=False)
    raise TypeError(
        f"nothing of ours for {type(extension).__name__}; there are BatchGrad, BatchL2Grad, "
        "SumGradSquared, Variance, DiagGGNExact, DiagGGNMC, BatchDiagGGNExact, BatchDiagGGNMC"
    )
