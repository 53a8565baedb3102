"""A program: its steps, and how its sizes and parts are bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Literal

from diagrammar.ir.scalar import Dim
from diagrammar.program.step import Origin, Step


@dataclass(frozen=True, slots=True)
class Parameter:
    """An operand in the function's signature: its name, axes and sizes."""

    name: str
    axes: tuple[str, ...]
    shape: tuple[Dim, ...]


@dataclass(frozen=True, slots=True)
class SizeBinding:
    """In a shape-generic program: size symbol `name` is (size of `operand`'s `axis` − `offset`)
    / `divisor`."""

    name: str
    operand: str
    axis: int
    divisor: Dim = 1
    offset: Dim = 0


@dataclass(frozen=True, slots=True)
class SizeCheck:
    """Axis `axis` of `operand` must have size `expected`; `wires` is how messages call the axis."""

    operand: str
    axis: int
    expected: Dim
    wires: str


@dataclass(frozen=True, slots=True)
class SizeLimit:
    """In a shape-generic program: `value` must be above `least`, unequal to it, or a multiple of
    it, or `message` is the error."""

    value: Dim
    least: Dim
    message: str
    rule: Literal["above", "unequal", "multiple"] = "above"

    def holds(self, value: int, least: int) -> bool:
        """Whether two numbers obey it."""
        if self.rule == "multiple":
            return value % least == 0
        return value > least if self.rule == "above" else value != least


@dataclass(frozen=True, slots=True)
class Cut:
    """A program runs in parts along one wire: `turns` parts, each with some entries of it.

    operands: by name, the axis that is cut and its entries in one part; operands that are not here
    go whole into every part. results: the same for each result, whose parts stand side by side;
    None for a result whose parts are added up.
    """

    wire: str
    turns: int
    operands: Mapping[str, tuple[int, int]]
    results: tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """A function of operands: its steps, and which values are returned.

    `result_axes` names the axes of each result in full, where its step has lost some of their
    wires. With `cuts`, the steps are those of one part, and parameters are as they are given; the
    first cut is the outermost loop. With `frees`, values are let go as soon as nothing reads them
    any more (a backend may otherwise keep them until the end).
    """

    name: str
    parameters: tuple[Parameter, ...]
    steps: tuple[Step, ...]
    results: tuple[int, ...]
    result_names: tuple[str, ...]
    doc: str = ""
    sizes: tuple[SizeBinding, ...] = ()
    checks: tuple[SizeCheck, ...] = ()
    limits: tuple[SizeLimit, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    result_axes: tuple[tuple[str, ...], ...] = ()
    cuts: tuple[Cut, ...] = ()
    frees: bool = False

    @property
    def turns(self) -> int:
        """How often the steps run."""
        return prod(cut.turns for cut in self.cuts)

    @property
    def part(self) -> Program:
        """The program of one part: of the program itself, if it is not cut."""
        if not self.cuts:
            return self
        parameters = []
        for p in self.parameters:
            shape = list(p.shape)
            for cut in self.cuts:
                if p.name in cut.operands:
                    axis, entries = cut.operands[p.name]
                    shape[axis] = entries
            parameters.append(replace(p, shape=tuple(shape)))
        return replace(self, name=f"_{self.name}_part", parameters=tuple(parameters), cuts=())

    def result_shape(self, number: int) -> tuple[Dim, ...]:
        """The shape of a result, all parts together."""
        shape = list(self.steps[self.results[number]].shape)
        for cut in reversed(self.cuts):  # of two along one axis, the outer one has all of it
            along = cut.results[number]
            if along is not None:
                shape[along[0]] = along[1] * cut.turns
        return tuple(shape)

    def adds(self, number: int) -> bool:
        """Whether parts of a result are added, and not only put side by side."""
        return any(cut.results[number] is None for cut in self.cuts)

    @property
    def constants(self) -> int:
        """The bytes of the indicators that a function keeps between calls, in float32."""
        kept = {s for s in self.steps if s.is_constant}
        return sum(4 * prod(int(n) for n in step.shape) for step in kept)

    def within(self) -> tuple[frozenset[Origin], ...]:
        """The tensors that each step has in it: its own, and those of all that it is made from."""
        found: list[frozenset[Origin]] = []
        for step in self.steps:
            found.append(step.origins.union(*(found[n] for n in step.operation.reads)))
        return tuple(found)

    def last_use(self) -> tuple[int, ...]:
        """For each value, the step that reads it last (its own if none; past the end for
        results)."""
        last = list(range(len(self.steps)))
        for at, step in enumerate(self.steps):
            for value in step.operation.inputs:
                last[value] = at
        for value in self.results:
            last[value] = len(self.steps)
        return tuple(last)
