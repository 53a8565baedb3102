"""The programs of a computation: each is built when operands of such shapes first ask for it, and
kept, up to a bound."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from diagrammar.grammar.errors import DiagramError, Problem
from diagrammar.ir.diagram import Diagram
from diagrammar.ir.matrices import contradictions
from diagrammar.program.liveness import show_bytes
from diagrammar.runtime.build import build
from diagrammar.runtime.dtypes import InDtype, computed_in, is_whole
from diagrammar.runtime.latest import PLANS, Latest
from diagrammar.runtime.measuring import measured, settled
from diagrammar.runtime.open_sizes import open_axes
from diagrammar.runtime.operands import Kind, kind_of
from diagrammar.runtime.options import CompileOptions
from diagrammar.runtime.specialised import Specialised
from diagrammar.runtime.values import Computation

if TYPE_CHECKING:
    import torch

Shapes = tuple[tuple[int, ...], ...]
"""The shapes of all operands, in order."""
ANY = Kind()


class Programs:
    """The programs of a computation, by the shapes and kinds of its operands."""

    _at_shapes: Latest[tuple[Shapes, Kind], Specialised]
    _open: Latest[Any, Specialised]
    _ranks: dict[int, Programs]
    _integers: list[tuple[torch.dtype, Programs]]

    def __init__(self, computation: Computation, options: CompileOptions) -> None:
        self.computation, self.options = computation, options
        self.target = options.target
        self.clear()

    def clear(self) -> None:
        """Forget what was built."""
        self._at_shapes, self._open = Latest(PLANS), Latest(PLANS)
        self._ranks, self._integers = {}, []

    # -- programs by shapes ------------------------------------------------------------------------

    def at(self, shapes: Shapes, kind: Kind = ANY) -> Specialised:
        """The program for operands of these shapes. Raises DiagramError for sizes that do not
        fit."""
        if self.computation.is_open:
            return self.of_rank(shapes).at(shapes, kind)
        special = self._at_shapes.used((shapes, kind))
        if special is None:
            diagrams = self.computation.at_shapes(self._named(shapes))
            special = self.build(diagrams, kind)
            self._at_shapes[shapes, kind] = special
        return special

    def build(self, diagrams: Sequence[Diagram], kind: Kind = ANY, name: str = "") -> Specialised:
        """The program of some diagrams of known sizes with these options; it is not kept."""
        bits = re.search(r"\d+", self.options.accumulate or "")  # operands are cast first
        itemsize = max(kind.itemsize, int(bits[0]) // 8 if bits else 0)
        name = name or self.computation.name
        return build(name, diagrams, self.options, itemsize=itemsize, device=kind.device)

    def with_open(self, shapes: Sequence[Sequence[int | None]], kind: Kind = ANY) -> Specialised:
        """The program for operands of these shapes, in which None is any size. It keeps no budget
        where a size is open. Raises DiagramError."""
        if all(None not in shape for shape in shapes):
            known = tuple(tuple(int(n or 0) for n in shape) for shape in shapes)
            return self.affordable(self.at(known, kind))
        if self.computation.is_open:
            return self.of_ranks([len(s) for s in shapes]).with_open(shapes, kind)
        key = tuple(map(tuple, shapes)), kind.device
        special = self._open.used(key)
        if special is None:
            diagrams = self.computation.at_shapes(self._named(shapes))
            special = self.build_checked(diagrams, kind.device)
            self._open[key] = special
        return special

    def build_checked(self, diagrams: Sequence[Diagram], device: str = "cpu") -> Specialised:
        """The program of some diagrams whose sizes are read and compared at each call."""
        return build(self.computation.name, diagrams, self.options, checked=True, device=device)

    def for_all_shapes(self) -> Specialised:
        """The program that reads all sizes off its operands. Raises DiagramError."""
        return self.build_checked(self.computation.for_all_shapes())

    def open_axes(self, ranks: Sequence[int]) -> tuple[tuple[bool, ...], ...]:
        """For each axis of each operand, whether its size may stay open; `ranks` has the number of
        axes of each operand."""
        computation = self.of_ranks(ranks).computation
        return open_axes(computation.diagrams, computation.operands)

    def diagrams_at(self, shapes: Shapes) -> tuple[Diagram, ...]:
        """The diagrams as written, with the sizes that operands of these shapes give them."""
        if self.computation.is_open:
            return self.of_rank(shapes).diagrams_at(shapes)
        return self.computation.at_shapes(self._named(shapes))

    def _named(self, shapes: Sequence[Any]) -> dict[str, Any]:
        return dict(zip((o.name for o in self.computation.operands), shapes, strict=True))

    # -- programs by ranks and dtypes --------------------------------------------------------------

    def of_rank(self, shapes: Sequence[Sequence[int]]) -> Programs:
        """Those at the rank of packs that operands of these shapes have."""
        rank = self.computation.rank_of(self._named(shapes))
        if rank not in self._ranks:
            self._ranks[rank] = Programs(self.computation.at_rank(rank), self.options)
        return self._ranks[rank]

    def of_ranks(self, ranks: Sequence[int]) -> Programs:
        """Those for operands with these numbers of axes."""
        return self.of_rank([(1,) * n for n in ranks]) if self.computation.is_open else self

    def integers(self) -> tuple[torch.dtype, Programs]:
        """The dtype that integers are computed in, and the programs for them: PyTorch's library
        calls know none."""
        if not self._integers:
            dtype = computed_in(self.computation)
            options = replace(self.options, native=False)
            floating = dtype.is_floating_point
            programs = self if floating else Programs(self.computation, options)
            self._integers.append((dtype, programs))
        return self._integers[0]

    # -- calls -------------------------------------------------------------------------------------

    def call_for(self, operands: tuple[Any, ...]) -> Callable[..., Any]:
        """The emitted function for operands like these, which fit together by their dtypes and
        devices. Raises DiagramError for sizes that do not fit, values that the file rules out, and
        a budget that is too small."""
        shapes = tuple(tuple(int(n) for n in x.shape) for x in operands)
        if self.computation.is_open:
            return self.of_rank(shapes).call_for(operands)
        if self.target.tensors and any(map(is_whole, operands)):
            return self._call_for_integers(operands, shapes)
        kind = self.kind_of(operands)
        special = self.checked(self.at(shapes, kind), operands)
        choose = measured if self.options.plan == "measure" else settled
        special = self._at_shapes[shapes, kind] = choose(special, operands)
        return special.call

    def kind_of(self, operands: Sequence[Any]) -> Kind:
        """What a program for these operands depends on besides their shapes."""
        return kind_of(operands, sized=self.options.memory is not None and self.target.tensors)

    def _call_for_integers(self, operands: tuple[Any, ...], shapes: Shapes) -> Callable[..., Any]:
        """The function for operands of integers or bool, which casts them.

        Raises DiagramError where there is a budget, beside which a cast would take memory.
        """
        dtype, programs = self.integers()
        if self.options.memory is not None and any(x.dtype != dtype for x in operands):
            message = f"with a budget, integers must be of {dtype}, which is computed in"
            way = f"convert them: {self.computation.operands[0].name}.to({dtype})"
            raise DiagramError([Problem(message, help=way)])
        special = programs.at(shapes, Kind(8, self.kind_of(operands).device))
        return InDtype(dtype, self.checked(special, operands).call)

    def checked(self, special: Specialised, operands: Sequence[Any]) -> Specialised:
        """A program for operands that are what the file declares of them, within the budget. Raises
        DiagramError."""
        declared = [o for o in self.computation.operands if o.kind]
        if declared and (problems := contradictions(declared, self._named(operands))):
            raise DiagramError(problems)
        return self.affordable(special)

    def affordable(self, special: Specialised) -> Specialised:
        """A program that keeps the budget. Raises DiagramError for another."""
        if special.least and self.options.memory is not None:
            message = (
                f"'{self.computation.name}' would allocate {show_bytes(special.least)} for these "
                f"shapes, more than the budget of {show_bytes(self.options.memory)}"
            )
            least = f"raise memory= to {_enough(special.least)!r}, the least that would do"
            raise DiagramError([Problem(message, help=f"{least}, or give a smaller batch")])
        return special

    # -- what was built ----------------------------------------------------------------------------

    def built(self) -> tuple[Specialised, ...]:
        """The programs for known shapes that were built so far."""
        ranked = (special for programs in self._ranks.values() for special in programs.built())
        return (*self._at_shapes.values(), *ranked)

    def shapes(self) -> Iterator[Mapping[str, tuple[int, ...]]]:
        """The shapes of operands, by name, for which programs were built so far."""
        yield from (self._named(shapes) for shapes, _ in self._at_shapes)
        for programs in self._ranks.values():
            yield from programs.shapes()


def _enough(count: int) -> str:
    """A number of bytes, rounded up, as `memory=` takes it."""
    unit, name = (2**20, "MiB") if count >= 2**20 else (2**10, "KiB")
    return f"{-(-10 * count // unit) / 10:g}{name}"
