"""Compile a layer's operations: the file of a definition, the sizes that it needs, and a cache.

The operations themselves are in `library/*.tn`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from diagrammar.grammar.errors import DiagramError
from diagrammar.ir.diagram import Declared, Diagram, Network, Operand, Tensor
from diagrammar.ir.symbols import names_of
from diagrammar.language.shipped import on_layer
from diagrammar.layers.given import check_alike, explained
from diagrammar.runtime.latest import Latest
from diagrammar.runtime.tracing import is_tracing

if TYPE_CHECKING:
    import torch

    from diagrammar.layers.geometry import Geometry
    from diagrammar.runtime.function import Function

FILES = {
    "kfac": (
        "A_expand", "A_reduce", "a_expand", "a_reduce", "A_expand_mean", "A_reduce_mean",
        "a_expand_mean", "a_reduce_mean", "B_expand", "B_reduce", "rotated", "rotated_joint",
    ),
    "per_example": ("l2", "squares", "variance"),
    "ggn": (
        "diagonal", "diagonal_each", "block", "channels", "channel_border", "gram", "gram_2",
        "product",
    ),
    "hessian": ("by_input", "by_weight"),
    "kfra": ("by_input_pair", "factor", "factor_same"),
}  # fmt: skip
"""Definitions by file; all others are in the layer's own file."""

FILE_OF = {name: file for file, names in FILES.items() for name in names}
CONJUGATE = "_conj"
DEFINITIONS = 256
"""The most definitions that a layer keeps compiled, each for some sizes."""


@dataclass(frozen=True)
class Compiled:
    """A definition at a layer's hyper-parameters, and its function."""

    diagram: Diagram
    function: Function


class Operations:
    """The operations of one layer, each compiled when it is first called.

    Called with a definition's name, its operands by name, and the sizes that operands do not give.
    """

    def __init__(self, geometry: Geometry, options: Mapping[str, Any]) -> None:
        self.geometry = geometry
        self.layer = "conv_transpose" if geometry.transposed else "conv"
        self.options = {n: v for n, v in options.items() if v is not None}
        self.clear()

    def clear(self) -> None:
        """Forget all compiled definitions; by itself a layer keeps the last 256."""
        self._compiled: Latest[Any, tuple[tuple[str, ...], Function]] = Latest(DEFINITIONS)
        self._diagrams: Latest[Any, Diagram] = Latest(DEFINITIONS)
        self.traced = SimpleNamespace()

    def __call__(
        self,
        name: str,
        operands: Mapping[str, torch.Tensor],
        words: Mapping[str, str] | None = None,
        **sizes: Any,
    ) -> torch.Tensor:
        """Compute a definition. `words` are operands' names for errors, where `given.NAMES` has
        other ones. Raises ValueError for operands that do not fit."""
        check_alike(operands, words)
        key = (name, *sizes.values())
        entry = self._compiled.get(key)
        if entry is None:
            if is_tracing():
                entry = self._in_trace(name, sizes)
            else:
                entry = self._compiled[key] = self.compile(name, **sizes)
        names, function = entry
        try:
            result: torch.Tensor = function(*[operands[n] for n in names])
        except DiagramError as error:
            raise explained(self, operands, sizes.get("i"), error, words) from None
        return result

    def squares(
        self,
        name: str,
        first: Mapping[str, torch.Tensor],
        second: Mapping[str, torch.Tensor],
        words: Mapping[str, str] | None = None,
        **sizes: Any,
    ) -> torch.Tensor:
        """Compute a product of two equal parts, with the conjugates `second` as operands of the
        second part.

        Real operands are their own conjugates: then the plain definition is computed.
        """
        if not any(x.is_complex() for x in first.values()):
            return self(name, first, words, **sizes)
        apart = {f"{n}{CONJUGATE}": x for n, x in second.items()}
        return self(f"{name}{CONJUGATE}", {**first, **apart}, words, **sizes)

    def compiled(self) -> tuple[Compiled, ...]:
        """The definitions that were compiled so far."""
        return tuple(
            Compiled(self._diagrams[key], function) for key, (_, function) in self._compiled.items()
        )

    def _in_trace(self, name: str, sizes: Mapping[str, Any]) -> tuple[tuple[str, ...], Function]:
        """Compile a definition inside a trace of torch.compile."""

        from diagrammar.runtime.traced import compiled

        return compiled(self, name, sizes)

    def compile(self, name: str, **sizes: Any) -> tuple[tuple[str, ...], Function]:
        """Compile a definition; the names of its operands, and its function."""
        diagram = self.diagram(name)
        known = names_of(diagram)
        values = {n: v for n, v in self._values(sizes).items() if n in known}
        function = diagram.compile(**values, **self.options)
        entry = tuple(o.name for o in function.operands), function
        key = (name, *sizes.values())
        self._diagrams[key] = diagram
        return entry

    def diagram(self, name: str) -> Diagram:
        """The diagram of a definition; a name that ends in `_conj` has a new operand for each
        second occurrence of one."""
        geometry = self.geometry
        plain = name.removesuffix(CONJUGATE)
        file = FILE_OF.get(plain, self.layer)
        definition = on_layer(file, self.layer, geometry.boundary, geometry.dims)[plain]
        return definition if plain == name else _conjugated(definition)

    def _values(self, sizes: Mapping[str, Any]) -> dict[str, int]:
        """Sizes and parameters by the names that the files use."""
        g = self.geometry
        groups = sizes.get("groups")
        values: dict[str, int] = {"g": g.groups if groups is None else groups}
        packs = {
            "k": g.kernel_size, "s": g.stride, "p": g.left, "q": g.right, "d": g.dilation,
            "more": g.output_padding,
        }  # fmt: skip
        for name, value in {**packs, **sizes}.items():
            if isinstance(value, tuple):
                values.update({f"{name}.{n}": v for n, v in enumerate(value)})
            elif value is not None and name != "groups":
                values[name] = value
        return values

    # -- sizes -------------------------------------------------------------------------------------

    def output_size(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """The spatial output size for a spatial input size."""
        g = self.geometry
        sizes = []
        for n, i in enumerate(size):
            sides, reach = g.left[n] + g.right[n], g.dilation[n] * (g.kernel_size[n] - 1)
            if g.transposed:
                sizes.append((i - 1) * g.stride[n] - sides + reach + g.output_padding[n] + 1)
            else:
                sizes.append((i + sides - reach - 1) // g.stride[n] + 1)
        return tuple(sizes)

    def positions(self, x: torch.Tensor) -> int:
        """The number of output positions, ∏o, for an input [b, c_in, *i]."""
        return prod(self.output_size(tuple(x.shape[2:])))

    def channels(self, weight: torch.Tensor) -> tuple[int, int]:
        """The channels (c_out, c_in) of a weight."""
        first, second = weight.shape[0], weight.shape[1] * self.geometry.groups
        return (second, first) if self.geometry.transposed else (first, second)

    def channel_sizes(self, c_out: int) -> dict[str, Any]:
        """The sizes that give the number of output channels."""
        return {"co": c_out // self.geometry.groups}

    def factor_sizes(self, matrix: torch.Tensor, c_out: int) -> dict[str, Any]:
        """The sizes that split the axes of a matrix [c_out·∏o, c_out·∏o]."""
        positions = matrix.shape[0] // c_out
        return {"c": c_out, "o": (positions, *(1,) * (self.geometry.dims - 1))}


def _conjugated(diagram: Diagram) -> Diagram:
    """Replace every second occurrence of an operand by a new operand."""
    names: dict[str, Declared] = {o.name: o for o in diagram.operands}
    twice: dict[str, Declared] = {}

    def part(term: Network) -> Network:
        seen: set[str] = set()
        tensors: list[Tensor] = []
        for tensor in term.tensors:
            if isinstance(tensor, Operand):
                if tensor.name in seen:
                    declared = names[tensor.name]
                    tensor = replace(tensor, name=f"{tensor.name}{CONJUGATE}")
                    twice[tensor.name] = replace(declared, name=tensor.name)
                else:
                    seen.add(tensor.name)
            tensors.append(tensor)
        return replace(term, tensors=tuple(tensors))

    terms = tuple(part(t) for t in diagram.terms)
    return replace(diagram, terms=terms, operands=(*diagram.operands, *twice.values()))
