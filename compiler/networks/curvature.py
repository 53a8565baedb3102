"""`dg.curvature`: Kronecker factors, diagonals and Gram matrices of a whole torch.nn.Module.

Backward passes for the first batch find to which example each row of a layer belongs (see
`checks`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from diagrammar.networks.batches import Batch, batches, leading, usable
from diagrammar.networks.checks import MODES as CHECKS
from diagrammar.networks.collect import QUANTITIES, Collector
from diagrammar.networks.identity import Reduction, identity_of
from diagrammar.networks.losses import VectorChoice, vectors_of
from diagrammar.networks.passes import Passes
from diagrammar.networks.result import Curvature
from diagrammar.networks.selection import check_independent, chosen, is_compiled, unwrapped
from diagrammar.networks.sharding import Shards, Whole, shards
from diagrammar.networks.site import Quantities

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
    """Compute curvature of a network's convolutions and linear layers, over batches (x, y).

    `what` is "kfac_expand", "kfac_reduce", "ekfac", "diag_ggn", "gram", or several. "ekfac" needs
    `basis`, an earlier result with Kronecker factors, for its eigenvectors; "gram" keeps all inputs
    and vectors. Results are means over examples of the Gauss–Newton matrix of one example's loss,
    the loss of a batch of that example alone. Rows of one example (frames, windows, crops) may be
    folded into the batch, and time may come first.

    `loss` is MSELoss, CrossEntropyLoss or BCEWithLogitsLoss, with any options; another module or
    function (f, y) → one number, or one for each example, convex in the output, which autograd
    differentiates twice; or a function (f, y) → vectors [n, *f.shape] whose outer products sum to
    its Hessian by the output. `vectors` is "exact", one backward pass for each output entry; "mc",
    `samples` draws of labels; or "empirical", gradients for the given labels: of the example's loss
    with `terms="joint"`, of each term with "separate", scaled like curvlinops with "curvlinops".

    `layers` are names (by default all layers with trained weights), without those in `exclude`;
    `skip_others` leaves out parameters in other modules, for example normalisations. With `bias`,
    factors are joint for weight and bias. `groups` is as in `dg.layers.Conv.kfac_expand`; `options`
    (`plan`, `memory`, `accumulate`, `nonfinite`) go to `dg.layers.Conv`. With `distributed` (or a
    `group`) each process has a part of the data, and the result of all. `check` compares autograd's
    gradients by weights with the recorded calls, and one example with its batch: "first" batch,
    "every", "off".

    Parameters and `.grad` do not change. Raises ValueError for examples that depend on one another
    and for batches that are no pairs; TypeError for layers without operations; NotImplementedError
    for a layer that is called twice, or whose weight is also used elsewhere.
    """
    with shards(group, distributed) as processes:
        quantities = _quantities(what, check)
        model = unwrapped(model)
        modules = chosen(model, layers, exclude, skip_others)
        check_independent(model)
        choice = VectorChoice(vectors, samples, generator, terms)
        every = layers is not None
        request = Request(model, modules, quantities, loss, choice, bias, every, groups, options)
        part = request.over(batches(data, progress), basis, check, processes)
        return processes.summed(part)


@dataclass(frozen=True)
class Request:
    """The layers and quantities to compute, apart from the data."""

    model: nn.Module
    modules: dict[str, nn.Module]
    what: tuple[str, ...]
    loss: nn.Module | Callable[[Tensor, Tensor], Tensor]
    vectors: VectorChoice
    bias: bool
    every: bool  # layers were named: bias also where only the weight is trained
    groups: str
    options: dict[str, Any]

    def over(
        self,
        pairs: Iterable[Batch],
        basis: Curvature | None,
        check: str,
        processes: Whole | Shards,
    ) -> Curvature:
        """Compute the sums over this process's batches, with hooks at the layers."""
        kind, terms = self.vectors.kind, self.vectors.terms
        reduction = Reduction(self.loss, terms)
        vectors = vectors_of(self.loss, kind, self.vectors.samples, self.vectors.generator, terms)
        roots = reduction.counting(vectors)
        own = _bases(basis, self.what, self.modules, self.bias, self.groups)
        identity = identity_of(self.model, self.loss)
        bases = processes.agree(self.model, {"options": self.described(), **identity}, own)
        wanted = Quantities(self.what, self.groups, self.options, bases)
        collector = Collector(self.modules, wanted, self.bias, self.every)
        passes, examples = Passes(self.model, collector, roots, check), 0
        with differentiable(self.model), gradients_of(self.modules), collector:
            for x, y in processes.listening(pairs):
                if leading(x) != 0:
                    examples += passes.batch(usable(x), usable(y))
            if examples:
                collector.check_called()
        part = Curvature(collector.sums(), examples, self.described(), collector.grams(), bases)
        return replace(part, identity=reduction.marked(identity))

    def described(self) -> dict[str, Any]:
        """The options that results carry, as plain data."""
        return {
            "what": list(self.what),
            "layers": list(self.modules),
            "vectors": self.vectors.kind,
            "samples": self.vectors.samples,
            "terms": self.vectors.terms,
            "bias": self.bias,
            "groups": self.groups,
            "accumulate": self.options.get("accumulate"),
        }


@contextmanager
def differentiable(model: nn.Module) -> Iterator[None]:
    """A context that records gradients, also within `no_grad` and `inference_mode`. Parts that
    torch.compile compiled run as written, since compiled code runs no hooks."""
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
    """A context in which all parameters of the layers require gradients. Raises NotImplementedError
    for parameters made under `inference_mode`."""
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


def _quantities(what: str | Sequence[str], check: str) -> tuple[str, ...]:
    """The quantities by name. Raises ValueError for other names, and for an unknown check."""
    names = (what,) if isinstance(what, str) else tuple(what)
    for name in names:
        if name not in QUANTITIES:
            raise ValueError(f"what must be among {', '.join(QUANTITIES)}, not {name!r}")
    if check not in CHECKS:
        raise ValueError(f"check must be one of {', '.join(CHECKS)}, not {check!r}")
    return names


def _bases(
    basis: Curvature | None, wanted: Sequence[str], names: Iterable[str], bias: bool, groups: str
) -> dict[str, tuple[Tensor, Tensor]]:
    """The eigenvectors of the layers' factors, for EKFAC. Raises ValueError where `basis` is
    missing, not needed, or made with other options."""
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
        theirs = basis.options.get(name)
        if theirs != here:
            raise ValueError(f"{name} is {theirs!r} in the basis and {here!r} here")
    return {name: basis.eigenvectors(name) for name in names}
