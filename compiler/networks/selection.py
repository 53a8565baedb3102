"""Choose the layers of a network, and refuse networks that cannot be handled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

KINDS = "Conv1d/2d/3d, ConvTranspose1d/2d/3d and Linear, with torch's own forward"


def unwrapped(model: nn.Module) -> nn.Module:
    """Take a network out of wrappers that compute the same: `torch.compile`, whose code runs no
    hooks, and wrappers of parallel training."""
    from torch import nn

    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and isinstance(
            model, (nn.DataParallel, nn.parallel.DistributedDataParallel)
        ):
            inner = model.module
        if inner is None:
            return model
        model = inner


def is_compiled(model: nn.Module) -> bool:
    """Whether a part of a network was compiled by `torch.compile`."""
    return any(
        hasattr(m, "_orig_mod") or getattr(m, "_compiled_call_impl", None) is not None
        for m in model.modules()
    )


def chosen(
    model: nn.Module, layers: Sequence[str] | None, exclude: Sequence[str], skip_others: bool
) -> dict[str, nn.Module]:
    """The layers by name: the listed ones, or all trained ones; without the excluded ones.

    Raises ValueError for unknown names, TypeError for modules without operations,
    NotImplementedError for layers that share a parameter with another module.
    """
    everything = dict(model.named_modules())
    listed = _names(layers, "layers", everything)
    without = set(_names(exclude, "exclude", everything) or ())
    if listed is None:
        modules = _trained(model, everything, without, skip_others)
    else:
        for name in listed:
            problem = unfit(everything[name])
            if problem:
                raise TypeError(f"{name!r} is {problem}; there are {KINDS}")
        modules = {name: everything[name] for name in listed if name not in without}
    if not modules:
        raise ValueError(_nothing(everything))
    _check_untied(model, modules)
    return modules


def _names(
    given: Sequence[str] | None, option: str, modules: dict[str, nn.Module]
) -> tuple[str, ...] | None:
    """Check names of modules, each once; a string is one name. Raises ValueError for unknown
    names."""
    if given is None:
        return None
    names = dict.fromkeys((given,) if isinstance(given, str) else given)
    for name in names:
        if name not in modules:
            raise ValueError(f"{option}: no module {name!r} in this network")
    return tuple(names)


def unfit(module: nn.Module) -> str | None:
    """Say why there are no operations for a module; None where there are."""
    from torch import nn

    kinds: tuple[Any, ...] = (
        *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear),
        *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    )
    name = type(module).__name__
    kind = next((k for k in kinds if isinstance(module, k)), None)
    if kind is None:
        return f"a {name}"
    for method in ("forward", "_conv_forward"):
        if getattr(type(module), method, None) is not getattr(kind, method, None):
            return f"a {name}, whose {method} is its own"
        if method in vars(module):
            return f"a {name} whose {method} was replaced"
    return None


def is_trained(module: nn.Module, name: str = "weight") -> bool:
    """Whether a layer's weight (or bias), or a parameter that it is computed from, requires a
    gradient."""
    plain = module._parameters.get(name)
    if plain is not None:
        return plain.requires_grad
    return any(p.requires_grad for n, p in module.named_parameters() if name in n)


def _trained(
    model: nn.Module, everything: dict[str, nn.Module], without: set[str], skip_others: bool
) -> dict[str, nn.Module]:
    """All trained layers. Raises TypeError where other modules have trained parameters."""
    fit = {n: m for n, m in everything.items() if unfit(m) is None}
    layers = {n: m for n, m in fit.items() if n not in without and is_trained(m)}
    inside = {id(p) for m in layers.values() for p in m.parameters()}
    for name in without:
        inside |= {id(p) for p in everything[name].parameters()}
    others = [n for n, p in model.named_parameters() if p.requires_grad and id(p) not in inside]
    if others and not skip_others:
        owners = [everything[n.rpartition(".")[0]] for n in others]
        kinds = sorted({unfit(m) or "a layer with a frozen weight" for m in owners})
        raise TypeError(
            f"{len(others)} parameters, first {others[0]!r}, are in modules that there are no "
            f"operations for ({'; '.join(k.removeprefix('a ') for k in kinds)}); skip_others=True "
            "leaves them out"
        )
    return layers


def _nothing(everything: dict[str, nn.Module]) -> str:
    """The words for a network without layers."""
    fit = [n for n, m in everything.items() if unfit(m) is None]
    if not fit:
        return "this network has no convolution and no linear layer"
    return (
        f"no layer is left of {len(fit)}, first {fit[0]!r}: those whose weights do not require "
        "gradients are computed where they are listed, layers=[…]"
    )


def _check_untied(model: nn.Module, layers: dict[str, nn.Module]) -> None:
    """Raise NotImplementedError where another module also has a layer's parameter: then gradients
    are sums over both uses, and squares have products between them."""
    owners: dict[int, list[tuple[str, str, nn.Module]]] = {}
    for name, module in model.named_modules():
        for parameter, value in module.named_parameters(recurse=False):
            owners.setdefault(id(value), []).append((name, parameter, module))
    for name, layer in layers.items():
        inside = {id(m) for m in layer.modules()}
        for value in layer.parameters():
            for other, parameter, module in owners[id(value)]:
                if id(module) not in inside:
                    shared = "bias" if value is getattr(layer, "bias", None) else "weight"
                    raise NotImplementedError(
                        f"layers {name!r} and {other!r} share a {shared} ({other}.{parameter}), so "
                        "that gradients are sums over both uses; leave "
                        f"{' and '.join(_layers_of((name, other), layers))} out: "
                        f"exclude={list(_layers_of((name, other), layers))}"
                    )


def _layers_of(names: Sequence[str], layers: dict[str, nn.Module]) -> tuple[str, ...]:
    return tuple(n for n in names if n in layers)


def coupled(model: nn.Module) -> Iterator[str]:
    """Yield the names of modules that use statistics of the batch: in training mode, or without
    running statistics."""
    from torch import nn

    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and (
            module.training or module.running_mean is None
        ):
            yield name


def check_independent(model: nn.Module) -> None:
    """Raise ValueError for a network that normalises over the batch."""
    for name in coupled(model):
        module = model.get_submodule(name)
        cure = (
            "call model.eval()"
            if module.running_mean is not None
            else "it has no running statistics (track_running_stats=False): give it some"
        )
        mode = "in training mode" if module.training else "also in evaluation mode"
        raise ValueError(
            f"{name!r} normalises over the batch {mode}, so that examples depend on each other: "
            f"{cure}"
        )
