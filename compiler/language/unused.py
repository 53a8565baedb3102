"""Names that a file declares and never uses: warnings, since most of them are slips of the pen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from diagrammar.grammar import syntax
from diagrammar.grammar.errors import Problem, near
from diagrammar.grammar.source import Source, Span


def unused(file: syntax.File, source: Source) -> tuple[Problem, ...]:
    """A warning for each operand, pattern, parameter, size and file that nothing speaks of."""
    said = {plain(name) for s in file.statements for name in _said(s)}
    found = tuple(
        Problem(
            f"{what} '{name}' is never used",
            span,
            source,
            "nothing speaks of it",
            "leave it out, or use it",
            severity="warning",
        )
        for statement in file.statements
        for what, name, span in _declared(statement)
        if plain(name) not in said
    )
    return (*found, *_conditions_on_nothing(file, source))


def _conditions_on_nothing(file: syntax.File, source: Source) -> Iterator[Problem]:
    """A warning for each size of a condition that no wire of the file has."""
    if any(isinstance(s, syntax.Use) for s in file.statements):
        return  # whose wires may be meant
    others = (s for s in file.statements if not isinstance(s, syntax.Require))
    known = {plain(name) for s in others for name in (*_said(s), *(d[1] for d in _declared(s)))}
    for statement in file.statements:
        if not isinstance(statement, syntax.Require):
            continue
        for size in sizes_in(statement.conditions):
            if plain(size.wire) not in known:
                yield Problem(
                    f"no wire is called '{size.wire}'",
                    size.span,
                    source,
                    "so this is never asked",
                    near(plain(size.wire), known) or "leave it out, or write a wire's name",
                    severity="warning",
                )


def sizes_in(node: Any) -> Iterator[syntax.SizeOf]:
    """The sizes, `|b|`, that a part of the tree speaks of."""
    if isinstance(node, syntax.SizeOf):
        yield node
    elif isinstance(node, tuple):
        for item in node:
            yield from sizes_in(item)
    elif is_dataclass(node):
        for f in fields(node):
            yield from sizes_in(getattr(node, f.name))


def plain(name: str) -> str:
    """A name without primes, and a member's without its number; of another file's, the alias."""
    return name.rstrip("'").partition(".")[0]


def _declared(node: syntax.AnyStatement) -> Iterator[tuple[str, str, Span]]:
    match node:
        case syntax.Tensor():
            yield "constant" if node.constant else "operand", node.name, node.name_span
        case syntax.Pattern():
            yield "pattern", node.name, node.name_span
        case syntax.Use():
            yield "file", node.alias, node.alias_span
        case syntax.Params():
            for entry in node.entries:
                yield "parameter", entry.name, entry.name_span
        case syntax.Sizes():
            for entry in node.entries:
                yield "size", entry.name, entry.name_span


def _said(node: syntax.AnyStatement) -> Iterator[str]:
    """The names that a statement uses, not those that it declares."""
    match node:
        case syntax.Sizes() | syntax.Params():
            for entry in node.entries:
                yield from _names(entry.value)
        case syntax.Require():
            yield from _names(node.conditions)
        case syntax.Tensor():
            yield from _names((node.axes, node.drawn.options if node.drawn else ()))
        case syntax.Pattern():
            yield from _names((node.axes, node.value))
        case syntax.Definition():
            yield from _names((node.axes, node.terms))
        case syntax.Derivative():
            yield from (node.of, node.by)
            if node.direction:
                yield node.direction
        case syntax.Sample():
            yield from (node.of, node.wire)
            yield from _names(node.options)


def _names(node: Any) -> Iterator[str]:
    match node:
        case tuple():
            for item in node:
                yield from _names(item)
        case syntax.Name() | syntax.Index():
            yield node.name
        case syntax.SizeOf():
            yield node.wire
        case syntax.Reference():
            yield node.name
            yield from _names(node.axes)
        case _ if is_dataclass(node):
            for f in fields(node):
                yield from _names(getattr(node, f.name))
