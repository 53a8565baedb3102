"""`dg.curvature`: Kronecker factors, diagonals and Gram matrices of a whole torch.nn.Module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from typing import TYPE_CHECKING, Any

from diagrammar.networks.collect import QUANTITIES, Collector
from diagrammar.networks.losses import vectors_of
from diagrammar.networks.result import Curvature
from diagrammar.networks.sharding import broadcast

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn
    from torch.distributed import ProcessGroup

Batch = tuple[Any, Any]


def curvature(
    model: nn.Module,
    data: Iterable[Batch] | Batch,
    loss: nn.Module | Callable[[Tensor, Tensor], Tensor],
    what: str | Sequence[str] = "kfac_expand",
    *,
    vectors: str = "exact",
    samples: int = 1,
    terms: str = "joint",
    generator: Generator | None = None,
    layers: Sequence[str] | None = None,
    skip_others: bool = False,
    bias: bool = True,
    groups: str = "exact",
    basis: Curvature | None = None,
    progress: bool = False,
    group: ProcessGroup | None = None,
    distributed: bool = False,
    **options: Any,
) -> Curvature:
    """The curvature of a network's convolutions and linear layers, over a loader's batches (x, y).

    `what`: "kfac_expand", "kfac_reduce", "ekfac", "diag_ggn", "gram", or several; "ekfac" needs
    `basis`, an earlier result with Kronecker factors, whose eigenvectors it takes. `loss` is
    MSELoss, CrossEntropyLoss or BCEWithLogitsLoss, with any of their options; or another module or
    function (f, y) → one number, or one for each example, convex in the output, which autograd
    differentiates twice; or a function (f, y) → vectors [n, *f.shape] whose outer products are its
    Hessian by the output. `vectors` says which of the loss are taken: "exact", one backward pass
    for each output entry; "mc", `samples` draws of labels; or "empirical", the gradient for the
    labels given: with `terms="joint"` of the example's loss, with "separate" of each term of its
    mean, with "curvlinops" as curvlinops scales it. Results are means over examples of the
    Gauss–Newton matrix of one example's loss, the loss of a batch of that example alone, by
    `layers` (names; by default all). `skip_others` leaves out parameters in modules of other
    kinds, such as normalisations. `bias` is joint with the weight in factors. `groups` and
    `options` (`plan`, `memory`, `accumulate`) are those of `dg.layers.Conv`. With `distributed` (or
    a process `group`) each process has a part of the data, and the result is that of all. "gram"
    keeps inputs and vectors of all examples until the end.

    Neither parameters nor their `.grad` change. Raises ValueError for a network in training mode
    whose examples are not independent, TypeError for layers that there are no operations for,
    NotImplementedError for a layer that is called twice.
    """
    from torch import enable_grad

    wanted = _wanted(what)
    modules = _modules(model, layers, skip_others)
    _check_independent(model)
    roots = vectors_of(loss, vectors, samples, generator, terms)
    examples = 0
    bases = _bases(basis, wanted, modules, bias, groups)
    if bases and (distributed or group is not None):
        bases = broadcast(bases, group)
    collector = Collector(modules, wanted, groups, bias, options, bases)
    with enable_grad(), collector:
        for x, y in _batches(data, progress):
            examples += _one_batch(model, x, y, roots, collector)
    about = {
        "what": list(wanted), "layers": list(modules), "vectors": vectors, "samples": samples,
        "terms": terms, "bias": bias, "groups": groups,
    }  # fmt: skip
    sums = {name: values for name, values in collector.sums.items() if values}
    made = Curvature(sums, examples, about, collector.grams() if examples else {}, bases)
    return made.all_reduced(group) if distributed or group is not None else made


def _wanted(what: str | Sequence[str]) -> tuple[str, ...]:
    wanted = (what,) if isinstance(what, str) else tuple(what)
    for name in wanted:
        if name not in QUANTITIES:
            raise ValueError(f"what must be among {', '.join(QUANTITIES)}, not {name!r}")
    return wanted


def _bases(
    basis: Curvature | None, wanted: Sequence[str], names: Iterable[str], bias: bool, groups: str
) -> dict[str, tuple[Tensor, Tensor]]:
    """The eigenvectors of the layers' factors, where EKFAC is wanted."""
    if "ekfac" not in wanted:
        if basis is not None:
            raise ValueError("basis is for ekfac, which is not asked for")
        return {}
    if basis is None:
        raise ValueError(
            "ekfac needs basis=, the Kronecker factors of the data: "
            'basis=dg.curvature(model, data, loss, "kfac_expand")'
        )
    if groups != "exact":
        raise ValueError(f"groups={groups!r} has no ekfac: gradients of a group are not averages")
    for name, here in (("bias", bias), ("groups", groups)):
        there = basis.options.get(name)
        if there != here:
            raise ValueError(f"{name} is {there!r} in the basis and {here!r} here")
    return {name: basis.eigenvectors(name) for name in names}


def _one_batch(
    model: nn.Module,
    x: Any,
    y: Any,
    roots: Callable[[Tensor, Tensor], Iterator[Tensor]],
    collector: Collector,
) -> int:
    """Run one batch, and say how many examples it had."""
    from torch import autograd

    f, count = model(x), 0
    if f.ndim < 2:
        raise ValueError(f"the network's output has shape {tuple(f.shape)}, not [b, …]")
    waiting = roots(f, y)
    v = next(waiting, None)
    while v is not None:
        if v.shape != f.shape:
            raise ValueError(f"a vector of shape {tuple(v.shape)} for outputs {tuple(f.shape)}")
        following = next(waiting, None)
        last = following is None
        if collector.anchor is not None and f.requires_grad:
            autograd.grad(f, collector.anchor, v, retain_graph=not last)
        v, count = following, count + 1
    collector.finish_batch(count)
    return len(f)


def _batches(data: Iterable[Batch] | Batch, progress: bool) -> Iterable[Batch]:
    """The batches of a loader, or the one that was given; with a bar where that is wanted."""
    from torch import Tensor

    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], Tensor):
        data = [data]
    if not progress:
        return data
    from rich.progress import track

    return track(data, "curvature", total=len(data) if isinstance(data, Sized) else None)


# -- which layers ----------------------------------------------------------------------------------


def _supported(module: nn.Module) -> bool:
    """Whether a module is a convolution or a linear layer that computes what torch's own does."""
    from torch import nn

    kinds = (
        *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear),
        *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    )
    return any(isinstance(module, kind) and type(module).forward is kind.forward for kind in kinds)


def _modules(
    model: nn.Module, layers: Sequence[str] | None, skip_others: bool
) -> dict[str, nn.Module]:
    """The layers by name. Raises TypeError for those that there are no operations for."""
    everything = dict(model.named_modules())
    if layers is None:
        found = {n: m for n, m in everything.items() if _supported(m)}
        inside = {id(p) for m in found.values() for p in m.parameters()}
        others = [n for n, p in model.named_parameters() if p.requires_grad and id(p) not in inside]
        if others and not skip_others:
            kinds = sorted({type(everything[n.rpartition(".")[0]]).__name__ for n in others})
            raise TypeError(
                f"{len(others)} parameters, first {others[0]!r}, are in modules that there are no "
                f"operations for ({', '.join(kinds)}); skip_others=True leaves them out"
            )
    else:
        for name in layers:
            if name not in everything:
                raise ValueError(f"no module {name!r} in this network")
            if not _supported(everything[name]):
                kind = type(everything[name]).__name__
                raise TypeError(
                    f"{name!r} is a {kind}; there are Conv1d/2d/3d, ConvTranspose1d/2d/3d and "
                    "Linear, without a forward of their own"
                )
        found = {n: everything[n] for n in layers}
    if not found:
        raise ValueError("this network has no convolution and no linear layer")
    _check_untied(found)
    return found


def _check_untied(modules: dict[str, nn.Module]) -> None:
    owner: dict[int, str] = {}
    for name, module in modules.items():
        other = owner.setdefault(id(module.weight), name)
        if other != name:  # its blocks would be summed over uses, with terms between them
            raise NotImplementedError(
                f"layers {other!r} and {name!r} share a weight; leave one out: layers=[…]"
            )


def _check_independent(model: nn.Module) -> None:
    from torch import nn

    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training:
            raise ValueError(
                f"{name!r} normalises over the batch in training mode, so that examples depend on "
                "each other: call model.eval()"
            )
