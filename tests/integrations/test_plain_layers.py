"""Layers that do more than torch's own forward are refused, and those that do not are taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

import diagrammar as dg

pytestmark = pytest.mark.filterwarnings("ignore")

CLASSES: dict[str, tuple[Any, ...]] = {
    "Conv1d": (2, 3, 2), "Conv2d": (2, 3, 2), "Conv3d": (2, 3, 2), "ConvTranspose1d": (2, 3, 2),
    "ConvTranspose2d": (2, 3, 2), "ConvTranspose3d": (2, 3, 2), "Linear": (2, 3), "Unfold": (2,),
    "Fold": (4, 2),
}  # fmt: skip


def subclass(cls: Any, **methods: Any) -> Any:
    return type(f"Own{cls.__name__}", (cls,), methods)


def doubled(self: Any, *given: Any) -> Tensor:
    return 2 * super(type(self), self).forward(*given)


@pytest.mark.parametrize("name", CLASSES)
class TestOf:
    def test_subclasses_with_a_method_of_their_own(self, name: str):
        cls, given = getattr(nn, name), CLASSES[name]
        methods = [m for m in ("forward", "_conv_forward", "_output_padding") if hasattr(cls, m)]
        for method in (*methods, "__call__"):
            own = subclass(cls, **{method: doubled})
            words = rf"no layer of Own{name}: its {method} is not that of {name}, so that its"
            with pytest.raises(TypeError, match=words):
                dg.layers.Conv.of(own(*given))
        for method in methods:
            module = cls(*given)
            setattr(module, method, lambda *x: x)
            with pytest.raises(TypeError, match=f"no layer of {name}: its {method} was replaced"):
                dg.layers.Conv.of(module)

    def test_what_computes_the_same(self, name: str):
        cls, given = getattr(nn, name), CLASSES[name]
        plain, own = cls(*given), subclass(cls, extra_repr=lambda self: "own")(*given)
        assert repr(dg.layers.Conv.of(own)) == repr(dg.layers.Conv.of(plain))
        if name not in ("Unfold", "Fold"):
            prune.random_unstructured(own, "weight", 0.5)
            made = parametrizations.weight_norm(cls(*given))
            for module in (own, made, parametrizations.spectral_norm(cls(*given))):
                assert repr(dg.layers.Conv.of(module)) == repr(dg.layers.Conv.of(plain))


def test_lazy_modules():
    lazy = nn.LazyConv2d(3, 2)
    with pytest.raises(ValueError, match="LazyConv2d has no channels yet: call the network once"):
        dg.layers.Conv.of(lazy)
    lazy(torch.randn(1, 2, 4, 4))
    assert dg.layers.Conv.of(lazy).geometry.kernel_size == (2, 2)


# -- integrations ----------------------------------------------------------------------------------


def added(module: nn.Module, given: Any, made: Tensor) -> Tensor:
    return made + 1


def in_place(module: nn.Module, given: Any, made: Tensor) -> None:
    made.mul_(3)


def reshaped(module: nn.Module, given: Any, made: Tensor) -> Tensor:
    return made[:, :1]


def recorded(module: nn.Module, given: Any, made: Tensor) -> None:
    module.seen = made.detach()  # type: ignore[assignment]


def cloned(module: nn.Module, given: Any, made: Tensor) -> Tensor:
    return made.clone()


CHANGES = {
    "scaled": lambda m, x, y: 2 * y, "added": added, "in place": in_place, "reshaped": reshaped,
}  # fmt: skip
HARMLESS: dict[str, Callable[..., Any]] = {"recorded": recorded, "cloned": cloned}

LAYERS = {
    "Conv2d": lambda: nn.Conv2d(2, 4, 2, groups=2),
    "Conv1d": lambda: nn.Conv1d(2, 4, 2),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(2, 4, 2),
    "Linear": lambda: nn.Linear(5, 4),
}
SIZES = {"Conv2d": (2, 5, 5), "Conv1d": (2, 5), "ConvTranspose2d": (2, 5, 5), "Linear": (5,)}


def kfac_of(layer: nn.Module, name: str) -> Any:
    """Our operator for curvlinops of a layer with squared loss, and its dense matrix by it."""
    pytest.importorskip("curvlinops", reason="pip install 'diagrammar[curvlinops]'")
    from diagrammar.integrations.curvlinops import KFACLinearOperator

    torch.manual_seed(0)
    model = nn.Sequential(layer, nn.Flatten()).double()
    x = torch.randn(3, *SIZES[name]).double()
    params = [p for p in model.parameters() if p.requires_grad]
    with torch.no_grad():
        y = model(x)
    return KFACLinearOperator(
        model, nn.MSELoss(reduction="sum"), params, [(x, y)], fisher_type="type-2",
        check_deterministic=False, separate_weight_and_bias=False,
    )  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
class TestCurvlinops:
    @pytest.mark.parametrize("change", CHANGES)
    def test_hooks_that_change_outputs(self, name: str, change: str):
        layer = LAYERS[name]()
        layer.register_forward_hook(CHANGES[change])
        with pytest.raises(TypeError, match="layer '0' has a forward hook that changes its output"):
            kfac_of(layer, name).compute_kronecker_factors()

    @pytest.mark.parametrize("hook", HARMLESS)
    def test_other_hooks(self, name: str, hook: str):
        torch.manual_seed(1)
        layer = LAYERS[name]()
        plain = kfac_of(layer, name)
        plain.compute_kronecker_factors()
        layer.register_forward_hook(HARMLESS[hook])
        made = kfac_of(layer, name)
        made.compute_kronecker_factors()
        for stores in ("_input_covariances", "_gradient_covariances"):
            for key, value in getattr(plain, stores).items():
                assert torch.equal(value, getattr(made, stores)[key])

    def test_a_hook_that_scales_the_input(self, name: str):
        """The layer sees 3x: so do its factors."""
        layer = LAYERS[name]()
        plain = kfac_of(layer, name)
        plain.compute_kronecker_factors()
        layer.register_forward_pre_hook(lambda module, given: (3 * given[0],))
        made = kfac_of(layer, name)
        made.compute_kronecker_factors()
        for key, value in plain._input_covariances.items():
            assert torch.allclose(made._input_covariances[key][:-1, :-1], 9 * value[:-1, :-1])

    def test_a_forward_of_its_own(self, name: str):
        layer = LAYERS[name]()
        layer.__class__ = subclass(type(layer), forward=doubled)
        with pytest.raises(TypeError, match=f"layer '0': no layer of Own{name}: its forward is"):
            kfac_of(layer, name).compute_kronecker_factors()
        layer = LAYERS[name]()
        layer.forward = lambda x: type(layer).forward(layer, 2 * x)
        with pytest.raises(TypeError, match=f"layer '0': no layer of {name}: its forward was rep"):
            kfac_of(layer, name).compute_kronecker_factors()

    def test_weights_that_are_made(self, name: str):
        for change, parameter in (
            (lambda m: prune.random_unstructured(m, "weight", 0.5), "weight_orig"),
            (parametrizations.weight_norm, r"parametrizations\.weight\.original0"),
            (nn.utils.weight_norm, "weight_g"),
            (nn.utils.spectral_norm, "weight_orig"),
        ):
            layer = LAYERS[name]()
            change(layer)
            with pytest.raises(
                NotImplementedError,
                match=f"'0' is pruned or parametrised: its weight is made from {parameter}",
            ):
                kfac_of(layer, name).compute_kronecker_factors()


@pytest.mark.parametrize("name", ["Conv1d", "Conv2d", "ConvTranspose2d"])
@pytest.mark.parametrize("kind", ["BatchGrad", "DiagGGNExact"])
class TestBackPACK:
    def run(self, layer: nn.Module, name: str, kind: str, later: Any = None) -> Tensor:
        backpack = pytest.importorskip("backpack", reason="pip install 'diagrammar[backpack]'")
        from backpack import extensions

        from diagrammar.integrations.backpack import ours

        torch.manual_seed(0)
        model = backpack.extend(nn.Sequential(layer, nn.Flatten()))
        if later is not None:
            layer.register_forward_hook(later)
        loss = backpack.extend(nn.MSELoss(reduction="sum"))
        x, extension = torch.randn(3, *SIZES[name]), ours(getattr(extensions, kind)())
        with backpack.backpack(extension):
            y = model(x)
            loss(y, torch.zeros_like(y)).backward()
        found: Tensor = getattr(layer.weight, extension.savefield)
        return found

    @pytest.mark.parametrize("change", CHANGES)
    def test_hooks_that_change_outputs(self, name: str, kind: str, change: str):
        layer = LAYERS[name]()
        layer.register_forward_hook(CHANGES[change])
        with pytest.raises(TypeError, match=f"layer '{name}' has a forward hook that changes"):
            self.run(layer, name, kind)
        if kind == "BatchGrad":  # for the other, BackPACK itself does not find its vectors
            words = f"{name} has a forward hook that was registered after"
            with pytest.raises(TypeError, match=words):
                self.run(LAYERS[name](), name, kind, CHANGES[change])

    @pytest.mark.parametrize("hook", HARMLESS)
    def test_other_hooks(self, name: str, kind: str, hook: str):
        torch.manual_seed(1)
        layer = LAYERS[name]()
        plain = self.run(layer, name, kind)
        torch.manual_seed(1)
        layer = LAYERS[name]()
        layer.register_forward_hook(HARMLESS[hook])
        assert torch.equal(self.run(layer, name, kind), plain)

    def test_a_forward_of_its_own(self, name: str, kind: str):
        layer = LAYERS[name]()
        layer.forward = lambda x: type(layer).forward(layer, 2 * x)
        with pytest.raises(TypeError, match=f"no layer of {name}: its forward was replaced"):
            self.run(layer, name, kind)


def test_singd():
    pytest.importorskip("singd", reason="pip install 'diagrammar[singd]'")
    from diagrammar.integrations.singd import process_input

    layer = subclass(nn.Conv2d, forward=doubled)(2, 4, 2)
    with pytest.raises(TypeError, match="no layer of OwnConv2d: its forward is not that of Conv2d"):
        process_input(torch.randn(3, 2, 5, 5), layer, "expand")
