"""One layer of a network: its recorded call in a batch, and its sums.

Sums are computed and kept in float32 at least: a sum in bfloat16 stops growing at 256 times its
addends, a sum in float16 leaves the range.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from diagrammar.layers.shared import lifted_layer, parts_of
from diagrammar.networks.grams import Part
from diagrammar.networks.rows import Ragged, Regular, Shared, flat

if TYPE_CHECKING:
    from torch import Tensor, nn

    from diagrammar.layers.conv import Conv

Layout = Regular | Ragged | Shared


@dataclass(frozen=True)
class Quantities:
    """The quantities to compute, the option `groups`, the layers' options, and the eigenvectors for
    EKFAC."""

    what: tuple[str, ...]
    groups: str
    options: Mapping[str, Any]
    bases: Mapping[str, tuple[Tensor, Tensor]]

    @property
    def kronecker(self) -> list[str]:
        """The kinds of Kronecker factors."""
        return [kind for kind in self.what if kind.startswith("kfac")]


@dataclass(frozen=True)
class LayerCall:
    """The recorded call of a layer: its input with an axis for the batch, the input as given, how
    often that had been written into, and the parameters in use."""

    x: Tensor
    given: Tensor
    version: int
    weight: Tensor
    bias: Tensor | None


@dataclass
class Site:
    """A layer of the network, and its record of this batch.

    `layout` says which rows of the input belong to which example; it is `settled` where no other
    layout fits.
    """

    name: str
    module: nn.Module
    layer: Conv
    bias: bool
    wanted: Quantities
    sums: dict[str, Tensor] = field(default_factory=dict)
    layout: Layout | None = None
    settled: bool = False
    call: LayerCall | None = None
    expanded: Tensor | None = None
    alone: Tensor | None = None
    calls: int = 0
    vectors: int = 0
    norms: list[Tensor] = field(default_factory=list)
    shared: list[Tensor] = field(default_factory=list)
    kept: list[Tensor] = field(default_factory=list)
    grams: list[Part] = field(default_factory=list)
    batches: int = 0

    def clear(self) -> None:
        """Forget the batch."""
        self.call = self.expanded = self.alone = None
        self.calls = self.vectors = 0
        self.norms, self.shared, self.kept = [], [], []

    @property
    def seen(self) -> LayerCall:
        """The layer's call in this batch."""
        assert self.call is not None
        return self.call

    @property
    def x(self) -> Tensor:
        """The layer's input, with an axis for the batch."""
        return self.seen.x

    # -- rows --------------------------------------------------------------------------------------

    @property
    def is_linear(self) -> bool:
        """Whether channels stand last."""
        from torch import nn

        return isinstance(self.module, nn.Linear)

    def batched(self, x: Tensor) -> Tensor:
        """Give an input or output an axis for the batch."""
        least = 2 if self.is_linear else self.layer.geometry.dims + 2
        return x if x.ndim >= least else x.unsqueeze(0)

    def rows_of(self, x: Tensor) -> int:
        """The number of leading axes that number the rows."""
        return x.ndim - 1 if self.is_linear else 1

    def lead(self, x: Tensor) -> tuple[int, ...]:
        """The sizes of these axes."""
        return tuple(x.shape[: self.rows_of(x)])

    def grouped(self, x: Tensor, layout: Layout | None = None) -> Tensor:
        """Group an input or output gradient by examples: [N, c, rows, …] of a convolution, or the
        same tensor where its first axis is the examples; [N, rows, c] of a linear layer."""
        layout = layout or self.layout
        dims = self.rows_of(x)
        match layout:
            case Regular() if layout.is_plain() and not self.is_linear:
                return x
            case Regular():
                examples = x.shape[layout.axis] // layout.m
                groups = layout.grouped(x, dims, examples)
            case Ragged():
                groups = layout.padded(flat(x, dims))
            case _:
                raise AssertionError("a layer whose rows are not known")
        return groups if self.is_linear else groups.movedim(2, 1)

    def layer_of(self, x: Tensor) -> Conv:
        """The layer for a grouped input: where rows are an axis of their own, a convolution with
        kernel size one along it."""
        if self.is_linear or x.ndim == self.layer.geometry.dims + 2:
            return self.layer
        return lifted_layer(self.layer, **self.wanted.options)

    # -- sums --------------------------------------------------------------------------------------

    def add(self, quantity: str, value: Tensor) -> None:
        """Add to a sum over examples."""
        if quantity in self.sums:
            self.sums[quantity] += value
        else:
            self.sums[quantity] = value

    def add_count(self, quantity: str, number: int) -> None:
        """Add to a number of rows, in float64, which is exact up to 2⁵³."""
        from torch import float64, tensor

        device = "cpu" if self.x.device.type == "mps" else self.x.device  # mps has no float64
        self.add(quantity, tensor(number, dtype=float64, device=device))

    def take_input(self, x: Tensor) -> None:
        """Record the input of the layer's call, and the parameters in use.

        KFAC-expand's factor, Σ a aᴴ over rows and positions, is computed at once: it does not
        depend on which rows belong to which example.
        """
        module: Any = self.module  # each access to a parametrised weight makes a new tensor
        used = module.bias if self.bias else None
        self.call = LayerCall(self.batched(x.detach()), x, _version(x), module.weight, used)
        if "kfac_expand" not in self.wanted.what:
            return
        for part in parts_of(self.layer, precise(self.x)):
            factor = self.layer.kfac_expand(part, bias=self.bias, groups=self.wanted.groups)
            factor.mul_(len(part))
            self.expanded = factor if self.expanded is None else self.expanded.add_(factor)

    def check_input(self) -> None:
        """Raise NotImplementedError where the input was overwritten after the call."""
        if _version(self.seen.given) != self.seen.version:
            raise NotImplementedError(
                f"the input of layer {self.name!r} is overwritten in place after the call, so that "
                f"it is not known any more; make a copy there, or exclude=[{self.name!r}]"
            )

    def add_vector(self, grad: Tensor) -> None:
        """Add one vector's gradient by the layer's output to the sums."""
        self.vectors += 1
        x, s = together(self.x, self.batched(grad.detach()))
        if "kfac_expand" in self.wanted.what:
            factor = self.layer.kfac_expand_grad(s[None], groups=self.wanted.groups)
            self.add("kfac_expand.B", factor.mul_(self.positions(s)))
        if self.wanted.what == ("kfac_expand",):
            return
        self.check_input()
        self.add_examples(self.grouped(x), self.grouped(s)[None])

    def add_shared(self, examples: int) -> None:
        """Add one vector to the sums of a layer whose rows all examples use, from one gradient for
        each example."""
        from torch import stack

        self.vectors += 1
        x, s = together(self.x, stack(self.shared))
        self.shared = []
        dims = self.rows_of(self.x)
        x, s = flat(x, dims).expand(examples, -1, *x.shape[dims:]), s.flatten(1, dims)
        if not self.is_linear:
            x, s = x.movedim(1, 2), s.movedim(1, 2)
        if "kfac_expand" in self.wanted.what:
            factor = self.layer_of(s).kfac_expand_grad(s[None], groups=self.wanted.groups)
            self.add("kfac_expand.B", factor.mul_(self.positions(s)))
        self.add_examples(x, s[None])

    def positions(self, s: Tensor) -> int:
        """The number of rows of an output gradient, times the positions of each."""
        channels = s.shape[-1] if self.is_linear else s.shape[1]
        return s.numel() // max(channels, 1)

    def add_examples(self, x: Tensor, S: Tensor) -> None:
        """Add quantities of whole examples: x [N, …] and S [1, N, …]."""
        what, layer = self.wanted.what, self.layer_of(x)
        if "kfac_reduce" in what:
            factor = layer.kfac_reduce_grad(S, groups=self.wanted.groups)
            self.add("kfac_reduce.B", factor.mul_(len(x)))
        if "ekfac" in what:
            basis = (q.to(x.dtype) for q in self.wanted.bases[self.name])
            self.add("ekfac.diagonal", layer.ekfac_diag(x, S, *basis))
        if "diag_ggn" in what:
            self.add_diagonal(layer.diag_ggn(x, S, bias=self.bias))
        if "gram" in what:
            self.kept.append(S)

    def add_diagonal(self, diagonal: Any) -> None:
        """Add the Gauss–Newton diagonal by weight and bias. With a mask of `torch.nn.utils.prune`
        it is the diagonal by the parameter, zero where the mask is."""
        parts = diagonal if isinstance(diagonal, tuple) else (diagonal,)
        for name, part in zip(("weight", "bias"), parts, strict=False):
            if name == "weight":
                part = part.reshape(self.seen.weight.shape)
            mask = self.mask(name)
            self.add(f"diag_ggn.{name}", part if mask is None else part * mask.square())

    def mask(self, name: str) -> Tensor | None:
        """The mask of a pruned parameter."""
        if not hasattr(self.module, f"{name}_orig"):
            return None
        value: Tensor | None = getattr(self.module, f"{name}_mask", None)
        return value

    # -- the end of a batch ------------------------------------------------------------------------

    def finish(self, examples: int) -> None:
        """Add the quantities that need all vectors to have come back."""
        x, positions = precise(self.x), self.output_positions()
        if "kfac_expand" in self.wanted.what:
            assert self.expanded is not None
            times = examples if isinstance(self.layout, Shared) else 1
            self.add("kfac_expand.A", self.expanded.mul_(times))
            self.add_count("kfac_expand.rows", positions * times)
        if "kfac_reduce" in self.wanted.what:
            self.check_input()
            self.add_reduced(x, examples)

    def keep(self, vectors: int, examples: int) -> None:
        """Count a batch of the layer, and keep the tensors that its Gram matrix needs."""
        self.batches += bool(self.calls)
        if "gram" not in self.wanted.what:
            return
        if not self.calls:
            self.grams.append(Part(vectors, examples))
            return
        from torch import cat

        x = self.by_example(precise(self.x), examples)
        # a copy: loaders reuse their buffers, and networks write into what they were given
        self.grams.append(Part(vectors, examples, x.clone(), cat(self.kept)))

    def by_example(self, x: Tensor, examples: int) -> Tensor:
        """Group the input by examples, also where all use the same rows."""
        if not isinstance(self.layout, Shared):
            return self.grouped(x)
        rows = flat(x, self.rows_of(x))
        rows = rows.expand(examples, *rows.shape)
        return rows if self.is_linear else rows.movedim(1, 2)

    def output_positions(self) -> int:
        """The number of rows, times the output positions of each."""
        x, rows = self.x, 1
        for size in self.lead(x):
            rows *= size
        if self.is_linear:
            return rows
        for size in self.layer.output_size(x.shape[2:]):
            rows *= size
        return rows

    def add_reduced(self, x: Tensor, examples: int) -> None:
        """Add KFAC-reduce's factor of the input: Σ ā āᴴ over examples that have rows."""
        if not isinstance(self.layout, Ragged):
            grouped = self.by_example(x, examples)
            layer = self.layer_of(grouped)
            factor = layer.kfac_reduce(grouped, bias=self.bias, groups=self.wanted.groups)
            self.add("kfac_reduce.A", factor.mul_(examples))
            self.add_count("kfac_reduce.rows", examples)
            return
        if bool((self.layout.owners < 0).any()):
            raise NotImplementedError(
                f"layer {self.name!r} is given rows of single examples, and of some of them it "
                "cannot be seen whose they are, since their gradient is zero; KFAC-reduce, the "
                f"mean over an example's rows, is not known then: exclude=[{self.name!r}]"
            )
        counts = self.layout.counts()
        patches = self.layout.summed(self.layer.averaged_patches(flat(x, self.rows_of(x))))
        seen = (counts > 0).to(x.device)
        means = patches[seen] / counts.to(x.device)[seen, None]
        self.add("kfac_reduce.A", self.products_of(means))
        self.add_count("kfac_reduce.rows", int(seen.sum()))

    def products_of(self, means: Tensor) -> Tensor:
        """Sum ā āᴴ for each group, from averaged patches [N, c_in·∏k]."""
        from torch import cat, einsum

        groups = self.layer.geometry.groups
        # the size and not -1: there may be no rows
        rows = means.reshape(len(means), groups, means.shape[1] // groups)
        if self.wanted.groups != "exact":
            rows = rows.mean(1, keepdim=True)
        if self.bias:
            rows = cat([rows, rows.new_ones(*rows.shape[:2], 1)], 2)
        products = einsum("ngd,nge->gde", rows, rows.conj())
        return products if self.wanted.groups == "exact" else products[0]


def _version(x: Tensor) -> int:
    """How often a tensor was written into."""
    return 0 if x.is_inference() else x._version


def precise(x: Tensor) -> Tensor:
    """A tensor in float32, or in its own dtype where that is wider."""
    from torch import float32, promote_types

    return x.to(promote_types(x.dtype, float32))


def together(x: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """Both tensors in one dtype, at least float32: under autocast their dtypes differ."""
    from torch import float32, promote_types

    dtype = promote_types(promote_types(x.dtype, s.dtype), float32)
    return x.to(dtype), s.to(dtype)


def plainly(x: Tensor) -> AbstractContextManager[Any]:
    """A context in which autocast does not lower the precision."""
    from torch import autocast

    context: AbstractContextManager[Any] = autocast(x.device.type, enabled=False)
    return context
