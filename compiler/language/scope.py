"""What the statements of a file declare, by name, with every clash reported.

Declarations only; the definitions are built one by one in `build`.
"""

from __future__ import annotations

import keyword
from dataclasses import dataclass, field
from typing import TypeVar

from diagrammar.grammar import syntax
from diagrammar.grammar.errors import Place, Problem, near
from diagrammar.grammar.source import Source, Span

Defined = syntax.Definition | syntax.Derivative | syntax.Sample
_Formula = TypeVar("_Formula", Defined, syntax.Pattern)

BUILT_IN = frozenset({"delta", "ones"})
OPTIONS = frozenset(
    {"backend", "plan", "memory", "accumulate", "native", "without", "rank", "constants"}
)
"""The keywords of `compile` that are not sizes or parameters."""


@dataclass
class Scope:
    """The declarations of one file.

    `again` are those whose name was taken, to be looked at all the same. `vague` names could not be
    read, or are declared twice: of their uses nothing can be said.
    """

    source: Source
    sizes: dict[str, syntax.Assignment] = field(default_factory=dict)
    params: dict[str, syntax.Assignment] = field(default_factory=dict)
    tensors: dict[str, syntax.Tensor] = field(default_factory=dict)
    patterns: dict[str, syntax.Pattern] = field(default_factory=dict)
    definitions: dict[str, Defined] = field(default_factory=dict)
    uses: dict[str, syntax.Use] = field(default_factory=dict)
    definite: dict[str, syntax.Assignment] = field(default_factory=dict)
    required: list[syntax.Condition] = field(default_factory=list)
    rank: int | None = None
    wires: dict[str, Span] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    again: list[Defined | syntax.Pattern] = field(default_factory=list)
    vague: set[str] = field(default_factory=set)
    _first: dict[str, Span] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """Everything that may be used in a product."""
        return (*self.tensors, *self.patterns, *self.definitions, *sorted(BUILT_IN))

    def report(self, span: Span, message: str, label: str = "", help: str = "") -> None:
        """Add a problem of this file."""
        self.problems.append(Problem(message, span, self.source, label, help))

    def _declare(self, name: str, span: Span, what: str) -> bool:
        """Note a name; False, with a problem, if it stands already."""
        if keyword.iskeyword(name) and what in ("tensor", "definition"):
            use = "an operand" if what == "tensor" else "a function"
            self.report(
                span,
                f"'{name}' is a word of Python",
                f"cannot be the name of {use}",
                f"choose another name, such as '{name}_'",
            )  # and taken in, so that its uses are not called unknown as well
        if name in BUILT_IN:
            self.report(
                span, f"'{name}' is built in", "cannot be declared again", "choose another name"
            )
            return False
        if name in self._first:
            self.vague.add(name)
            first = Place(self._first[name], "first declared here", self.source)
            self.problems.append(
                Problem(
                    f"'{name}' is declared twice",
                    span,
                    self.source,
                    f"this {what} has a name that is taken",
                    "rename one of them",
                    also=(first,),
                )
            )
            return False
        self._first[name] = span
        return True

    def _declare_value(self, entry: syntax.Assignment, what: str) -> bool:
        """Note a size or parameter; they share one space of names with `compile`'s options."""
        clash = self.params.get(entry.name)
        if what == "parameter":
            clash = clash or self.sizes.get(entry.name) or self.definite.get(entry.name)
        else:  # a size that is always something may have a default as well
            clash = clash or (self.definite if entry.definite else self.sizes).get(entry.name)
        if keyword.iskeyword(entry.name):
            self.report(
                entry.name_span,
                f"'{entry.name}' is a word of Python",
                f"cannot be the name of a {what}, which is given as a keyword",
                f"choose another name, such as '{entry.name}_'",
            )
        if entry.name in OPTIONS:
            self.report(
                entry.name_span,
                f"'{entry.name}' is an option of compile",
                f"cannot be the name of a {what}",
                "choose another name",
            )
        if clash is not None:
            self.vague.add(entry.name)
            first = Place(clash.name_span, "first declared here", self.source)
            self.problems.append(
                Problem(
                    f"'{entry.name}' is declared twice",
                    entry.name_span,
                    self.source,
                    "sizes and parameters share one space of names",
                    "rename one of them",
                    also=(first,),
                )
            )
            return False
        return True

    def add(self, statement: syntax.AnyStatement) -> None:
        """Take one statement in."""
        match statement:
            case syntax.Sizes() | syntax.Params():
                for entry in statement.entries:
                    self._add_value(entry, parameter=isinstance(statement, syntax.Params))
            case syntax.Tensor():
                if self._declare(statement.name, statement.name_span, "tensor"):
                    self.tensors[statement.name] = statement
            case syntax.Pattern():
                self._add_formula(statement, "pattern", self.patterns)
            case syntax.Definition() | syntax.Derivative() | syntax.Sample():
                self._add_formula(statement, "definition", self.definitions)
            case syntax.Use():
                if self._declare(statement.alias, statement.alias_span, "alias"):
                    self.uses[statement.alias] = statement
            case syntax.Require():
                self.required.extend(statement.conditions)
            case syntax.Rank():
                self.rank = statement.rank

    def _add_value(self, entry: syntax.Assignment, *, parameter: bool) -> None:
        """Take a size or a parameter in, unless its name is taken."""
        values = self.definite if entry.definite else self.sizes
        if self._declare_value(entry, "parameter" if parameter else "size"):
            (self.params if parameter else values)[entry.name] = entry

    def _add_formula(self, statement: _Formula, what: str, known: dict[str, _Formula]) -> None:
        """Take a pattern or a definition in, to be looked at even where its name is taken."""
        if self._declare(statement.name, statement.name_span, what):
            known[statement.name] = statement
        else:
            self.again.append(statement)


def scope_of(file: syntax.File, source: Source, unread: frozenset[str] = frozenset()) -> Scope:
    """The declarations of a file, clashes among its problems; `unread` are the names of those that
    could not be read."""
    scope = Scope(source, vague=set(unread))
    for statement in file.statements:
        scope.add(statement)
    wires = scope.wires = _wires(scope)
    for name in wires:
        if name in OPTIONS:
            scope.report(
                wires[name],
                f"'{name}' is an option of compile",
                "cannot be the name of a wire, whose size is given as a keyword",
                "choose another name",
            )
    for name, entry in scope.params.items():
        if name in wires:
            scope.problems.append(
                Problem(
                    f"'{name}' is both a parameter and a wire",
                    entry.name_span,
                    source,
                    "sizes of wires and parameters share one space of names",
                    "rename the parameter",
                    also=(Place(wires[name], "a wire here", source),),
                )
            )
    return scope


def _wires(scope: Scope) -> dict[str, Span]:
    """The wires of all declared axes, by base name, with a place."""
    found: dict[str, Span] = {}
    for statement in (
        *scope.tensors.values(),
        *scope.patterns.values(),
        *scope.definitions.values(),
    ):
        if isinstance(statement, syntax.Derivative | syntax.Sample):
            continue
        for index in indices(statement.axes):
            found.setdefault(index.name.rstrip("'"), index.span)
    return found


def indices(axes: tuple[syntax.Axis, ...]) -> tuple[syntax.Index, ...]:
    """The wires of axes, groups opened."""
    return tuple(
        index
        for axis in axes
        for index in (axis.items if isinstance(axis, syntax.Group) else (axis,))
    )


def groups(axes: tuple[syntax.Axis, ...]) -> tuple[tuple[str, ...], ...]:
    """Axes of the syntax tree as groups of wire names."""
    return tuple(
        tuple(i.name for i in axis.items) if isinstance(axis, syntax.Group) else (axis.name,)
        for axis in axes
    )


def suggestion(name: str, scope: Scope) -> str:
    """Help for an unknown name in a product."""
    return near(name, scope.names()) or "declare it with 'tensor', 'pattern' or a definition"


def mask_name(wire: str) -> str:
    """How the mask of a wire is called unless it is named."""
    bare = wire.rstrip("'").replace(".", "")
    return f"mask_{bare}"


def mask_names(node: syntax.Sample) -> tuple[str, ...]:
    """The operands that a `sample` makes: one, or two where it has copies."""
    given = [o.value.name for o in node.options if isinstance(o.value, syntax.Name)
             and o.name == "mask"]  # fmt: skip
    name = given[0] if given else mask_name(node.wire)
    copies = any(option.name == "copies" for option in node.options)
    return (name, f"{name}_2") if copies else (name,)
