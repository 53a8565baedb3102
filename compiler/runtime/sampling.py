"""The stage of sampling: masks that a call does not give are drawn.

A mask is given by name. One of `bool` is divided by its probability; any other is taken as it is,
so its entries should be 0 and 1/keep. What is done with the rows that masks keep says
`runtime.kept_rows`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import sympy

from diagrammar.grammar.errors import DiagramError, Problem
from diagrammar.ir.diagram import Diagram, Operand
from diagrammar.ir.numbers import unfit_probability
from diagrammar.ir.scalar import substitute
from diagrammar.runtime.dtypes import is_whole, unfit
from diagrammar.runtime.latest import CALLS, Latest
from diagrammar.runtime.options import CompileOptions
from diagrammar.runtime.values import Computation
from diagrammar.transform.at_shapes import at_shapes
from diagrammar.transform.values import resolved

if TYPE_CHECKING:
    from torch import Generator, Tensor

GENERATOR = "generator"
"""The keyword of calls that is not an operand."""

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Drawn:
    """The operands of a call by name, all masks among them, and the masks whose entries are zero or
    one number."""

    values: Mapping[str, Any]
    binary: Collection[str]


class Sampling:
    """Draws the masks of a computation. `constants` are operands that calls do not give. Raises
    DiagramError for a probability that is none, and for an operand called like the keyword of the
    generator."""

    _fit: Latest[Any, bool]  # combinations of dtypes and devices that go together
    _shapes: Latest[Any, Shapes]

    def __init__(
        self, computation: Computation, options: CompileOptions, constants: Collection[str] = ()
    ) -> None:
        self.computation, self.target = computation, options.target
        self.masks = computation.masks
        self.factors = tuple(o for o in computation.operands if o.keep is None)
        self.needed = tuple(o for o in self.factors if o.name not in constants)
        known = {o.name for o in computation.operands}
        named = {o.keep: o for o in self.masks.values() if isinstance(o.keep, str)}
        self.probabilities = [name for name in named if name not in known]
        self.known = known.difference(constants).union(self.probabilities)
        if GENERATOR in known.union(self.probabilities):
            message = (
                f"'{computation.name}' draws masks by '{GENERATOR}': no operand may have its name"
            )
            raise DiagramError([Problem(message, help=f"rename '{GENERATOR}'")])
        self.numbers = _numbers(computation)
        self.clear()

    def clear(self) -> None:
        """Forget what was found out about operands."""
        self._fit, self._shapes = Latest(CALLS), Latest(CALLS)

    # -- operands by name --------------------------------------------------------------------------

    def named(self, operands: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
        """Operands by name; positions count those that are not drawn, then probabilities, then
        masks. Raises DiagramError."""
        names = [*(o.name for o in self.needed), *self.probabilities, *self.masks]
        values = dict(zip(names, operands, strict=False))
        problems = []
        function = self.computation.name
        if len(operands) > len(names):
            message = f"'{function}' takes {len(names)} operands, not {len(operands)}"
            problems.append(Problem(message))
        for name in named:
            if name in values:
                problems.append(Problem(f"operand '{name}' is given twice"))
            elif name not in self.known:
                help = f"it takes {', '.join(names)}, and draws {', '.join(self.masks)}"
                problems.append(Problem(f"'{function}' has no operand '{name}'", help=help))
        values.update(named)
        problems += [self._missing(name) for name in self._asked(values) if name not in values]
        if problems:
            raise DiagramError(problems)
        return values

    def _asked(self, values: Mapping[str, Any]) -> dict[str, None]:
        """The names of all that a call must give: masks where none can be drawn, or else the
        probabilities of those that are drawn or of bool."""
        names = [o.name for o in self.needed]
        if not self.target.tensors:
            return dict.fromkeys([*names, *self.masks])
        drawn = [m for n, m in self.masks.items() if n not in values or _is_bool(values[n])]
        return dict.fromkeys([*names, *(m.keep for m in drawn if isinstance(m.keep, str))])

    def _missing(self, name: str) -> Problem:
        help = "only the torch backend draws masks" if name in self.masks else ""
        return Problem(f"operand '{name}' is missing", help=help)

    # -- drawing -----------------------------------------------------------------------------------

    def drawn(self, values: Mapping[str, Any], generator: Generator | None) -> Drawn:
        """The operands of a call with masks that are not given drawn, by `generator` if there is
        one; integers in float64. Raises DiagramError."""
        self._check(values)
        floating = {n: self._floating(n, x) for n, x in values.items()}
        missing = [name for name in self.masks if name not in floating]
        if missing:
            shapes = self._shapes_of_masks(floating)
            like = self._like(floating)
            for name in missing:
                floating[name] = self._draw(name, shapes[name], like, floating, generator)
        of_bool = [name for name in self.masks if _is_bool(floating[name])]
        for name in self.masks:
            floating[name] = self._scaled(name, floating)
        for name in self.probabilities:
            floating.pop(name, None)
        return Drawn(floating, (*missing, *of_bool))

    def unfit(self, values: Mapping[str, Any]) -> list[Problem]:
        """What is wrong with operands by themselves and beside each other."""
        operands = [o for o in self.computation.operands if o.name in values]
        return unfit(operands, [values[o.name] for o in operands], self.target)

    def _check(self, values: Mapping[str, Any]) -> None:
        """DiagramError for dtypes and devices that do not fit; once for each combination."""
        kinds = tuple([(n, x.dtype, x.device, x.layout) for n, x in values.items()])
        if kinds not in self._fit:
            if problems := self.unfit(values):
                raise DiagramError(problems)
            self._fit[kinds] = True

    def _floating(self, name: str, x: Any) -> Any:
        """An operand, integers in float64, but for masks of bool."""
        if not is_whole(x) or (name in self.masks and _is_bool(x)):
            return x
        import torch

        return x.to(torch.float64)

    def _scaled(self, name: str, values: Mapping[str, Any]) -> Any:
        """A mask in the dtype of the operands; one of bool divided by its probability."""
        mask = values[name]
        if _is_bool(mask):
            like = self._like(values)
            return mask.to(like.dtype) / self._keep(name, values, like)
        return mask if mask.is_complex() else mask.to(self._like(values).dtype)

    def _like(self, values: Mapping[str, Any]) -> Tensor:
        """A tensor of the dtype and on the device that masks shall have."""
        names = [*(o.name for o in self.factors), *self.probabilities]
        tensor: Tensor | None = next((values[n] for n in names if n in values), None)
        if tensor is not None:
            return tensor
        import torch

        return torch.empty(())

    def _shapes_of_masks(self, values: Mapping[str, Any]) -> Shapes:
        """The shapes of masks, from those of the other operands."""
        known = {n: tuple(int(k) for k in v.shape) for n, v in values.items()}
        key = tuple(known.get(o.name, ()) for o in self.computation.operands)
        shapes = self._shapes.get(key)
        if shapes is None:
            pairs = zip(self.computation.diagrams, self.computation.resolved, strict=True)
            each = [self._shapes_in(diagram, one.facts, known) for diagram, one in pairs]
            shapes = self._shapes[key] = {
                name: shape for some in each for name, shape in some.items()
            }
        return shapes

    def _shapes_in(self, diagram: Diagram, facts: Sequence[Any], known: Shapes) -> Shapes:
        """The shapes of the masks of one diagram that are not given."""
        own = tuple(o for o in diagram.operands if o.name in known)
        fixed = at_shapes(replace(diagram, operands=own), facts, known)
        return {
            t.name: tuple(prod(int(term.sizes[w]) for w in axis) for axis in t.axes)
            for term in fixed.terms
            for t in term.tensors
            if isinstance(t, Operand) and t.name in self.masks
        }

    def _keep(self, name: str, values: Mapping[str, Any], like: Tensor) -> Any:
        """The probability of an entry of a mask: a number, or a tensor that the call gives."""
        keep = self.masks[name].keep
        if isinstance(keep, str):
            return values[keep].to(like.dtype)
        number = self.numbers[name]
        if not sympy.sympify(number).is_number:
            missing = ", ".join(sorted(map(str, number.free_symbols)))
            raise DiagramError([Problem(f"parameter '{missing}' has no value")])
        return float(number)

    def _draw(
        self,
        name: str,
        shape: tuple[int, ...],
        like: Tensor,
        values: Mapping[str, Any],
        generator: Generator | None,
    ) -> Tensor:
        """A mask: each entry 1/keep with probability keep, else 0."""
        import torch

        keep = self._keep(name, values, like)
        real = like.dtype if like.dtype.is_floating_point else torch.float32
        with torch.no_grad():
            if isinstance(keep, float):
                chance = torch.full(shape, keep, dtype=torch.float32, device=like.device)
            else:
                chance = keep.real.float() if keep.is_complex() else keep.float()
            ones = torch.bernoulli(chance, generator=generator).to(real)
            mask: Tensor = (ones / keep).to(like.dtype)
            return mask


def _numbers(computation: Computation) -> dict[str, Any]:
    """The probabilities of masks that are numbers; DiagramError for one that cannot be."""
    each = computation.resolved or [resolved(d, computation.values) for d in computation.diagrams]
    numbers: dict[str, Any] = {}
    for diagram, known in zip(computation.diagrams, each, strict=True):
        for o in diagram.operands:
            if o.keep is not None and not isinstance(o.keep, str):
                numbers[o.name] = substitute(o.keep, known.symbols)
    said = {name: unfit_probability(number) for name, number in numbers.items()}
    problems = [Problem(f"{why}: '{n}' has {numbers[n]}") for n, why in said.items() if why]
    if problems:
        raise DiagramError(problems)
    return numbers


def _is_bool(x: Any) -> bool:
    return str(getattr(x, "dtype", "")) == "torch.bool"
