"""Functions of which some operands are constants whose values are known when they are compiled.

`compile(constants={"C": c})` takes them out of the signature. Where the planner finds it cheaper,
products of constants are worked out once, for each dtype and device that the function meets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from diagrammar.grammar.errors import DiagramError, Problem, near
from diagrammar.ir.diagram import Diagram
from diagrammar.ir.sizes import Contradiction, solve
from diagrammar.runtime.build import build
from diagrammar.runtime.dtypes import Cast, is_whole, unfit
from diagrammar.runtime.function import Function
from diagrammar.runtime.latest import CALLS, Latest
from diagrammar.runtime.specialised import Specialised
from diagrammar.transform.at_shapes import at_shapes
from diagrammar.transform.fold_constants import Folded, folded
from diagrammar.transform.values import shape_facts, value_facts

if TYPE_CHECKING:
    from torch import Tensor


KINDS = 4
"""Dtypes and devices for which cast constants are kept."""


class BoundFunction(Function):
    """A function whose constants have values. They take the dtype and device of the first operand
    of a call, and no gradient. Beside operands of integers they must be integers, too."""

    _cast: Latest[Any, dict[str, Any]]
    _ready: Latest[Any, Callable[..., Any]]

    def __init__(self, inner: Function, constants: Mapping[str, Any]) -> None:
        self.inner = inner
        super().__init__(inner.diagrams, inner.values, inner.options)
        self.constants = dict(constants)
        self._check()
        self.operands = tuple(o for o in inner.operands if o.name not in constants)

    def _of_same_kind(self, diagrams: Sequence[Diagram], values: Mapping[str, Any]) -> Function:
        return self.inner._of_same_kind(diagrams, values)

    def _nothing_made(self) -> dict[str, Any]:
        return {**super()._nothing_made(), "_cast": Latest(KINDS), "_ready": Latest(CALLS)}

    def clear(self) -> None:
        """Forget what was made for operands so far."""
        super().clear()
        self.inner.clear()

    def _check(self) -> None:
        """DiagramError for values that no constant has, and for shapes that do not fit."""
        known = {o.name: o for o in self.inner.operands}
        problems = []
        for name in self.constants:
            declared = known.get(name)
            others = [o.name for o in known.values() if o.constant]
            if declared is None:
                help = near(name, others) or f"there are {', '.join(others) or 'none'}"
                problems.append(Problem(f"unknown constant '{name}'", help=help))
            elif not declared.constant:
                way = "declare it with 'constant' in the file, or give it with each call"
                problems.append(Problem(f"operand '{name}' is not a constant", help=way))
        if problems:
            raise DiagramError(problems)
        for diagram in self.inner.diagrams if not self._open() else ():
            own = tuple(o for o in diagram.operands if o.name in self.constants)
            shapes = {o.name: tuple(map(int, self.constants[o.name].shape)) for o in own}
            facts, _ = value_facts(diagram, self.values)
            more, wrong = shape_facts(replace(diagram, operands=own), shapes)
            if wrong:
                raise DiagramError(wrong)
            try:
                solve([*facts, *more])
            except Contradiction as clash:
                raise DiagramError([clash.problem]) from None

    def _open(self) -> bool:
        return any(d.family for d in self.inner.diagrams)

    def __call__(self, /, *operands: Tensor, **named: Any) -> Any:
        """The result for the operands that are not constants; a tuple for several diagrams.

        Raises DiagramError when an operand is missing or a shape does not fit.
        """
        if type(self.inner) is not Function or self._open() or not self.target.tensors:
            values = dict(zip((o.name for o in self.operands), operands, strict=False))
            if len(operands) > len(self.operands):
                self._bound(operands, named)  # which says so
            like = next(iter([*operands, *named.values()]), None)
            if self.target.tensors and (problems := self._unfit({**values, **named})):
                raise DiagramError(problems)
            given = {n: v for n, v in self._values(like).items() if n not in named}
            return self.inner(**values, **named, **given)
        if named or len(operands) != len(self.operands):
            operands = self._bound(operands, named)
        try:
            key = tuple([(x.shape, x.dtype, x.device) for x in operands])
            ready = self._ready.get(key)
        except (AttributeError, RuntimeError) as error:
            if problems := unfit(self.operands, operands, self.target):
                raise DiagramError(problems) from error
            raise
        if ready is None:
            ready = self._ready[key] = self._prepare(operands)
        return ready(*operands)

    def _unfit(self, values: Mapping[str, Any]) -> list[Problem]:
        """What is wrong with operands, and with constants beside them."""
        given = [o for o in self.operands if o.name in values]
        operands = [values[o.name] for o in given]
        if problems := unfit(given, operands, self.target):
            return problems
        constants = self._values(operands[0] if operands else None)
        declared = [o for o in self.inner.operands if o.name in constants or o.name in values]
        return unfit(declared, [{**constants, **values}[o.name] for o in declared], self.target)

    def _values(self, like: Any) -> dict[str, Any]:
        """The constants with the dtype and on the device of an operand."""
        if not self.target.tensors:
            return self.constants
        key = None if like is None else (like.dtype, like.device)
        values = self._cast.get(key)
        if values is None:
            values = self._given()
            if like is not None:
                for name, value in values.items():
                    exact = like.is_complex() or (
                        like.is_floating_point() and not value.is_complex()
                    )
                    both = is_whole(like) and is_whole(value)
                    kind = like.dtype if exact or both else value.dtype
                    values[name] = value.to(like.device, kind)
            self._cast[key] = values
        return values

    def _given(self) -> dict[str, Any]:
        """The constants as they were given."""
        import torch

        return {n: torch.as_tensor(v).detach() for n, v in self.constants.items()}

    def _prepare(self, operands: tuple[Any, ...]) -> Callable[..., Any]:
        """The call for operands of some shapes, with the constants, or their products, put in."""
        values = dict(zip((o.name for o in self.operands), operands, strict=True))
        if problems := self._unfit(values):
            raise DiagramError(problems)
        if any(map(is_whole, operands)):
            dtype, inner = self.inner._integers()
            bound = BoundFunction(inner, {n: v.to(dtype) for n, v in self._given().items()})
            return Cast(dtype, bound._put_in(tuple(x.to(dtype) for x in operands)))
        return self._put_in(operands)

    def _put_in(self, operands: tuple[Any, ...]) -> Callable[..., Any]:
        constants = self._values(operands[0] if operands else None)
        shapes = {
            o.name: tuple(map(int, x.shape)) for o, x in zip(self.operands, operands, strict=True)
        }
        shapes |= {n: tuple(map(int, v.shape)) for n, v in constants.items()}
        special, made = self._chosen(shapes)
        given = dict(zip((o.name for o in self.operands), operands, strict=True))
        everything = tuple(({**given, **constants})[o.name] for o in self.inner.operands)
        self.inner._check_declarations(everything)
        self._check_memory(special)
        values = dict(constants)
        for name, diagram in made.items():
            known = {o.name: shapes[o.name] for o in diagram.operands}
            fold = build(name, (diagram,), self.options)
            values[name] = self._folded(fold, tuple(known), constants)
        places = {o.name: at for at, o in enumerate(self.operands)}
        order = [p.name for p in special.program.parameters]

        put_in = [None if name in places else values[name] for name in order]
        return _PutIn(special.call, tuple(places.get(name) for name in order), put_in)

    def _folded(
        self, fold: Specialised, names: tuple[str, ...], constants: Mapping[str, Any]
    ) -> Any:
        """A product of constants: in their own precision where that is one, then cast."""
        import torch

        own = [torch.as_tensor(self.constants[n]).detach() for n in names]
        cast = [constants[n] for n in names]
        if len({v.dtype for v in own}) > 1 or not own[0].is_floating_point():
            return fold.call(*cast)
        return fold.call(*(v.to(c.device) for v, c in zip(own, cast, strict=True))).to(cast[0])

    def _chosen(
        self, shapes: Mapping[str, tuple[int, ...]]
    ) -> tuple[Specialised, Mapping[str, Diagram]]:
        """The function at some shapes, folded if that is cheaper, and what is folded."""
        plain = self.inner.specialise(**shapes)
        fixed = [at_shapes(d, self.values, shapes) for d in self.inner.diagrams]
        found: Folded | None = folded(fixed, frozenset(self.constants))
        if found is None:
            return plain, {}
        other = build(self.name, found.diagrams, self.options)
        return (other, found.made) if _cost(other) < _cost(plain) else (plain, {})

    def specialise(self, /, **shapes: Sequence[int]) -> Specialised:
        """The function for given operand shapes; products of constants may be operands of it."""
        self._bound((), shapes)
        known = {n: tuple(int(k) for k in s) for n, s in shapes.items()}
        known |= {n: tuple(map(int, v.shape)) for n, v in self.constants.items()}
        return self._chosen(known)[0]

    def generic(self) -> Specialised:
        """One function for all shapes, of which the constants are operands."""
        return self.inner.generic()


@dataclass(frozen=True)
class _PutIn:
    """A call with constants put in: `places` has for each parameter the operand that it is, or
    None, and then `values` the constant."""

    call: Callable[..., Any]
    places: tuple[int | None, ...]
    values: Sequence[Any]

    def __call__(self, *given: Any) -> Any:
        """The result for the operands that are not constants."""
        both = zip(self.places, self.values, strict=True)
        return self.call(*[v if at is None else given[at] for at, v in both])

    @property
    def constants(self) -> int:
        """The bytes of patterns that the call holds between calls."""
        return getattr(self.call, "constants", 0)


def _cost(special: Specialised) -> float:
    return min(c.cost for c in special.candidates if c.recipe == special.recipe)
