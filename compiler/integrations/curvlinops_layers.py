"""Modules in the form in which curvlinops' operators take our factors: one layer, or one for each
group."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn, stack, unflatten

from diagrammar.layers import Conv
from diagrammar.layers.shared import shared_layer

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
BUDGET = "1024GiB"
"""A memory budget that all programs fit into; with a budget, they free each value after its last
use."""


@dataclass(frozen=True)
class SplitLayer:
    """A module with the `groups` of its factors, the groups of its weight, and the names and
    positions of its parts. It has no parts where it is one layer with W [c_out, d]."""

    conv: Conv
    groups: int
    weight_groups: int
    transposed: bool
    parts: tuple[tuple[str, dict[str, int]], ...]

    @staticmethod
    def of(
        name: str, module: nn.Module, params: dict[str, int], groups: str, start: int
    ) -> SplitLayer:
        """The layer of a module; its parts' parameters have positions from `start` on.

        Raises TypeError for a module that computes something else, NotImplementedError for a weight
        that is computed from other parameters.
        """
        made_from = sorted(params.keys() - {"weight", "bias"})
        if made_from:
            raise NotImplementedError(
                f"layer {name!r} is pruned or parametrised: its weight is made from "
                f"{', '.join(made_from)}, which KFAC is not by. Make it plain, by "
                "torch.nn.utils.prune.remove or parametrize.remove_parametrizations, or take "
                "dg.curvature, which is by the weight that is made"
            )
        transposed = isinstance(module, TRANSPOSED)
        count: int = getattr(module, "groups", 1)
        factors = count if groups == "exact" else 1
        try:
            conv = shared_layer(module, factors, memory=BUDGET)
        except TypeError as error:
            raise TypeError(f"layer {name!r}: {error}") from None
        parts = []
        if factors > 1 or transposed:
            for n in range(factors):
                places = {p: start + n * len(params) + m for m, p in enumerate(params)}
                parts.append((f"{name}[{n}]", places))
        return SplitLayer(conv, factors, count, transposed, tuple(parts))

    def rows_of(self, x: Tensor) -> Tensor:
        """Average an input over groups that share a factor; it then has the factor's channels."""
        if self.groups == self.weight_groups:
            return x
        return unflatten(x, 1, (self.weight_groups, -1)).mean(1)

    def split(self, parameter: str, tensor: Tensor) -> list[Tensor]:
        """Cut the parts' tensors out of a parameter-shaped tensor, with further axes at its end."""
        if parameter == "bias":
            return list(unflatten(tensor, 0, (self.groups, -1)).unbind())
        by_group = unflatten(tensor, 0, (self.weight_groups, -1))
        if self.transposed:
            by_group = by_group.transpose(1, 2)
        return list(by_group.unbind() if self.groups > 1 else [by_group.flatten(0, 1)])

    def joined(self, parameter: str, parts: list[Tensor]) -> Tensor:
        """Put the parts' tensors together again."""
        if parameter == "bias":
            return stack(parts).flatten(0, 1)
        by_group = unflatten(stack(parts).flatten(0, 1), 0, (self.weight_groups, -1))
        if self.transposed:
            by_group = by_group.transpose(1, 2)
        return by_group.flatten(0, 1)
