"""Calls on the rows that masks keep.

Where an entry of a mask is zero nothing else is needed of that row, so a call first takes the rows
that are kept: the work shrinks, and autograd saves those rows only. A mask at a wire of an index
relation cannot be taken out so; then the rows are put back among zeros, and the call is run again
in the backward pass, so that what is saved between the two is the kept rows, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import sympy

from diagrammar.runtime.dtypes import has_entries
from diagrammar.runtime.latest import PLANS, Latest
from diagrammar.runtime.programs import Programs
from diagrammar.runtime.sampling import Drawn, Sampling
from diagrammar.runtime.specialised import Specialised
from diagrammar.transform.kept_rows import Kept, Layout, kept_form

if TYPE_CHECKING:
    from torch import Tensor


class KeptRows:
    """The programs of a computation on the rows that its masks keep."""

    _programs: Latest[Any, tuple[Kept, Specialised]]

    def __init__(self, programs: Programs, sampling: Sampling) -> None:
        self.programs, self.sampling = programs, sampling
        self.clear()

    def clear(self) -> None:
        """Forget the programs."""
        self._programs = Latest(PLANS)

    def can_be_counted(self, drawn: Drawn) -> bool:
        """Whether the rows that masks keep may be looked at: not of a mask that has a gradient or
        no entries, nor in a trace or below a transform."""
        import torch

        masks = [drawn.values[name] for name in self.sampling.masks]
        if any(mask.requires_grad for mask in masks):
            return False
        if torch.compiler.is_compiling() or _transformed():
            return False
        return all(map(has_entries, masks))

    def call(self, drawn: Drawn) -> Any:
        """The result, from operands cut to the rows that the masks keep; None where a mask keeps no
        row: library calls want one."""
        values = drawn.values
        form, special = self._at(drawn)
        rows = {mask: values[mask].nonzero()[:, 0] for mask in form.masks}
        if not all(row.numel() for row in rows.values()):
            return None
        inputs = {
            name: layout.taken(values[own], rows) if layout.cuts else values[own]
            for name, (own, layout) in form.takes.items()
        }
        result = _saving(special.call, inputs, form.saved, rows)
        results = [result] if len(form.puts) == 1 else result
        whole = tuple(
            layout.put(part, rows) if layout.cuts else part
            for part, layout in zip(results, form.puts, strict=True)
        )
        return whole[0] if len(form.puts) == 1 else whole

    def _at(self, drawn: Drawn) -> tuple[Kept, Specialised]:
        """The diagrams on kept rows for some operands, and their program."""
        operands = self.programs.computation.operands
        shapes = {o.name: tuple(map(int, drawn.values[o.name].shape)) for o in operands}
        key = tuple(shapes.values()), drawn.binary
        program = self._programs.used(key)
        if program is None:
            form = kept_form(self.programs.computation.at_shapes(shapes), self._scales(drawn))
            special = self.programs.build_checked(form.diagrams)
            program = self._programs[key] = form, special
        return program

    def _scales(self, drawn: Drawn) -> dict[str, Any]:
        """For each mask of one axis the number that its entries are where they are not zero; None
        where they may be several."""
        numbers = self.sampling.numbers
        masks = [name for name, mask in self.sampling.masks.items() if len(mask.axes) == 1]
        one = {name for name in masks if name in drawn.binary and name in numbers}
        return {n: 1 / sympy.sympify(numbers[n]) if n in one else None for n in masks}


def _saving(
    call: Callable[..., Any],
    inputs: Mapping[str, Tensor],
    saved: Mapping[str, Layout],
    rows: Mapping[str, Tensor],
) -> Any:
    """A call that saves nothing for the backward pass but its inputs, some of them cut to the rows
    that count; it is run again there. A plain call where nothing of that is needed."""
    import torch

    if not (saved and torch.is_grad_enabled() and any(x.requires_grad for x in inputs.values())):
        return call(*inputs.values())
    from torch.utils.checkpoint import checkpoint

    def again(*few: Tensor) -> Any:
        full = (
            saved[name].put(x, rows) if name in saved else x
            for name, x in zip(inputs, few, strict=True)
        )
        return call(*full)

    few = [saved[n].taken(x, rows) if n in saved else x for n, x in inputs.items()]
    return checkpoint(again, *few, use_reentrant=False, preserve_rng_state=False)


def _transformed() -> bool:
    """Whether a transform of torch.func is at work, under which rows cannot be counted."""
    import torch

    active: Callable[[], bool] | None = getattr(torch._C, "_are_functorch_transforms_active", None)
    return bool(active is not None and active())
