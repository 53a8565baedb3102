"""`dg.curvature`: Kronecker factors, diagonals and Gram matrices of a whole torch.nn.Module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from diagrammar.networks.batches import Batch, batches, leading, usable
from diagrammar.networks.checks import MODES as CHECKS
from diagrammar.networks.collect import QUANTITIES, Collector
from diagrammar.networks.identity import Reduction, identity_of
from diagrammar.networks.losses import vectors_of
from diagrammar.networks.passes import Passes
from diagrammar.networks.result import Curvature
from diagrammar.networks.selection import check_independent, chosen, is_compiled, unwrapped
from diagrammar.networks.sharding import shards
from diagrammar.networks.site import Wanted

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn
    from torch.distributed import ProcessGroup


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
    exclude: Sequence[str] = (),
    skip_others: bool = False,
    bias: bool = True,
    groups: str = "exact",
    basis: Curvature | None = None,
    check: str = "first",
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
    `layers` (names; by default all whose weights are trained), without those in `exclude`.
    `skip_others` leaves out parameters in modules of other kinds, such as normalisations. `bias` is
    joint with the weight in factors. `groups` and `options` (`plan`, `memory`, `accumulate`,
    `nonfinite`) are those of `dg.layers.Conv`. With `distributed` (or a process `group`) each
    process has a part of the data, and the result is that of all. "gram" keeps inputs and vectors
    of all examples until the end.

    Which rows of a layer are which example's is found by backward passes for the first batch, so
    that frames, windows or crops may be folded into the batch, and time may come first. `check`
    compares autograd's gradients by the layers' weights with what was seen of their calls, and one
    example alone with its batch: in the "first" batch, in "every" one, or never ("off").

    Results are by the weight that a layer uses: of one with `torch.nn.utils.parametrizations`, not
    by what the weight is made from. Of a pruned one, diagonals and Gram matrices are by the
    parameter, zero where it is masked. Sums are in float32 at least.

    Neither parameters nor their `.grad` change. Raises ValueError for a network whose examples are
    not independent, and for batches that are no pairs; TypeError for layers that there are no
    operations for; NotImplementedError for a layer that is called twice, or whose weight is used
    elsewhere, too.
    """
    with shards(group, distributed) as others:
        wanted = _wanted(what)
        if check not in CHECKS:
            raise ValueError(f"check must be one of {', '.join(CHECKS)}, not {check!r}")
        model = unwrapped(model)
        modules = chosen(model, layers, exclude, skip_others)
        check_independent(model)
        reduction = Reduction(loss, terms)
        roots = reduction.counting(vectors_of(loss, vectors, samples, generator, terms))
        own = _bases(basis, wanted, modules, bias, groups)
        about = {
            "what": list(wanted), "layers": list(modules), "vectors": vectors, "samples": samples,
            "terms": terms, "bias": bias, "groups": groups, "accumulate": options.get("accumulate"),
        }  # fmt: skip
        identity = identity_of(model, loss)
        bases = others.agree(model, {"options": about, **identity}, own)
        collector = Collector(
            modules, Wanted(wanted, groups, options, bases), bias, every=layers is not None
        )
        passes, examples = Passes(model, collector, roots, check), 0
        with differentiable(model), gradients_of(modules), collector:
            for x, y in others.listening(batches(data, progress)):
                if leading(x) != 0:
                    examples += passes.batch(usable(x), usable(y))
            if examples:
                collector.check_called()
        part = Curvature(collector.sums(), examples, about, collector.grams(), bases)
        return others.summed(replace(part, identity=reduction.marked(identity)))


@contextmanager
def differentiable(model: nn.Module) -> Iterator[None]:
    """A context in which gradients are recorded, also within `no_grad` and `inference_mode`, and
    compiled parts, whose code runs no hooks, run as they were written."""
    from torch import compiler, enable_grad, inference_mode

    with ExitStack() as stack:
        stack.enter_context(inference_mode(False))
        stack.enter_context(enable_grad())
        if is_compiled(model):
            if not hasattr(compiler, "set_stance"):
                raise NotImplementedError(
                    "parts of the network were compiled by torch.compile, whose code runs no "
                    "hooks; give the network as it was before (PyTorch 2.6 can run it so)"
                )
            stack.enter_context(compiler.set_stance("force_eager"))
        yield


@contextmanager
def gradients_of(modules: dict[str, nn.Module]) -> Iterator[None]:
    """A context in which all parameters of the layers require gradients. Raises
    NotImplementedError for parameters made under `inference_mode`."""
    parameters = [p for module in modules.values() for p in module.parameters()]
    if any(p.is_inference() for p in parameters):
        raise NotImplementedError(
            "the network was made under torch.inference_mode(), so that nothing can be "
            "differentiated by its parameters; make it, or load it, outside"
        )
    frozen = [p for p in parameters if not p.requires_grad and p.is_floating_point()]
    try:
        for p in frozen:
            p.requires_grad_(True)
        yield
    finally:
        for p in frozen:
            p.requires_grad_(False)


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
