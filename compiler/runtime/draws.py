"""Functions of which some operands are drawn: masks, where a call does not give them.

`SampledFunction` draws what is missing and calls the compiled program with it. Where an entry of a
mask is zero nothing else is needed of that row, so the call first takes the rows that are kept
(`kept`): the work shrinks, and autograd saves those rows only. A mask at a wire of an index
relation cannot be taken out so; then the rows are put back among zeros, and the call is run again
in the backward pass, so that what is saved between the two is the kept rows, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

import sympy

from diagrammar.grammar.errors import DiagramError, Problem
from diagrammar.ir.diagram import Diagram, Operand
from diagrammar.ir.numbers import unfit_probability
from diagrammar.ir.scalar import substitute
from diagrammar.runtime.build import build
from diagrammar.runtime.dtypes import has_entries, is_whole, unfit
from diagrammar.runtime.function import Function
from diagrammar.runtime.latest import CALLS, PLANS, Latest
from diagrammar.runtime.options import Options
from diagrammar.runtime.specialised import Specialised
from diagrammar.transform.at_shapes import at_shapes
from diagrammar.transform.kept_rows import Kept, Layout, kept_form
from diagrammar.transform.values import resolve_values

if TYPE_CHECKING:
    from torch import Generator, Tensor

Shapes = tuple[tuple[int, ...], ...]


GENERATOR = "generator"
"""The keyword of calls that is not an operand."""


class SampledFunction(Function):
    """A function that draws the masks that a call does not give.

    A mask is given by name. One of `bool` is divided by its probability; any other is taken as it
    is, so its entries should be 0 and 1/keep.
    """

    _fit: Latest[Any, bool]  # combinations of dtypes and devices that go together
    _mask_shapes: Latest[Shapes, dict[str, tuple[int, ...]]]
    _made_kept: Latest[Any, tuple[Kept, Specialised]]

    def __init__(
        self, diagrams: Sequence[Diagram], values: Mapping[str, Any], options: Options
    ) -> None:
        super().__init__(diagrams, values, options)
        self.masks = {o.name: o for o in self.operands if o.keep is not None}
        self.given = tuple(o for o in self.operands if o.keep is None)
        names = {o.keep: o for o in self.masks.values() if isinstance(o.keep, str)}
        known = {o.name for o in self.operands}
        self.probabilities = {n: o for n, o in names.items() if n not in known}
        if GENERATOR in known | self.probabilities.keys():
            message = f"'{self.name}' draws masks by '{GENERATOR}': no operand may have its name"
            raise DiagramError([Problem(message, help=f"rename '{GENERATOR}'")])
        self._numbers = self._keep_numbers()

    def _nothing_made(self) -> dict[str, Any]:
        own: dict[str, Any] = {
            "_fit": Latest(CALLS),
            "_mask_shapes": Latest(CALLS),
            "_made_kept": Latest(PLANS),
        }
        return {**super()._nothing_made(), **own}

    def _of_same_kind(self, diagrams: Sequence[Diagram], values: Mapping[str, Any]) -> Function:
        return SampledFunction(diagrams, values, self.options)

    def _keep_numbers(self) -> dict[str, Any]:
        """The probabilities that are numbers; DiagramError for one that cannot be."""
        found: dict[str, Any] = {}
        problems = []
        for diagram in self.diagrams:
            symbols, _ = resolve_values(diagram, self.values)
            for o in diagram.operands:
                if o.keep is None or isinstance(o.keep, str):
                    continue
                found[o.name] = substitute(o.keep, symbols)
                if unfit_probability(found[o.name]):
                    message = f"{unfit_probability(found[o.name])}: '{o.name}' has {found[o.name]}"
                    problems.append(Problem(message))
        if problems:
            raise DiagramError(problems)
        return found

    def __call__(
        self, /, *operands: Tensor, generator: Generator | None = None, **named: Any
    ) -> Any:
        """The result; masks that are not given are drawn, by `generator` if there is one. Integers
        are computed in float64.

        Raises DiagramError when another operand is missing or a shape does not fit.
        """
        values = self._named(operands, named)
        try:
            return self._called(values, generator)
        except (AttributeError, TypeError, RuntimeError) as error:
            if problems := self._unfit(values):
                raise DiagramError(problems) from error
            raise

    def _check(self, values: Mapping[str, Any]) -> None:
        """DiagramError for dtypes and devices that do not fit; once for each combination."""
        kinds = tuple([(n, x.dtype, x.device, x.layout) for n, x in values.items()])
        if kinds not in self._fit:
            if problems := self._unfit(values):
                raise DiagramError(problems)
            self._fit[kinds] = True

    def _unfit(self, values: Mapping[str, Any]) -> list[Problem]:
        given = [o for o in self.operands if o.name in values]
        return unfit(given, [values[o.name] for o in given], self.target)

    def _called(self, values: dict[str, Any], generator: Generator | None) -> Any:
        if any(d.family for d in self.diagrams):
            ranked = self._of_rank(
                [getattr(values.get(o.name), "shape", ()) for o in self.operands]
            )
            return ranked(generator=generator, **values)
        if not self.target.tensors:
            return super().__call__(**values)
        import torch

        self._check(values)
        for name, x in values.items():
            if is_whole(x) and not (name in self.masks and x.dtype == torch.bool):
                values[name] = x.to(torch.float64)
        missing = [m for m in self.masks if m not in values]
        binary = dict.fromkeys(missing, True)
        if missing:
            shapes = self._shapes_of_masks(values)
            like = self._like(values)
            for name in missing:
                values[name] = self._draw(name, shapes[name], like, values, generator)
        for name in self.masks:
            if values[name].dtype == torch.bool:
                like = self._like(values)
                values[name] = values[name].to(like.dtype) / self._keep(name, values, like)
                binary[name] = True
            elif not values[name].is_complex():  # given in another precision
                values[name] = values[name].to(self._like(values).dtype)
        for name in self.probabilities:
            values.pop(name, None)
        learned = any(values[m].requires_grad for m in self.masks)
        if learned or torch.compiler.is_compiling() or _transformed():
            return super().__call__(**values)
        if not all(has_entries(values[m]) for m in self.masks):
            return super().__call__(**values)
        return self._on_kept_rows(values, binary)

    def _named(self, operands: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
        """Operands by name; positions count those that are not drawn, then masks."""
        order = [*self.given, *self.probabilities.values(), *self.masks.values()]
        names = [o.name for o in self.given] + [*self.probabilities, *self.masks]
        values = dict(zip(names, operands, strict=False))
        problems = []
        if len(operands) > len(order):
            problems.append(
                Problem(f"'{self.name}' takes {len(order)} operands, not {len(operands)}")
            )
        known = {o.name for o in self.operands} | set(self.probabilities)
        for name in named:
            if name in values:
                problems.append(Problem(f"operand '{name}' is given twice"))
            elif name not in known:
                help = f"it takes {', '.join(names)}, and draws {', '.join(self.masks)}"
                problems.append(Problem(f"'{self.name}' has no operand '{name}'", help=help))
        values.update(named)
        needed = [o.name for o in self.given]
        if not self.target.tensors:
            needed += [*self.masks]
        else:
            drawn = [m for n, m in self.masks.items() if n not in values or _is_bool(values[n])]
            needed += [m.keep for m in drawn if isinstance(m.keep, str)]
        for name in dict.fromkeys(needed):
            if name not in values:
                help = "only the torch backend draws masks" if name in self.masks else ""
                problems.append(Problem(f"operand '{name}' is missing", help=help))
        if problems:
            raise DiagramError(problems)
        return values

    def _like(self, values: Mapping[str, Any]) -> Tensor:
        """A tensor of the dtype and on the device that masks shall have."""
        import torch

        names = [*(o.name for o in self.given), *self.probabilities]
        return next((values[n] for n in names if n in values), torch.empty(()))

    # -- drawing -----------------------------------------------------------------------------------

    def _shapes_of_masks(self, values: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
        """The shapes of masks, from those of the other operands."""
        shapes = {n: tuple(int(k) for k in v.shape) for n, v in values.items()}
        key = tuple(shapes.get(o.name, ()) for o in self.operands)
        found = self._mask_shapes.get(key)
        if found is None:
            found = {}
            for diagram in self.diagrams:
                found.update(self._shapes_in(diagram, shapes))
            self._mask_shapes[key] = found
        return found

    def _shapes_in(
        self, diagram: Diagram, shapes: Mapping[str, tuple[int, ...]]
    ) -> dict[str, tuple[int, ...]]:
        """The shapes of the masks of one diagram that are not given."""
        known = tuple(o for o in diagram.operands if o.name in shapes)
        fixed = at_shapes(replace(diagram, operands=known), self.values, shapes)
        return {
            t.name: tuple(prod(int(term.sizes[w]) for w in axis) for axis in t.axes)
            for term in fixed.terms
            for t in term.tensors
            if isinstance(t, Operand) and t.name in self.masks
        }

    def _keep(self, name: str, values: Mapping[str, Any], like: Tensor) -> Any:
        keep = self.masks[name].keep
        if isinstance(keep, str):
            return values[keep].to(like.dtype)
        number = self._numbers[name]
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
        real = torch.float32 if not like.dtype.is_floating_point else like.dtype
        with torch.no_grad():
            if isinstance(keep, float):
                chance = torch.full(shape, keep, dtype=torch.float32, device=like.device)
            else:
                chance = keep.real.float() if keep.is_complex() else keep.float()
            kept = torch.bernoulli(chance, generator=generator).to(real)
            mask: Tensor = (kept / keep).to(like.dtype)
            return mask

    # -- the rows that are kept --------------------------------------------------------------------

    def _on_kept_rows(self, values: Mapping[str, Any], binary: Mapping[str, bool]) -> Any:
        """The result, from operands cut to the rows that the masks keep."""
        import torch

        shapes = {o.name: tuple(map(int, values[o.name].shape)) for o in self.operands}
        key = (tuple(shapes.values()), tuple(binary))
        made = self._made_kept.used(key)
        if made is None:
            made = self._made_kept[key] = self._make_kept(shapes, binary)
        kept, special = made
        rows = {m: values[m].nonzero()[:, 0] for m in kept.masks}
        if not all(r.numel() for r in rows.values()):  # all is zero; library calls want a row
            return super().__call__(**values)
        inputs = {
            name: layout.taken(values[own], rows) if layout.cuts else values[own]
            for name, (own, layout) in kept.takes.items()
        }
        graded = torch.is_grad_enabled() and any(x.requires_grad for x in inputs.values())
        if not graded or not kept.saved:
            result = special.call(*inputs.values())
        else:
            result = _saving(special.call, inputs, kept.saved, rows)
        results = [result] if len(kept.puts) == 1 else result
        full = tuple(
            layout.put(r, rows) if layout.cuts else r
            for r, layout in zip(results, kept.puts, strict=True)
        )
        return full[0] if len(kept.puts) == 1 else full

    def _make_kept(
        self, shapes: Mapping[str, tuple[int, ...]], binary: Mapping[str, bool]
    ) -> tuple[Kept, Specialised]:
        fixed = [at_shapes(d, self.values, shapes) for d in self.diagrams]
        scales = {
            name: 1 / sympy.sympify(self._numbers[name])
            if name in binary and name in self._numbers
            else None
            for name, mask in self.masks.items()
            if len(mask.axes) == 1
        }
        kept = kept_form(fixed, scales)
        return kept, build(self.name, kept.diagrams, self.options, checked=True)


def _saving(
    call: Callable[..., Any],
    inputs: Mapping[str, Tensor],
    saved: Mapping[str, Layout],
    rows: Mapping[str, Tensor],
) -> Any:
    """A call that saves nothing for the backward pass but its inputs, some of them cut to the rows
    that count; it is run again there."""
    from torch.utils.checkpoint import checkpoint

    def again(*given: Tensor) -> Any:
        full = (
            saved[name].put(x, rows) if name in saved else x
            for name, x in zip(inputs, given, strict=True)
        )
        return call(*full)

    few = [saved[n].taken(x, rows) if n in saved else x for n, x in inputs.items()]
    return checkpoint(again, *few, use_reentrant=False, preserve_rng_state=False)


def _is_bool(x: Any) -> bool:
    return str(getattr(x, "dtype", "")) == "torch.bool"


def _transformed() -> bool:
    """Whether a transform of torch.func is at work, under which rows cannot be counted."""
    import torch

    active: Callable[[], bool] | None = getattr(torch._C, "_are_functorch_transforms_active", None)
    return bool(active is not None and active())
