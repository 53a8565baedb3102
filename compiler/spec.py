"""Files of definitions: loading, checking, and compiling several results together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from diagrammar.build import Broken, Builder
from diagrammar.diagram import Diagram
from diagrammar.function import Function, compile_diagrams
from diagrammar.grammar import syntax
from diagrammar.grammar.errors import DiagramError, Place, Problem, near
from diagrammar.grammar.parser import parse as parse_syntax
from diagrammar.grammar.parser import read_source
from diagrammar.grammar.source import Source
from diagrammar.packs import SHOWN, has_packs, unpacked
from diagrammar.scope import scope_of


class Spec(Mapping[str, Diagram]):
    """The diagrams of a file by name, built when they are asked for.

    `spec["Y"]` raises DiagramError when that definition has mistakes, KeyError when there is none.
    """

    def __init__(self, file: syntax.File, source: Source, rank: int | None = None) -> None:
        self.file = file
        self.source = source
        self.rank, found = _rank(file, source, rank)
        self._ranked: dict[int, Spec] = {}
        self._open = self.rank is None and has_packs(file.statements)
        opened: syntax.File = file
        wrong: tuple[Problem, ...] = ()
        if has_packs(file.statements):
            opened, wrong = unpacked(file, self.rank or SHOWN, source)
        self._scope = scope_of(opened, source)
        self._scope.problems += [*found, *wrong]
        self._builder = Builder(self._scope)

    def at(self, rank: int) -> Spec:
        """The same file with packs of `rank` members."""
        if rank not in self._ranked:
            self._ranked[rank] = Spec(self.file, self.source, rank)
        return self._ranked[rank]

    def __iter__(self) -> Iterator[str]:
        return iter(self._scope.definitions)

    def __len__(self) -> int:
        return len(self._scope.definitions)

    def __getitem__(self, name: str) -> Diagram:
        if name not in self._scope.definitions:
            help = near(name, self._scope.definitions) or f"there are {', '.join(self) or 'none'}"
            raise KeyError(f"no definition '{name}' in {self.source.name}; {help}")
        try:
            built = self._builder.build(name)
        except Broken:
            raise DiagramError(self.errors()) from None
        return replace(built, family=partial(self._member, name)) if self._open else built

    def _member(self, name: str, rank: int) -> Diagram:
        """A definition at a rank."""
        return self.at(rank)[name]

    def check(self) -> tuple[Problem, ...]:
        """Every problem of the file, warnings too, in order of appearance."""
        for name in self:
            try:
                self._builder.build(name)
            except Broken:
                continue
        return once(sorted(self._scope.problems, key=lambda p: (p.span.start, p.span.stop)))

    def errors(self) -> tuple[Problem, ...]:
        """The problems that are errors."""
        return tuple(p for p in self.check() if p.severity == "error")

    def compile(self, *names: str, **values: Any) -> Function:
        """One function that returns several diagrams, shared work done once.

        `spec.compile("dW", "dX", k1=3)` returns a function of all their operands that returns a
        tuple.
        """
        return compile_diagrams(tuple(self[name] for name in names or tuple(self)), values)

    def _repr_html_(self) -> str:
        from diagrammar.draw.tables import spec_table

        return spec_table(self)

    def __repr__(self) -> str:
        return f"<Spec {self.source.name}: {', '.join(self)}>"


def _rank(file: syntax.File, source: Source, given: int | None) -> tuple[int | None, list[Problem]]:
    """The rank of a file's packs, if it or the caller says one, and what is wrong with it."""
    stated = [s for s in file.statements if isinstance(s, syntax.Rank)]
    problems = [
        Problem(
            "the rank is set twice",
            again.span,
            source,
            "all packs of a file have one rank",
            "leave one of them out",
            also=(Place(stated[0].span, "first set here", source),),
        )
        for again in stated[1:]
    ]
    own = stated[0].rank if stated else None
    if given is not None and own is not None and given != own:
        problems.append(
            Problem(
                f"the rank is {own} here, not {given}",
                stated[0].span,
                source,
                "the file fixes it",
                "leave this line out to have the rank open",
            )
        )
    return own if own is not None else given, problems


def once(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Problems without those that say the same of another member of a pack."""
    kept: dict[tuple[object, ...], Problem] = {}
    for p in problems:
        kept.setdefault((p.span, p.severity, re.sub(r"\.\d+", "", p.message)), p)
    return tuple(kept.values())


def read(source: Source, rank: int | None = None) -> tuple[Spec, tuple[Problem, ...]]:
    """A spec with every problem of its text, none raised."""
    parsed = parse_syntax(source)
    spec = Spec(parsed.file, source, rank)
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


def parse(text: str, name: str = "<text>", *, rank: int | None = None) -> Spec:
    """Diagrams from text, packs having `rank` members. Raises DiagramError with every mistake."""
    return parse_source(Source(text, name), rank=rank)


def parse_source(source: Source, *, rank: int | None = None) -> Spec:
    """Diagrams from a source. Raises DiagramError with every mistake."""
    return _checked(*read(source, rank))


def load(path: str | Path, *, rank: int | None = None) -> Spec:
    """Diagrams from a `.tn` file, packs having `rank` members. Raises DiagramError with every
    mistake, OSError if it cannot be read."""
    return parse_source(read_source(Path(path)), rank=rank)


def _checked(spec: Spec, problems: tuple[Problem, ...]) -> Spec:
    errors = [p for p in problems if p.severity == "error"]
    if errors:
        raise DiagramError(errors)
    return spec
