"""The stage of constants: operands whose values `compile(constants={"C": c})` has.

They are no operands of a call, but put into it. Where the planner finds it cheaper, products of
constants are worked out once, for each dtype and device that the function meets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from diagrammar.grammar.errors import DiagramError, Problem, near
from diagrammar.ir.diagram import Diagram
from diagrammar.ir.sizes import Contradiction, solve
from diagrammar.runtime.dtypes import InDtype, is_whole, unfit
from diagrammar.runtime.latest import Latest
from diagrammar.runtime.operands import Kind
from diagrammar.runtime.programs import ANY, Programs
from diagrammar.runtime.specialised import Specialised
from diagrammar.runtime.values import Computation
from diagrammar.transform.fold_constants import folded
from diagrammar.transform.values import shape_facts

KINDS = 4
"""Dtypes and devices for which cast constants are kept."""


class ConstantOperands:
    """Values of a computation's constants. They take the dtype and device of the first operand of a
    call, and no gradient; beside operands of integers they must be integers, too. Raises
    DiagramError for values that no constant has, and for shapes that do not fit."""

    _cast: Latest[Any, dict[str, Any]]

    def __init__(self, programs: Programs, values: Mapping[str, Any]) -> None:
        self.programs, self.values = programs, dict(values)
        self.target = programs.target
        declared = programs.computation.operands
        self.operands = tuple(o for o in declared if o.name not in values)
        if problems := _unknown(programs.computation, values):
            raise DiagramError(problems)
        if not programs.computation.is_open:
            _check_shapes(programs.computation, values)
        self.clear()

    def clear(self) -> None:
        """Forget the constants that were cast."""
        self._cast = Latest(KINDS)

    # -- values ------------------------------------------------------------------------------------

    def beside(self, operands: Mapping[str, Any]) -> dict[str, Any]:
        """The constants with the dtype and on the device of the first of some operands. Raises
        DiagramError for operands that do not fit together or with them."""
        like = next(iter(operands.values()), None)
        if not self.target.tensors:
            return self.values
        self._check(operands, self.programs)
        return self._like(like)

    def _check(self, operands: Mapping[str, Any], programs: Programs) -> None:
        declared = programs.computation.operands
        own = [o for o in declared if o.name in operands]
        problems = unfit(own, [operands[o.name] for o in own], self.target)
        if not problems:
            like = next(iter(operands.values()), None)
            both = {**self._like(like), **operands}
            beside = [o for o in declared if o.name in both]
            problems = unfit(beside, [both[o.name] for o in beside], self.target)
        if problems:
            raise DiagramError(problems)

    def _like(self, operand: Any) -> dict[str, Any]:
        """The constants with the dtype and on the device of an operand."""
        key = None if operand is None else (operand.dtype, operand.device)
        values = self._cast.get(key)
        if values is None:
            values = self._tensors()
            if operand is not None:
                values = {n: _like(value, operand) for n, value in values.items()}
            self._cast[key] = values
        return values

    def _tensors(self) -> dict[str, Any]:
        """The constants as they were given."""
        import torch

        return {n: torch.as_tensor(x).detach() for n, x in self.values.items()}

    # -- calls -------------------------------------------------------------------------------------

    def call_for(self, operands: tuple[Any, ...]) -> Callable[..., Any]:
        """The emitted function for operands like these, with the constants, or their products, put
        in."""
        self._check(self._named(operands), self.programs)
        if not any(map(is_whole, operands)):
            return self._put_in(self.programs, operands)
        dtype, programs = self.programs.integers()
        whole = ConstantOperands(programs, {n: x.to(dtype) for n, x in self._tensors().items()})
        return InDtype(dtype, whole._put_in(programs, tuple(x.to(dtype) for x in operands)))

    def specialise(self, shapes: Mapping[str, tuple[int, ...]]) -> Specialised:
        """The program for operands of these shapes; products of constants may be operands of it."""
        return self._chosen(self.programs, {**shapes, **self.shapes()}, ANY)[0]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the constants."""
        return {n: tuple(map(int, value.shape)) for n, value in self.values.items()}

    def _named(self, operands: Sequence[Any]) -> dict[str, Any]:
        return dict(zip((o.name for o in self.operands), operands, strict=True))

    def _put_in(self, programs: Programs, operands: tuple[Any, ...]) -> Callable[..., Any]:
        constants = self._like(operands[0] if operands else None)
        values = {**self._named(operands), **constants}
        everything = [values[o.name] for o in programs.computation.operands]
        shapes = {n: tuple(map(int, x.shape)) for n, x in values.items()}
        kind = programs.kind_of(everything)
        special, products = self._chosen(programs, shapes, kind)
        programs.checked(special, everything)
        ready = dict(constants)
        for name, product in products.items():
            ready[name] = self._product(programs.build((product,), kind, name), product, constants)
        places = {o.name: at for at, o in enumerate(self.operands)}
        order = [p.name for p in special.program.parameters]
        values_in_place = [None if name in places else ready[name] for name in order]
        return _PutIn(special.call, tuple(map(places.get, order)), values_in_place)

    def _chosen(
        self, programs: Programs, shapes: Mapping[str, tuple[int, ...]], kind: Kind
    ) -> tuple[Specialised, Mapping[str, Diagram]]:
        """The program at some shapes, with products of constants folded if that is cheaper, and
        the products."""
        ordered = tuple(shapes[o.name] for o in programs.computation.operands)
        plain = programs.at(ordered, kind)
        products = folded(programs.diagrams_at(ordered), frozenset(self.values))
        if products is None or not self.target.planned:
            return plain, {}
        other = programs.build(products.diagrams, kind)
        return (other, products.made) if _cost(other) < _cost(plain) else (plain, {})

    def _product(self, special: Specialised, product: Diagram, constants: Mapping[str, Any]) -> Any:
        """A product of constants: in their own precision where that is one, then cast."""
        own = self._tensors()
        names = [o.name for o in product.operands]
        factors = [own[n] for n in names]
        cast = [constants[n] for n in names]
        if len({x.dtype for x in factors}) > 1 or not factors[0].is_floating_point():
            return special.call(*cast)
        moved = (x.to(c.device) for x, c in zip(factors, cast, strict=True))
        return special.call(*moved).to(cast[0])


def _like(value: Any, operand: Any) -> Any:
    """A constant with the dtype and on the device of an operand; its own dtype where that would
    lose entries."""
    exact = operand.is_complex() or (operand.is_floating_point() and not value.is_complex())
    both = is_whole(operand) and is_whole(value)
    return value.to(operand.device, operand.dtype if exact or both else value.dtype)


def _unknown(computation: Computation, values: Mapping[str, Any]) -> list[Problem]:
    """Problems for values that no constant has."""
    declared = {o.name: o for o in computation.operands}
    constants = [o.name for o in computation.operands if o.constant]
    problems = []
    for name in values:
        if name not in declared:
            help = near(name, constants) or f"there are {', '.join(constants) or 'none'}"
            problems.append(Problem(f"unknown constant '{name}'", help=help))
        elif name not in constants:
            way = "declare it with 'constant' in the file, or give it with each call"
            problems.append(Problem(f"operand '{name}' is not a constant", help=way))
    return problems


def _check_shapes(computation: Computation, values: Mapping[str, Any]) -> None:
    """Raises DiagramError for constants whose shapes do not fit."""
    for diagram, known in zip(computation.diagrams, computation.resolved, strict=True):
        own = tuple(o for o in diagram.operands if o.name in values)
        shapes = {o.name: tuple(map(int, values[o.name].shape)) for o in own}
        facts, problems = shape_facts(replace(diagram, operands=own), shapes)
        if problems:
            raise DiagramError(problems)
        try:
            solve([*known.facts, *facts])
        except Contradiction as clash:
            raise DiagramError([clash.problem]) from None


@dataclass(frozen=True)
class _PutIn:
    """A call with constants put in: `places` has for each parameter the operand that it is, or
    None, and then `values` the constant."""

    call: Callable[..., Any]
    places: tuple[int | None, ...]
    values: Sequence[Any]

    def __call__(self, *operands: Any) -> Any:
        """The result for the operands that are not constants."""
        both = zip(self.places, self.values, strict=True)
        return self.call(*[value if at is None else operands[at] for at, value in both])

    @property
    def constants(self) -> int:
        """The bytes of patterns that the call holds between calls."""
        return getattr(self.call, "constants", 0)


def _cost(special: Specialised) -> float:
    return min(c.cost for c in special.candidates if c.recipe == special.recipe)
