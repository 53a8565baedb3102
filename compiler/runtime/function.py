"""What `compile` returns: a function, and what it does at a call.

Operands are put in order; constants are put in, or masks drawn; then the emitted function for
operands like these is called, which is built and remembered at the first call.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from diagrammar.grammar.errors import DiagramError, Problem
from diagrammar.ir.diagram import Diagram
from diagrammar.runtime.constants import ConstantOperands
from diagrammar.runtime.dtypes import unfit
from diagrammar.runtime.kept_rows import KeptRows
from diagrammar.runtime.latest import CALLS, Latest
from diagrammar.runtime.operands import Kind, in_order, shape_of, shown_axes, signature
from diagrammar.runtime.options import CompileOptions
from diagrammar.runtime.programs import Programs
from diagrammar.runtime.sampling import GENERATOR, Sampling
from diagrammar.runtime.specialised import Specialised
from diagrammar.runtime.tracing import is_symbolic, tracing
from diagrammar.runtime.values import Computation
from diagrammar.services import verb

if TYPE_CHECKING:
    from torch import Tensor


def assembled(
    computation: Computation, options: CompileOptions, constants: Mapping[str, Any] | None = None
) -> Function:
    """The function of a computation, none of whose programs is built yet, with the stages that its
    calls need."""
    programs = Programs(computation, options)
    return Function(
        programs,
        ConstantOperands(programs, constants) if constants else None,
        Sampling(computation, options, constants or ()) if computation.masks else None,
    )


class Function:
    """A function of a diagram's operands, by position (in order of first appearance) or by name.

    It specialises itself for each new combination of operand shapes and keeps what it made, up to
    a bound (`clear`). Masks that a call does not give are drawn, by `generator` if there is one;
    positions count them last.
    """

    _ready: Latest[Any, Callable[..., Any]]
    _ranked: dict[int, Function]
    traced: SimpleNamespace

    def __init__(
        self,
        programs: Programs,
        constants: ConstantOperands | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        computation = programs.computation
        self.diagrams, self.values = computation.diagrams, dict(computation.values)
        self.options, self.name = programs.options, computation.name
        self.operands = computation.operands if constants is None else constants.operands
        self.programs, self.constants, self.sampling = programs, constants, sampling
        self._rows = None if sampling is None else KeptRows(programs, sampling)
        target = programs.target
        in_calls = target.tensors and not computation.is_open
        # constants that are not put in once for operands like these, and masks
        self._adds_operands = sampling is not None or (constants is not None and not in_calls)
        self._of_all_operands = Function(programs) if self._adds_operands else self
        self._is_traced = bool if constants is not None else tracing(target)
        self._ready, self._ranked, self.traced = Latest(CALLS), {}, SimpleNamespace()

    def __call__(self, /, *operands: Tensor, **named: Any) -> Any:
        """The result for these operands; a tuple for several diagrams.

        Results own their memory. Operands have one dtype and one device, and so do results.
        Integers and bool are computed in int64; in float64 where a factor is no integer, such as
        that of an average, and where masks are drawn.

        Raises DiagramError when an operand is missing, or a shape, dtype or device does not fit.
        """
        if self._adds_operands:
            return self._with_added(operands, named)
        if named or len(operands) != len(self.operands):
            operands = in_order(self.name, self.operands, operands, named)
        try:
            if self._is_traced():
                return self._in_trace(operands)(*operands)
            ready = self._ready.get(tuple([(x.shape, x.dtype, x.device) for x in operands]))
            if ready is None:
                ready = self._prepare(operands)
            return ready(*operands)
        except (AttributeError, TypeError, RuntimeError) as error:
            if problems := unfit(self.operands, operands, self.programs.target):
                raise DiagramError(problems) from error
            if self.constants is None and self._is_symbolic(operands):  # not to be hashed
                return self._in_trace(operands)(*operands)
            raise

    def __reduce__(self) -> tuple[Any, ...]:
        """For copies and pickles: what was compiled, without what was made for operands so far."""
        constants = None if self.constants is None else self.constants.values
        return assembled, (self.programs.computation, self.options, constants)

    def clear(self) -> None:
        """Forget what was made for operands so far. By itself a function keeps the programs of the
        last 64 combinations of shapes and the calls of the last 1,024."""
        self._ready, self._ranked, self.traced = Latest(CALLS), {}, SimpleNamespace()
        for stage in (self.programs, self.constants, self.sampling, self._rows):
            if stage is not None:
                stage.clear()
        if self._of_all_operands is not self:
            self._of_all_operands.clear()

    # -- stages of a call --------------------------------------------------------------------------

    def _prepare(self, operands: tuple[Any, ...]) -> Callable[..., Any]:
        """The emitted function for operands like these, which is remembered."""
        if problems := unfit(self.operands, operands, self.programs.target):
            raise DiagramError(problems)
        ready = (self.constants or self.programs).call_for(operands)
        if len({x.dtype for x in operands}) < 2:  # of several autocast makes one, while it is on
            self._ready[signature(operands)] = ready
        return ready

    def _with_added(self, operands: Sequence[Any], named: Mapping[str, Any]) -> Any:
        """The result of a call to which constants or masks are added."""
        if self.sampling is None:
            values = self._by_name(in_order(self.name, self.operands, operands, named))
        else:
            named = dict(named)
            generator = named.pop(GENERATOR, None)
            values = self.sampling.named(operands, named)
        if self.constants is not None:
            values = {**values, **self.constants.beside(values)}
        if self.sampling is None:
            return self._of_all_operands(*self._in_order(values))
        return self._of_rank(values)._sampled(values, generator)

    def _sampled(self, values: Mapping[str, Any], generator: Any) -> Any:
        """The result with the masks that are missing, on the rows that they keep where these can be
        counted."""
        rows = self._rows
        assert rows is not None
        if not self.programs.target.tensors:
            return self._of_all_operands(*self._in_order(values))
        try:
            drawn = rows.sampling.drawn(values, generator)
            result = rows.call(drawn) if rows.can_be_counted(drawn) else None
            if result is None:
                result = self._of_all_operands(*self._in_order(drawn.values))
            return result
        except (AttributeError, TypeError, RuntimeError) as error:
            if problems := rows.sampling.unfit(values):
                raise DiagramError(problems) from error
            raise

    def _of_rank(self, values: Mapping[str, Any]) -> Function:
        """The function that draws masks at the rank of packs that operands have."""
        computation = self.programs.computation
        if not computation.is_open:
            return self
        shapes = {o.name: getattr(values.get(o.name), "shape", ()) for o in computation.operands}
        rank = computation.rank_of(shapes)
        if rank not in self._ranked:
            programs = self.programs.of_rank([*shapes.values()])
            sampling = Sampling(programs.computation, self.options)
            self._ranked[rank] = Function(programs, sampling=sampling)
        return self._ranked[rank]

    def _in_trace(self, operands: tuple[Any, ...]) -> Callable[..., Any]:
        """The function for operands in a trace, whose sizes may be symbols."""
        from diagrammar.runtime.traced import made_for

        return made_for(self, operands)

    def _is_symbolic(self, operands: Sequence[Any]) -> bool:
        return self.programs.target.tensors and is_symbolic(operands)

    def _in_order(self, values: Mapping[str, Any]) -> list[Any]:
        """All operands of the computation, constants and masks among them."""
        return [values[o.name] for o in self.programs.computation.operands]

    def _by_name(self, values: Sequence[Any]) -> dict[str, Any]:
        return dict(zip((o.name for o in self.operands), values, strict=True))

    # -- programs ----------------------------------------------------------------------------------

    def specialise(self, /, **shapes: Sequence[int]) -> Specialised:
        """The function for given operand shapes, as a call with such operands would make it; with
        a budget, for operands of four bytes an entry. Products of constants may be operands of it.

        Raises DiagramError for missing operands and sizes that do not fit.
        """
        ordered = in_order(self.name, self.operands, (), shapes)
        known = tuple(shape_of(o.name, s) for o, s in zip(self.operands, ordered, strict=True))
        if self.constants is not None:
            return self.constants.specialise(self._by_name(known))
        return self.programs.at(known)

    def generic(self) -> Specialised:
        """One function for all shapes; sizes are read off the operands when it is called. Constants
        are operands of it.

        Raises DiagramError when a parameter has no value, or a size is not fixed by any operand.
        """
        return self.programs.for_all_shapes()

    def open_axes(self, ranks: Sequence[int]) -> tuple[tuple[bool, ...], ...]:
        """For each axis of each operand, whether its size may stay open; `ranks` has the number of
        axes of each operand."""
        return self.programs.open_axes(ranks)

    def opened(
        self, shapes: Sequence[Sequence[int | None]], itemsize: int = 4, device: str = "cpu"
    ) -> Specialised:
        """The function for operands of these shapes, one for each in their order, in which None is
        any size, such as [(None, 4, 8, 8)]. It checks sizes when it is called, and keeps no budget
        where one is open; otherwise for entries of `itemsize` bytes. `device`: its kind, as torch
        calls it.

        Raises DiagramError for sizes that do not fit, and for a budget that is too small.
        """
        operands = self.programs.computation.operands
        if len(shapes) != len(operands):
            message = f"'{self.name}' has {len(operands)} operands, not {len(shapes)}"
            help = f"give a shape for each: {', '.join(o.name for o in operands)}"
            raise DiagramError([Problem(message, help=help)])
        return self.programs.with_open(shapes, Kind(itemsize, device))

    def diagrams_for(self, operands: Mapping[str, Any]) -> tuple[Diagram, ...]:
        """The diagrams as written, with the sizes that these operands (by name) give them."""
        values = {**operands, **({} if self.constants is None else self.constants.values)}
        declared = self.programs.computation.operands
        return self.programs.diagrams_at(
            tuple(tuple(int(n) for n in values[o.name].shape) for o in declared)
        )

    def specialised(self) -> tuple[Specialised, ...]:
        """The functions made so far, one a combination of operand shapes."""
        return self.programs.built()

    def made_for(self) -> tuple[str, ...]:
        """The operand shapes that it was made for so far, in order."""
        every = self.programs.shapes()
        return tuple(", ".join(f"{n}={s}" for n, s in shapes.items()) for shapes in every)

    @property
    def source(self) -> str:
        """The source of the shape-generic function; see `specialise(…).source` for that of one
        shape."""
        return self.generic().source

    def to_html(self, path: str | os.PathLike[str], /, **shapes: Sequence[int]) -> Path:
        """Write the report of the function for given operand shapes, as `specialise` takes them, or
        without any that of the shape-generic one; return the path.

        Raises DiagramError for shapes that do not fit, OSError if the file cannot be written.
        """
        special = self.specialise(**shapes) if shapes or not self.operands else self.generic()
        return special.to_html(path)

    def _repr_html_(self) -> str:
        return verb(Function._repr_html_)(self)

    def __repr__(self) -> str:
        taken = ", ".join(f"{o.name}{shown_axes(o)}" for o in self.operands)
        return f"<Function {self.name}({taken})>"
