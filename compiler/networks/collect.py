"""Hooks at layers: inputs and output gradients, handed to each layer's `Site`.

A forward pre-hook sees the input. A hook on the output tensor sees the gradient by the output. It
is set before an activation in place can overwrite the output, and before the user's own hooks can
replace it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from diagrammar.layers.shared import shared_layer
from diagrammar.networks.anchor import anchored, new_anchor
from diagrammar.networks.grams import gram
from diagrammar.networks.selection import is_trained
from diagrammar.networks.site import Quantities, Site, plainly

if TYPE_CHECKING:
    from torch import Tensor, nn

QUANTITIES = ("kfac_expand", "kfac_reduce", "ekfac", "diag_ggn", "gram")

Visit = Callable[[Site, "Tensor"], None]


class Collector:
    """Records a network's layers while hooks are installed.

    Hooks work in three contexts only: `forward` takes layers' inputs, `alone` takes the inputs of
    one example, and `gradients` hands each layer's output gradient to a function. In other passes
    they do nothing: a checkpointed module runs forward again in the backward pass.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        wanted: Quantities,
        bias: bool,
        every: bool,
    ) -> None:
        self.sites = [
            Site(
                name, module, shared_layer(module, **wanted.options),
                bias and module.bias is not None and (every or is_trained(module, "bias")), wanted,
            )
            for name, module in modules.items()
        ]  # fmt: skip
        self.anchor: Tensor | None = None
        self.low = False  # whether a layer computes in half precision, as under autocast
        self._mode: str | None = None
        self._visit: Visit | None = None
        self._handles: list[Any] = []

    def __enter__(self) -> Collector:
        for site in self.sites:
            module = site.module
            self._handles += [
                module.register_forward_pre_hook(self._at(self._comes_in, site), with_kwargs=True),
                module.register_forward_hook(self._at(self._goes_out, site), prepend=True),
            ]
        return self

    def __exit__(self, *about: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self.clear()

    def clear(self) -> None:
        """Forget the batch."""
        self.anchor = None
        for site in self.sites:
            site.clear()

    @contextmanager
    def forward(self) -> Iterator[None]:
        """A context for a forward pass whose layers' inputs are taken."""
        yield from self._during("forward", None)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """A context for a forward pass of one example; its layers' inputs are kept beside the
        batch's."""
        yield from self._during("alone", None)

    @contextmanager
    def gradients(self, visit: Visit) -> Iterator[None]:
        """A context for a backward pass; each layer's output gradient is handed to `visit`."""
        yield from self._during("backward", visit)

    def _during(self, mode: str, visit: Visit | None) -> Iterator[None]:
        self._mode, self._visit = mode, visit
        try:
            yield
        finally:
            self._mode = self._visit = None

    @staticmethod
    def _at(hook: Any, site: Site) -> Any:
        return lambda module, *arguments: hook(site, *arguments)

    def _comes_in(self, site: Site, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Take a layer's input."""
        if self._mode not in ("forward", "alone"):
            return
        x = only_input(site.name, inputs, named)
        if self._mode == "alone":
            site.alone = site.batched(x.detach())
            return
        check_call(site, x)
        with plainly(x):
            site.take_input(x)

    def _goes_out(self, site: Site, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
        """Make a layer's output depend on the anchor, and watch its gradient."""
        if self._mode != "forward":
            return None
        if self.anchor is None:
            self.anchor = new_anchor(output)
        self.low |= output.dtype.itemsize < 4
        output = anchored(output, self.anchor)
        hook: Any = output.register_hook  # without type annotations
        hook(lambda grad: self._comes_back(site, grad))
        return output

    def _comes_back(self, site: Site, grad: Tensor) -> None:
        """Hand a layer's output gradient on."""
        if self._visit is not None:
            with plainly(grad):
                self._visit(site, grad)

    def finish_batch(self, vectors: int, examples: int) -> None:
        """Check that every layer took part in the batch, add its sums, and forget it.

        Raises RuntimeError for layers on which the output does not depend, or only in part.
        """
        missing = [site for site in self.called() if site.vectors != vectors]
        if missing:
            names, site = [s.name for s in missing], missing[0]
            raise RuntimeError(
                f"{site.vectors} of {vectors} gradients came back to layer {site.name!r}: the "
                f"output does not depend on it, or only in part; leave it out: exclude={names}"
            )
        for site in self.called():
            with plainly(site.x):
                site.finish(examples)
        for site in self.sites:
            site.keep(vectors, examples)
        self.clear()

    def called(self) -> list[Site]:
        """The layers that were called in this batch: all, unless an expert had no example."""
        return [site for site in self.sites if site.calls]

    def check_called(self) -> None:
        """Raise RuntimeError for layers that no batch called."""
        names = [site.name for site in self.sites if not site.batches]
        if names:
            raise RuntimeError(uncalled(names))

    def sums(self) -> dict[str, dict[str, Tensor]]:
        """Sums over examples, by layer and quantity."""
        return {site.name: site.sums for site in self.sites if site.sums}

    def grams(self) -> dict[str, Tensor]:
        """Inner products of all examples' gradients by each layer: [v, n, v, n]."""
        return {site.name: gram(site) for site in self.sites if "gram" in site.wanted.what}


def uncalled(names: list[str]) -> str:
    """The error for layers that are not called as modules."""
    if len(names) == 1:
        which, whose, it = f"layer {names[0]!r} was not called as a module", "its weight", "it"
    else:
        which, whose, it = f"layers {names} were not called as modules", "their weights", "them"
    return (
        f"{which} in the network's forward pass: unused, or {whose} used by a function, as "
        f"attention does; leave {it} out: exclude={names}"
    )


def only_input(name: str, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> Tensor:
    """The one tensor that a layer is called with. Raises NotImplementedError for other calls."""
    if len(inputs) == 1 and not named:
        x: Tensor = inputs[0]
        return x
    if not inputs and set(named) == {"input"}:
        x = named["input"]
        return x
    arguments = [f"{len(inputs)} positional", *named]
    raise NotImplementedError(
        f"layer {name!r} is called with the arguments {', '.join(arguments)}, not with its input "
        f"alone; leave it out: exclude=[{name!r}]"
    )


def check_call(site: Site, x: Tensor) -> None:
    """Count a call. Raises NotImplementedError for a second call, and where no gradients are
    recorded."""
    from torch import is_grad_enabled

    site.calls += 1
    if site.calls > 1:
        raise NotImplementedError(
            f"layer {site.name!r} is called more than once in one forward pass; its curvature is "
            "not a sum over calls, but has products between them; leave it out: "
            f"exclude=[{site.name!r}]"
        )
    if not is_grad_enabled() or x.is_inference():
        raise NotImplementedError(
            f"layer {site.name!r} runs where no gradients are recorded: in torch.no_grad(), in "
            "inference_mode(), or in torch.utils.checkpoint with use_reentrant=True (give it "
            f"use_reentrant=False); leave it out: exclude=[{site.name!r}]"
        )
