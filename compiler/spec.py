"""Files of definitions: loading, checking, and compiling several results together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from diagrammar.build import Broken, Builder
from diagrammar.diagram import Diagram
from diagrammar.function import Function, compile_diagrams
from diagrammar.grammar import syntax
from diagrammar.grammar.errors import DiagramError, Problem, near
from diagrammar.grammar.parser import parse as parse_syntax
from diagrammar.grammar.parser import read_source
from diagrammar.grammar.source import Source
from diagrammar.scope import scope_of


class Spec(Mapping[str, Diagram]):
    """The diagrams of a file by name, built when they are asked for.

    `spec["Y"]` raises DiagramError when that definition has mistakes, KeyError when there is none.
    """

    def __init__(self, file: syntax.File, source: Source) -> None:
        self.file = file
        self.source = source
        self._scope = scope_of(file, source)
        self._builder = Builder(self._scope)

    def __iter__(self) -> Iterator[str]:
        return iter(self._scope.definitions)

    def __len__(self) -> int:
        return len(self._scope.definitions)

    def __getitem__(self, name: str) -> Diagram:
        if name not in self._scope.definitions:
            help = near(name, self._scope.definitions) or f"there are {', '.join(self) or 'none'}"
            raise KeyError(f"no definition '{name}' in {self.source.name}; {help}")
        try:
            return self._builder.build(name)
        except Broken:
            raise DiagramError(self.errors()) from None

    def check(self) -> tuple[Problem, ...]:
        """Every problem of the file, warnings too, in order of appearance."""
        for name in self:
            try:
                self._builder.build(name)
            except Broken:
                continue
        return tuple(sorted(self._scope.problems, key=lambda p: (p.span.start, p.span.stop)))

    def errors(self) -> tuple[Problem, ...]:
        """The problems that are errors."""
        return tuple(p for p in self.check() if p.severity == "error")

    def compile(self, *names: str, **values: Any) -> Function:
        """One function that returns several diagrams, shared work done once.

        `spec.compile("dW", "dX", k1=3)` returns a function of all their operands that returns a
        tuple.
        """
        return compile_diagrams(tuple(self[name] for name in names or tuple(self)), values)

    def __repr__(self) -> str:
        return f"<Spec {self.source.name}: {', '.join(self)}>"


def read(source: Source) -> tuple[Spec, tuple[Problem, ...]]:
    """A spec with every problem of its text, none raised."""
    parsed = parse_syntax(source)
    spec = Spec(parsed.file, source)
    problems = [*parsed.problems, *_not_consequences(spec.check(), parsed.problems)]
    return spec, tuple(sorted(problems, key=lambda p: (p.span.start, p.span.stop)))


def _not_consequences(
    found: tuple[Problem, ...], syntax_problems: tuple[Problem, ...]
) -> list[Problem]:
    """Problems of the build, less unknown names that a statement with a syntax error may have
    declared."""
    if not syntax_problems:
        return list(found)
    broken = [p.source.line(p.line) for p in syntax_problems if p.source and p.line]
    return [
        p
        for p in found
        if not any(_names(p.message) and f"{_names(p.message)}[" in line for line in broken)
    ]


def _names(message: str) -> str:
    """The name that a message of the kind `unknown tensor 'X'` speaks of."""
    return message.split("'")[1] if message.startswith("unknown") and "'" in message else ""


def parse(text: str, name: str = "<text>") -> Spec:
    """Diagrams from text. Raises DiagramError with every mistake."""
    return parse_source(Source(text, name))


def parse_source(source: Source) -> Spec:
    """Diagrams from a source. Raises DiagramError with every mistake."""
    return _checked(*read(source))


def load(path: str | Path) -> Spec:
    """Diagrams from a `.tn` file. Raises DiagramError with every mistake, OSError if it cannot
    be read."""
    return parse_source(read_source(Path(path)))


def _checked(spec: Spec, problems: tuple[Problem, ...]) -> Spec:
    errors = [p for p in problems if p.severity == "error"]
    if errors:
        raise DiagramError(errors)
    return spec
