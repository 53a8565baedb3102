"""Hooks at layers: what comes in and what gradients come back, turned into sums over examples.

A forward pre-hook sees the input. The gradient by the output is seen by a hook on the output
tensor, set before anything can overwrite it, as an activation in place does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from diagrammar.layers.shared import parts_of, shared_layer
from diagrammar.networks.anchor import anchored, new_anchor
from diagrammar.networks.result import Bases

if TYPE_CHECKING:
    from torch import Tensor, nn

    from diagrammar.layers.conv import Conv

QUANTITIES = ("kfac_expand", "kfac_reduce", "ekfac", "diag_ggn", "gram")


@dataclass
class Site:
    """A layer of the network, and what has been seen of it in this batch."""

    name: str
    module: nn.Module
    layer: Conv
    bias: bool
    x: Tensor | None = None
    calls: int = 0
    vectors: int = 0
    kept: list[Tensor] = field(default_factory=list)

    def clear(self) -> None:
        """Forget the batch."""
        self.x, self.calls, self.vectors, self.kept = None, 0, 0, []


class Collector:
    """Sums over the examples that go through a network while hooks are installed.

    `sums[layer][quantity]`; with "gram" also `batches[layer]`, inputs and vectors of each batch.
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        what: Iterable[str],
        groups: str,
        bias: bool,
        options: Mapping[str, Any],
        bases: Bases | None = None,
    ) -> None:
        self.what, self.groups, self.bases = tuple(what), groups, bases or {}
        self.sites = [
            Site(name, module, shared_layer(module, **options), bias and module.bias is not None)
            for name, module in modules.items()
        ]
        self.sums: dict[str, dict[str, Tensor]] = {name: {} for name in modules}
        self.batches: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in modules}
        self.anchor: Tensor | None = None
        self._handles: list[Any] = []

    def __enter__(self) -> Collector:
        for site in self.sites:
            for install, hook in (
                (site.module.register_forward_pre_hook, self._comes_in),
                (site.module.register_forward_hook, self._goes_out),
            ):
                self._handles.append(install(self._at(hook, site)))
        return self

    def __exit__(self, *about: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self.anchor = None
        for site in self.sites:
            site.clear()

    @staticmethod
    def _at(hook: Any, site: Site) -> Any:
        return lambda module, *given: hook(site, *given)

    def _comes_in(self, site: Site, inputs: tuple[Any, ...]) -> None:
        if len(inputs) != 1:
            raise ValueError(f"layer {site.name!r} is called with {len(inputs)} inputs, not one")
        site.calls += 1
        if site.calls > 1:
            raise NotImplementedError(
                f"layer {site.name!r} is called twice in one forward pass; its curvature is not "
                "a sum over layers then. Leave it out: layers=[…]"
            )
        site.x = inputs[0].detach()
        for kind in self._kronecker():
            for part in parts_of(site.layer, site.x) if kind == "kfac_expand" else (site.x,):
                factor = getattr(site.layer, kind)(part, bias=site.bias, groups=self.groups)
                self._add(site, f"{kind}.A", factor.mul_(len(part)))

    def _goes_out(self, site: Site, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        if self.anchor is None:
            self.anchor = new_anchor(output)
        output = anchored(output, self.anchor)
        hook: Any = output.register_hook  # which has no types
        hook(lambda grad: self._comes_back(site, grad))
        return output

    def _comes_back(self, site: Site, grad: Tensor) -> None:
        S, x = grad.detach().unsqueeze(0), site.x
        assert x is not None
        site.vectors += 1
        for kind in self._kronecker():
            factor = getattr(site.layer, f"{kind}_grad")(S, groups=self.groups)
            self._add(site, f"{kind}.B", factor.mul_(len(x)))
        if "ekfac" in self.what:
            self._add(site, "ekfac.diagonal", site.layer.ekfac_diag(x, S, *self.bases[site.name]))
        if "diag_ggn" in self.what:
            made = site.layer.diag_ggn(x, S, bias=site.bias)
            parts = made if isinstance(made, tuple) else (made,)
            for parameter, part in zip(("weight", "bias"), parts, strict=False):
                self._add(site, f"diag_ggn.{parameter}", part)
        if "gram" in self.what:
            site.kept.append(S)

    def _kronecker(self) -> list[str]:
        return [kind for kind in self.what if kind.startswith("kfac")]

    def _add(self, site: Site, quantity: str, value: Tensor) -> None:
        sums = self.sums[site.name]
        if quantity in sums:
            sums[quantity] += value
        else:
            sums[quantity] = value

    def finish_batch(self, vectors: int) -> None:
        """Check that every layer took part in it, and forget it.

        Raises RuntimeError for a layer that was not called, or that the output does not depend on.
        """
        for site in self.sites:
            if not site.calls:
                raise RuntimeError(f"layer {site.name!r} was not called; leave it out: layers=[…]")
            if site.vectors != vectors:
                raise RuntimeError(
                    f"{site.vectors} of {vectors} gradients came back to layer {site.name!r}: the "
                    "output does not depend on it, or only in part; leave it out: layers=[…]"
                )
            if "gram" in self.what:
                from torch import cat

                assert site.x is not None
                self.batches[site.name].append((site.x, cat(site.kept)))
            site.clear()

    def grams(self) -> dict[str, Tensor]:
        """Inner products of all examples' gradients by each layer: [v, n, v, n]."""
        from torch import cat

        made = {}
        for site in self.sites if "gram" in self.what else ():
            rows = []
            for x1, S1 in self.batches[site.name]:
                row = [
                    site.layer.gram(x1, S1, x2, S2, bias=site.bias)
                    for x2, S2 in self.batches[site.name]
                ]
                rows.append(cat(row, 3))
            made[site.name] = cat(rows, 1)
        return made
