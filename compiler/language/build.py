"""From syntax tree to diagrams: names, sizes, scopes.

One definition at a time, on request, so that a file with a thousand definitions costs what is used.
Every mistake of a definition is collected. A definition that uses a broken one is checked with its
outline, the axes that it would have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from diagrammar.grammar import syntax
from diagrammar.grammar.errors import Place, Problem, near
from diagrammar.grammar.source import Span
from diagrammar.ir.diagram import Axes, Declared, Diagram
from diagrammar.ir.names import primed
from diagrammar.ir.scalar import MAX_MONOMIALS
from diagrammar.ir.sizes import SizeTable, TooLong
from diagrammar.language.definition import DefinitionBuilder
from diagrammar.language.derivatives import differentiated
from diagrammar.language.evaluate import Attempts, Broken, Mistake, mistake, scalar
from diagrammar.language.gathered import Gathered
from diagrammar.language.imports import Used, operand_names
from diagrammar.language.patterns import PatternBuilder
from diagrammar.language.sample import keep_of, sampled
from diagrammar.language.scope import Defined, Scope, groups
from diagrammar.transform.inline import MAX_FILE_TENSORS, size_of


class Builder:
    """Builds the diagrams of one file, each once."""

    def __init__(self, scope: Scope, used: Mapping[str, Used] | None = None) -> None:
        self.scope = scope
        self.used = dict(used or {})
        self._built: dict[str, Diagram | None] = {}
        self._building: list[str] = []
        self._outlining: list[str] = []
        self._made = 0
        self._full = False

    def build(self, name: str) -> Diagram:
        """The diagram of a definition; raises Broken when it has mistakes (then in
        `scope.problems`)."""
        if name not in self._built:
            self._building.append(name)
            try:
                self._room(self.scope.definitions[name])
                made = self._define(self.scope.definitions[name])
                self._made += size_of(made.terms)
                self._built[name] = replace(made, places=self.places)
            except Mistake as error:
                self.scope.problems += error.problems
                self._built[name] = None
            except TooLong:
                self.scope.problems.append(self._too_long(self.scope.definitions[name]))
                self._built[name] = None
            except Broken:
                self._built[name] = None
            finally:
                self._building.pop()
        found = self._built[name]
        if found is None:
            raise Broken(name)
        return found

    def _room(self, node: Defined) -> None:
        """A Mistake, said once, where the file has too many tensors already."""
        if self._made <= MAX_FILE_TENSORS:
            return
        said, self._full = self._full, True
        if said:
            raise Broken(node.name)
        message = f"the definitions up to here have more than {MAX_FILE_TENSORS:,} tensors"
        help = "a definition that is used stands for all of its tensors; split the file"
        raise mistake(self.scope.source, node.name_span, message, "not read any more", help)

    def _too_long(self, node: Defined) -> Problem:
        message = f"a size of '{node.name}' is a sum of more than {MAX_MONOMIALS} products"
        help = "give the size itself, by a default or to compile"
        return Problem(message, node.name_span, self.scope.source, "when it is written out", help)

    @cached_property
    def operands(self) -> tuple[str, ...]:
        """The names of all operands of the file's definitions."""
        return tuple(operand_names(self.scope, self.used.values()))

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of all parameters."""
        others = (u.name(p) for u in self.used.values() for p in u.builder.parameters)
        return tuple(dict.fromkeys([*self.scope.params, *others]))

    @cached_property
    def places(self) -> dict[str, Place]:
        """Where the defaults of sizes and parameters stand, by name, and the axes of operands, as
        `X[0]`; those of other files under their names here."""
        found: dict[str, Place] = {}
        for used in self.used.values():
            for name, place in used.builder.places.items():
                stem, bracket, rest = name.partition("[")
                found.setdefault(used.name(stem) + bracket + rest, place)
        for entry in (*self.scope.sizes.values(), *self.scope.params.values()):
            if entry.value is not None:
                found[entry.name] = Place(entry.name_span, "the default", self.scope.source)
        for tensor in self.scope.tensors.values():
            for number, axis in enumerate(tensor.axes):
                place = Place(axis.span, "of another size in this call", self.scope.source)
                found[f"{tensor.name}[{number}]"] = place
        return found

    def home(self, name: str, span: Span) -> tuple[Used | None, str]:
        """The file that a name is from, None for this one, and the name there."""
        alias, dot, own = name.partition(".")
        if not dot or own.isdigit():
            return None, name
        if alias in self.scope.vague:
            raise Broken(alias)
        if alias in self.used:
            return self.used[alias], own
        if alias in self.scope.uses:
            raise Broken(alias)  # it could not be read, which is said
        raise mistake(
            self.scope.source,
            span,
            f"unknown file '{alias}'",
            "no 'use' has this alias",
            near(alias, self.scope.uses) or f'write use "FILE.tn" as {alias}',
        )

    def use(self, name: str, span: Any) -> Diagram:
        """A diagram that another definition uses."""
        home, own = self.home(name, span)
        if home is not None:
            return home.diagram(own)
        if name in self._building:
            circle = " → ".join([*self._building[self._building.index(name) :], name])
            raise mistake(
                self.scope.source,
                span,
                f"'{name}' is defined by itself",
                circle,
                "break the circle",
            )
        return self.build(name)

    def outline(self, name: str) -> Axes | None:
        """The axes that a definition says it has, also where it is broken; None if that cannot be
        told."""
        node = self.scope.definitions.get(name)
        if name in self.scope.vague or node is None or name in self._outlining:
            return None
        if isinstance(node, syntax.Definition):
            return groups(node.axes)
        self._outlining.append(name)
        try:
            return self._derived_outline(node)
        except Broken:
            return None
        finally:
            self._outlining.pop()

    def _derived_outline(self, node: syntax.Derivative | syntax.Sample) -> Axes | None:
        """The axes of a derivative or sample by those of what it is made of."""
        home, own = self.home(node.of, node.of_span)
        of = (home.builder if home else self).outline(own)
        if isinstance(node, syntax.Sample) or node.kind == "jvp":
            return of
        home, own = self.home(node.by, node.by_span)
        builder = home.builder if home else self
        if own not in builder.scope.tensors or own in builder.scope.vague:
            return None
        by = builder.declared(own).axes
        if node.kind == "vjp":
            return by
        return None if of is None else of + by

    def _define(self, statement: Any) -> Diagram:
        match statement:
            case syntax.Definition():
                return DefinitionBuilder(self, statement).diagram()
            case syntax.Derivative():
                return differentiated(self, statement)
        assert isinstance(statement, syntax.Sample)
        return sampled(self, statement)

    def check_declarations(self) -> None:
        """Look at what no definition may have looked at: patterns, and values in declarations."""
        gathered = Gathered(self.scope, frozenset())
        steps: list[Callable[[], object]] = [
            partial(self._check_pattern, pattern) for pattern in self.scope.patterns.values()
        ]
        for node in self.scope.again:
            if isinstance(node, syntax.Pattern):
                steps.append(partial(self._check_pattern, node))
            else:
                steps.append(partial(self._define, node))
        steps += [
            partial(keep_of, self.scope, name, gathered.lookup) for name in self.scope.tensors
        ]
        entries = [*self.scope.sizes.values(), *self.scope.definite.values()]
        entries += self.scope.params.values()
        for value in (e.value for e in entries if e.value is not None):
            if not isinstance(value, syntax.Text | syntax.Pair):
                steps.append(partial(scalar, value, gathered.lookup, self.scope.source))
        for operand in (o for condition in self.scope.required for o in condition.operands):
            steps.append(partial(scalar, operand, gathered.lookup, self.scope.source))
        attempts = Attempts()
        for step in steps:
            attempts(step)
        self.scope.problems += attempts.problems

    def _check_pattern(self, pattern: syntax.Pattern) -> None:
        """A pattern as it would be used, with its own wires."""
        gathered = Gathered(self.scope, frozenset(index.name for index in pattern.axes))
        made = PatternBuilder(
            pattern, self.scope.source, gathered.table, gathered.lookup, self.scope.params
        )
        made.network(syntax.Reference(pattern.name, pattern.axes), lambda name, _: f"{name}?")

    def declared(self, name: str) -> Declared:
        """A declared tensor with fresh size symbols; a wire that stands twice, as in `M[i, i]`,
        gets primes."""
        node = self.scope.tensors[name]
        seen: dict[str, None] = {}
        axes: list[tuple[str, ...]] = []
        for axis in groups(node.axes):
            group: list[str] = []
            for wire in axis:
                group.append(primed(wire, seen))
                seen[group[-1]] = None
            axes.append(tuple(group))
        table = SizeTable()
        sizes = {w: table.of(w) for axis in axes for w in axis}
        return Declared(name, tuple(axes), sizes, node.constant, node.kind)
