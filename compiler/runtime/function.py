"""Compiled functions: one program per shape signature, made on the first call and kept."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from diagrammar.grammar.errors import DiagramError, Problem
from diagrammar.ir.diagram import Diagram
from diagrammar.ir.matrices import contradictions
from diagrammar.ir.symbols import operands_of, readings
from diagrammar.program.liveness import show_bytes
from diagrammar.runtime.build import build
from diagrammar.runtime.dtypes import Cast, computed_in, is_whole, unfit
from diagrammar.runtime.latest import CALLS, PLANS, Latest
from diagrammar.runtime.measuring import measured
from diagrammar.runtime.opened import open_axes
from diagrammar.runtime.options import Options
from diagrammar.runtime.signatures import enough, in_order, shape_given, shown_axes, signature
from diagrammar.runtime.specialised import Specialised
from diagrammar.runtime.tracing import is_symbolic, tracing
from diagrammar.services import verb
from diagrammar.transform.at_shapes import at_shapes, rank_of
from diagrammar.transform.values import at_rank, missing, resolve_values
from diagrammar.transform.wording import reworded

if TYPE_CHECKING:
    from torch import Tensor


class Function:
    """A function of a diagram's operands, by position (in order of first appearance) or by name.

    It specialises itself for each new combination of operand shapes and keeps what it made, up to
    a bound (`clear`).
    """

    _made: Latest[Any, Callable[..., Any]]
    _kept: Latest[tuple[tuple[tuple[int, ...], ...], int, str], Specialised]
    _opened: Latest[Any, Specialised]
    _ranked: dict[int, Function]
    _whole: list[tuple[Any, Function]]
    traced: SimpleNamespace

    def __init__(
        self, diagrams: Sequence[Diagram], values: Mapping[str, Any], options: Options
    ) -> None:
        self.diagrams = tuple(diagrams)
        self.values = dict(values)
        self.options, self.target = options, options.target
        self.name = "_".join(d.name for d in self.diagrams)
        self.operands = operands_of(self.diagrams)
        self.clear()
        self._is_traced = tracing(self.target)
        self._timed = options.plan == "measure"

    def __call__(self, /, *operands: Tensor, **named: Any) -> Any:
        """The result for these operands; a tuple for several diagrams.

        Results own their memory. Operands have one dtype and one device, and so do results.
        Integers and bool are computed in int64; in float64 where a factor is no integer, such as
        that of an average.

        Raises DiagramError when an operand is missing, or a shape, dtype or device does not fit.
        """
        if named or len(operands) != len(self.operands):
            operands = self._bound(operands, named)
        try:
            if self._is_traced():
                return self._traced(operands)(*operands)
            made = self._made.get(signature(operands))
            if made is None:
                made = self._make(operands)
            return made(*operands)
        except (AttributeError, TypeError, RuntimeError) as error:
            if problems := unfit(self.operands, operands, self.target):
                raise DiagramError(problems) from error
            if self.target.tensors and is_symbolic(operands):  # not to be hashed
                return self._traced(operands)(*operands)
            raise

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: what was compiled, without what was made for operands so far."""
        return {**self.__dict__, **self._nothing_made()}

    def clear(self) -> None:
        """Forget what was made for operands so far. By itself a function keeps the programs of the
        last 64 combinations of shapes and the calls of the last 1,024."""
        self.__dict__.update(self._nothing_made())

    def _nothing_made(self) -> dict[str, Any]:
        """What is kept of calls, before there was one."""
        return {
            "_made": Latest(CALLS), "_kept": Latest(PLANS), "_opened": Latest(PLANS),
            "_ranked": {}, "_whole": [], "traced": SimpleNamespace(),
        }  # fmt: skip

    def _bound(self, given: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[Any, ...]:
        return in_order(self.name, self.operands, given, named)

    def _make(self, operands: tuple[Any, ...]) -> Callable[..., Any]:
        if problems := unfit(self.operands, operands, self.target):
            raise DiagramError(problems)
        shapes = tuple(tuple(int(n) for n in x.shape) for x in operands)
        if self.target.tensors and any(map(is_whole, operands)):
            cast = self._made[signature(operands)] = self._of_integers(operands, shapes)
            return cast
        itemsize, device = self.made_of(operands)
        special = self._specialised(shapes, itemsize, device)
        self._check_declarations(operands)
        self._check_memory(special)
        if self._timed:
            special = self._kept[shapes, itemsize, device] = measured(special, operands)
        if len({x.dtype for x in operands}) < 2:  # of several autocast makes one, while it is on
            self._made[signature(operands)] = special.call
        return special.call

    def _of_integers(
        self, operands: tuple[Any, ...], shapes: tuple[tuple[int, ...], ...]
    ) -> Callable[..., Any]:
        """The function for operands of integers or bool, which casts them.

        Raises DiagramError where there is a budget, beside which a cast would take memory.
        """
        dtype, inner = self._of_ranks([len(s) for s in shapes])._integers()
        if self.options.memory is not None and any(x.dtype != dtype for x in operands):
            message = f"with a budget, integers must be of {dtype}, which is computed in"
            way = f"convert them: {self.operands[0].name}.to({dtype})"
            raise DiagramError([Problem(message, help=way)])
        special = inner._specialised(shapes, 8, self.made_of(operands)[1])
        self._check_declarations(operands)
        self._check_memory(special)
        return Cast(dtype, special.call)

    def _integers(self) -> tuple[Any, Function]:
        """The dtype that integers are computed in, and the function that takes them so."""
        if not self._whole:
            dtype = computed_in(self.diagrams, self.values)
            products = replace(self.options, native=False)  # library calls know no integers
            exact = not dtype.is_floating_point
            inner = Function(self.diagrams, self.values, products) if exact else self
            self._whole.append((dtype, inner))
        return self._whole[0]

    def made_of(self, operands: tuple[Any, ...]) -> tuple[int, str]:
        """What a program depends on besides shapes: the bytes of an entry, where there is a budget,
        and the kind of device."""
        sizes = [x.element_size() for x in operands] if self._budgets else []
        cuda = [getattr(x, "is_cuda", False) for x in operands]
        return max(sizes, default=4), "cuda" if any(cuda) else "cpu"

    def _traced(self, operands: tuple[Any, ...]) -> Callable[..., Any]:
        """The function for operands in a trace, whose sizes may be symbols."""
        from diagrammar.runtime.traced import made_for

        return made_for(self, operands)

    def open_axes(self, ranks: Sequence[int]) -> tuple[tuple[bool, ...], ...]:
        """For each axis of each operand, whether its size may stay open; `ranks` has the number of
        axes of each operand."""
        if any(d.family for d in self.diagrams):
            return self._of_ranks(ranks).open_axes(ranks)
        return open_axes(self.diagrams, self.operands)

    def opened(
        self, shapes: Sequence[Sequence[int | None]], itemsize: int = 4, device: str = "cpu"
    ) -> Specialised:
        """The function for operands of these shapes, one for each in their order, in which None is
        any size, such as [(None, 4, 8, 8)]. It checks sizes when it is called, and keeps no budget
        where one is open; otherwise for entries of `itemsize` bytes. `device`: "cpu" or "cuda".

        Raises DiagramError for sizes that do not fit, and for a budget that is too small.
        """
        if len(shapes) != len(self.operands):
            message = f"'{self.name}' has {len(self.operands)} operands, not {len(shapes)}"
            help = f"give a shape for each: {', '.join(o.name for o in self.operands)}"
            raise DiagramError([Problem(message, help=help)])
        if all(None not in shape for shape in shapes):
            known = tuple(tuple(int(n or 0) for n in shape) for shape in shapes)
            fixed = self._specialised(known, itemsize, device)
            self._check_memory(fixed)
            return fixed
        if any(d.family for d in self.diagrams):
            return self._of_ranks([len(s) for s in shapes]).opened(shapes, itemsize, device)
        key = tuple(map(tuple, shapes)), device
        special = self._opened.used(key)
        if special is None:
            named = dict(zip((o.name for o in self.operands), shapes, strict=True))
            diagrams = tuple(at_shapes(d, self.values, named) for d in self.diagrams)
            special = build(self.name, diagrams, self.options, checked=True, device=device)
            self._opened[key] = special
        return special

    def _check_declarations(self, operands: tuple[Any, ...]) -> None:
        """Whether constants are what the file declares of them, on the first call for a shape."""
        if any(o.kind for o in self.operands):
            values = dict(zip((o.name for o in self.operands), operands, strict=True))
            if problems := contradictions(self.operands, values):
                raise DiagramError(problems)

    @property
    def _budgets(self) -> bool:
        """Whether what is made depends on the bytes of an entry."""
        return self.options.memory is not None and self.target.tensors

    def _check_memory(self, special: Specialised) -> None:
        if not special.least or self.options.memory is None:
            return
        raise DiagramError(
            [
                Problem(
                    f"'{self.name}' would allocate {show_bytes(special.least)} for these shapes, "
                    f"more than the budget of {show_bytes(self.options.memory)}",
                    help=f"raise memory= to {enough(special.least)!r}, the least that would do, "
                    "or give a smaller batch",
                )
            ]
        )

    def specialise(self, /, **shapes: Sequence[int]) -> Specialised:
        """The function for given operand shapes, as a call with such operands would make it; with
        a budget, for operands of four bytes an entry.

        Raises DiagramError for missing operands and sizes that do not fit.
        """
        ordered = self._bound((), shapes)
        return self._specialised(
            tuple(shape_given(o.name, s) for o, s in zip(self.operands, ordered, strict=True))
        )

    def _specialised(
        self, shapes: tuple[tuple[int, ...], ...], itemsize: int = 4, device: str = "cpu"
    ) -> Specialised:
        if any(d.family for d in self.diagrams):
            return self._of_rank(shapes)._specialised(shapes, itemsize, device)
        key = shapes, itemsize, device
        special = self._kept.used(key)
        if special is None:
            named = dict(zip((o.name for o in self.operands), shapes, strict=True))
            diagrams = tuple(at_shapes(d, self.values, named) for d in self.diagrams)
            size = self._accumulated(itemsize)
            special = build(self.name, diagrams, self.options, itemsize=size, device=device)
            self._kept[key] = special
        return special

    def _accumulated(self, itemsize: int) -> int:
        """The bytes of an entry where operands are cast before they are used."""
        bits = re.search(r"\d+", self.options.accumulate or "")
        return max(itemsize, int(bits[0]) // 8 if bits else 0)

    def diagrams_for(self, operands: Mapping[str, Any]) -> tuple[Diagram, ...]:
        """The diagrams as written, with the sizes that these operands (by name) give them."""
        shapes = tuple(tuple(int(n) for n in operands[o.name].shape) for o in self.operands)
        if any(d.family for d in self.diagrams):
            return self._of_rank(shapes).diagrams_for(operands)
        named = dict(zip((o.name for o in self.operands), shapes, strict=True))
        return tuple(at_shapes(d, self.values, named) for d in self.diagrams)

    def _of_ranks(self, ranks: Sequence[int]) -> Function:
        """The function at the rank of packs that operands with these numbers of axes have."""
        is_open = any(d.family for d in self.diagrams)
        return self._of_rank([(1,) * rank for rank in ranks]) if is_open else self

    def _of_rank(self, shapes: Sequence[Sequence[int]]) -> Function:
        """The function at the rank that operands of these shapes have."""
        rank = rank_of(
            self.diagrams, dict(zip((o.name for o in self.operands), shapes, strict=True))
        )
        if rank not in self._ranked:
            made = at_values(self.diagrams, {**self.values, "rank": rank})
            self._ranked[rank] = self._of_same_kind(*made)
        return self._ranked[rank]

    def _of_same_kind(self, diagrams: Sequence[Diagram], values: Mapping[str, Any]) -> Function:
        """A function of other diagrams that does with operands what this one does."""
        return Function(diagrams, values, self.options)

    def specialised(self) -> tuple[Specialised, ...]:
        """The functions made so far, one a combination of operand shapes."""
        ranked = (s for f in self._ranked.values() for s in f.specialised())
        return (*self._kept.values(), *ranked)

    def generic(self) -> Specialised:
        """One function for all shapes; sizes are read off the operands when it is called.

        Raises DiagramError when a parameter has no value, or a size is not fixed by any operand.
        """
        if any(d.family for d in self.diagrams):
            message = f"the rank of '{self.name}' is open"
            raise DiagramError([Problem(message, help="give it: compile(rank=2)")])
        diagrams = []
        for diagram in self.diagrams:
            symbols, problems = resolve_values(diagram, self.values)
            if problems:
                raise DiagramError(problems)
            fixed = diagram.substitute(symbols)
            bound = frozenset(b.name for b in readings((fixed,), fixed.operands))
            problems = missing(fixed, bound)
            if problems:
                raise DiagramError(problems)
            diagrams.append(fixed)
        return build(self.name, tuple(diagrams), self.options, checked=True)

    def to_html(self, path: str | os.PathLike[str], /, **shapes: Sequence[int]) -> Path:
        """Write the report of the function for given operand shapes, as `specialise` takes them, or
        without any that of the shape-generic one; return the path.

        Raises DiagramError for shapes that do not fit, OSError if the file cannot be written.
        """
        made = self.specialise(**shapes) if shapes or not self.operands else self.generic()
        return made.to_html(path)

    @property
    def source(self) -> str:
        """The source of the shape-generic function; see `specialise(…).source` for that of one
        shape."""
        return self.generic().source

    def made_for(self) -> tuple[str, ...]:
        """The operand shapes that it was made for so far, in order."""
        names = [o.name for o in self.operands]
        own = (
            ", ".join(f"{n}={s}" for n, s in zip(names, shapes, strict=True))
            for shapes, *_ in self._kept
        )
        return (*own, *(made for f in self._ranked.values() for made in f.made_for()))

    def _repr_html_(self) -> str:
        return verb(Function._repr_html_)(self)

    def __repr__(self) -> str:
        taken = ", ".join(f"{o.name}{shown_axes(o)}" for o in self.operands)
        return f"<Function {self.name}({taken})>"


def at_values(
    diagrams: Sequence[Diagram], values: Mapping[str, Any]
) -> tuple[list[Diagram], dict[str, Any]]:
    """The diagrams at the `rank` among the values and at those that are no numbers, and the values
    that are left. Raises DiagramError for a name that none of them knows and for bad values."""
    rest = {n: v for n, v in values.items() if n != "rank"}
    if "rank" in values:
        diagrams = [at_rank(d, {"rank": values["rank"]})[0] for d in diagrams]
    pairs = [reworded(d, rest) for d in diagrams]
    diagrams = [diagram for diagram, _ in pairs]
    rest = {n: v for n, v in rest.items() if all(n in left for _, left in pairs)}
    is_open = any(d.family for d in diagrams)
    problems: dict[str, Problem] = {}
    per_diagram = []
    for diagram in diagrams:
        found = resolve_values(diagram, rest)[1]
        per_diagram.append(found)
        problems.update({str(p): p for p in found})
    # a name need only be known to one of several diagrams
    unknown_everywhere = [
        p
        for text, p in problems.items()
        if not p.message.startswith("unknown") or all(text_in(text, f) for f in per_diagram)
    ]
    if is_open:  # what depends on the rank is for later
        unknown_everywhere = [p for p in unknown_everywhere if p.message.startswith("unknown")]
    if unknown_everywhere:
        raise DiagramError(unknown_everywhere)
    return diagrams, rest


def text_in(text: str, problems: Sequence[Problem]) -> bool:
    """Whether a problem's message is among some."""
    first = text.split("\n", 1)[0]
    return any(str(p).split("\n", 1)[0] == first for p in problems)
