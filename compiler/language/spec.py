"""Files of definitions: loading, checking, and compiling several results together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diagrammar.grammar import syntax
from diagrammar.grammar.errors import DiagramError, Place, Problem, near
from diagrammar.grammar.parser import Parsed, read_source
from diagrammar.grammar.parser import parse as parse_syntax
from diagrammar.grammar.source import Source
from diagrammar.ir.diagram import Axes, Diagram, Reword
from diagrammar.language.build import Builder
from diagrammar.language.evaluate import Broken
from diagrammar.language.imports import Unreadable, Used, circle, find, renaming
from diagrammar.language.packs import SHOWN, has_packs, unpacked
from diagrammar.language.scope import groups, scope_of
from diagrammar.language.slips import slips
from diagrammar.language.unused import unused
from diagrammar.library import names
from diagrammar.services import verb
from diagrammar.transform.values import checked_rank

if TYPE_CHECKING:
    from diagrammar.runtime.function import Function


class Spec(Mapping[str, Diagram]):
    """The diagrams of a file by name, built when they are asked for.

    `spec["Y"]` raises DiagramError when that definition has mistakes, KeyError when there is none.
    """

    def __init__(
        self,
        file: syntax.File,
        source: Source,
        rank: int | None = None,
        *,
        chain: tuple[str, ...] = (),
        loaded: dict[tuple[str, int | None], Spec] | None = None,
        instead: Mapping[str, Source] | None = None,
        words: Mapping[str, syntax.Value] | None = None,
        unread: frozenset[str] = frozenset(),
    ) -> None:
        self.file = file
        self._unread = unread
        self.source = source
        self._chain = chain or (_identity(source),)
        self._loaded = {} if loaded is None else loaded
        self._instead = instead or {}
        self.rank, found = _rank(file, source, rank)
        self._ranked: dict[int, Spec] = {}
        self._words = dict(words or {})
        self._reworded: dict[str, Spec] = {}
        self._looked = False
        packs = "..." in source.text and has_packs(file.statements)
        self._open = self.rank is None and packs
        opened: syntax.File = file
        wrong: tuple[Problem, ...] = ()
        if packs:
            opened, wrong = unpacked(file, self.rank or SHOWN, source)
        self._scope = scope_of(opened, source, unread)
        self._scope.problems += [*found, *wrong]
        for name, entry in self._scope.params.items():
            value = self._words.get(name, self._words.get(name.partition(".")[0]))
            if value is not None:
                self._scope.params[name] = replace(entry, value=value)
        self._builder: Builder = Builder(self._scope, self._used_files())

    def _used_files(self) -> dict[str, Used]:
        """The files that this one uses, by alias, with the values that it gives their
        parameters."""
        used: dict[str, Used] = {}
        for node in self._scope.uses.values():
            other = self._use(node)
            if other is None:
                continue
            self._open |= self.rank is None and other._open
            other = other.at(self.rank or SHOWN) if other._open else other
            held = sum(len(u.builder.operands) for u in used.values())
            if held + len(other._builder.operands) > MAX_OPERANDS:
                message = f"the files used here have more than {MAX_OPERANDS:,} operands"
                self._scope.report(node.span, message, "", "use fewer of them")
                continue
            names = renaming(node.alias, other._builder, self._scope, used.values())
            theirs = {p: names.get(p, p) for p in other._builder.parameters}
            own = {p: self._words[n] for p, n in theirs.items() if n in self._words}
            other = other.having(own) if own else other
            used[node.alias] = Used(node.alias, other._builder, names)
        return used

    def _use(self, node: syntax.Use) -> Spec | None:
        """The file that a statement names; None, with a problem, if it cannot be had."""
        problems = self._scope.problems
        try:
            key, source = find(node.path, self.source, self._instead)
        except Unreadable as error:
            problems.append(Problem(error.message, node.span, self.source, "", error.help))
            return None
        except DiagramError as error:
            problems.extend(error.errors)
            return None
        if key in self._chain or len(self._chain) > MAX_CHAIN:
            way = circle(self._chain, key) if key in self._chain else "the chain is too long"
            message = f"'{node.path}' is used by itself"
            if key not in self._chain:
                message = f"more than {MAX_CHAIN} files use each other in a row"
            problems.append(Problem(message, node.span, self.source, way, "break the circle"))
            return None
        if (key, self.rank) not in self._loaded:
            parsed = parse_syntax(source)
            chain = (*self._chain, key)
            spec = Spec(
                parsed.file,
                source,
                chain=chain,
                loaded=self._loaded,
                instead=self._instead,
                unread=parsed.broken,
            )
            spec._scope.problems[:0] = parsed.problems
            self._loaded[key, self.rank] = spec
            problems.extend(p for p in spec.check() if p.severity == "error")
        return self._loaded[key, self.rank]

    @property
    def files(self) -> tuple[str, ...]:
        """The paths of the files that this one uses, on disk."""
        return tuple(k for k, _ in self._loaded if not k.startswith(("library:", "instead:")))

    def at(self, rank: int) -> Spec:
        """The same file with packs of `rank` members. DiagramError for what is no rank."""
        rank = checked_rank(rank)
        if rank not in self._ranked:
            self._ranked[rank] = Spec(
                self.file,
                self.source,
                rank,
                chain=self._chain,
                instead=self._instead,
                words=self._words,
                unread=self._unread,
            )
        return self._ranked[rank]

    def having(self, words: Mapping[str, syntax.Value]) -> Spec:
        """The same file with other values of parameters, by which it is built again: `'same'`,
        pairs, or numbers in their place."""
        key = str(sorted(words.items()))
        if key not in self._reworded:
            self._reworded[key] = Spec(
                self.file,
                self.source,
                self.rank,
                chain=self._chain,
                instead=self._instead,
                words={**self._words, **words},
                unread=self._unread,
            )
        return self._reworded[key]

    @cached_property
    def _worded(self) -> frozenset[str]:
        """The parameters whose values are no numbers."""
        own = {
            name
            for name, entry in self._scope.params.items()
            if isinstance(entry.value, syntax.Text | syntax.Pair)
        }
        for file in self._builder.used.values():
            own |= {
                file.name(p)
                for p, entry in file.scope.params.items()
                if isinstance(entry.value, syntax.Text | syntax.Pair)
            }
        return frozenset(own)

    def _having(self, name: str, words: Mapping[str, syntax.Value]) -> Diagram:
        """A definition with other values of parameters; DiagramError where they do not fit."""
        spec = self.having(words)
        try:
            spec._builder.build(name)
        except Broken:
            wrong = [p for b in _with_used(spec._builder) for p in b.scope.problems]
            raise DiagramError(once(p for p in wrong if p.severity == "error")) from None
        return spec[name]

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
        names = frozenset(self._builder.parameters)
        reword = Reword(names, self._worded, partial(self._having, name)) if names else None
        family = partial(self._member, name) if self._open else None
        return replace(built, family=family, reword=reword)

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
        if not self._looked:
            self._looked = True
            self._builder.check_declarations()
        return once(sorted(self._scope.problems, key=_place(self.source)))

    def sound(self) -> Iterator[Diagram]:
        """The diagrams of definitions without mistakes, in order."""
        for name in self:
            try:
                yield self._builder.build(name)
            except Broken:
                continue

    def axes_as_written(self, diagram: Diagram) -> Axes:
        """The axes of a definition as the file has them, where a wire may stand twice."""
        node = self._scope.definitions[diagram.name]
        return groups(node.axes) if isinstance(node, syntax.Definition) else diagram.axes

    def errors(self) -> tuple[Problem, ...]:
        """The problems that are errors."""
        return tuple(p for p in self.check() if p.severity == "error")

    def compile(self, /, *names: str, **values: Any) -> Function:
        """One function that returns several diagrams, shared work done once.

        `spec.compile("dW", "dX", k1=3)` returns a function of all their operands that returns a
        tuple.
        """
        return verb(Spec.compile)(self, *names, **values)

    def _repr_html_(self) -> str:
        return verb(Spec._repr_html_)(self)

    def __repr__(self) -> str:
        return f"<Spec {self.source.name}: {', '.join(self)}>"


MAX_CHAIN = 64
"""The most files that may use each other in a row."""


def _with_used(builder: Builder) -> Iterator[Builder]:
    """What builds a file, and what builds those that it uses."""
    yield builder
    for used in builder.used.values():
        yield from _with_used(used.builder)


MAX_OPERANDS = 1000
"""The most operands that a file may have from those that it uses."""


def _identity(source: Source) -> str:
    """What tells a file from others when files use each other."""
    return str(Path(source.name).resolve()) if source.name.endswith(".tn") else source.name


def _place(own: Source) -> Callable[[Problem], tuple[object, ...]]:
    """An order of problems: those of a file itself, then those of the files that it uses."""

    def key(p: Problem) -> tuple[object, ...]:
        name = p.source.name if p.source else ""
        return (name != own.name, name, p.span.start, p.span.stop)

    return key


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
        name = p.source.name if p.source else ""
        kept.setdefault((name, p.span, p.severity, re.sub(r"\.\d+", "", p.message)), p)
    return tuple(kept.values())


def read(
    source: Source, rank: int | None = None, instead: Mapping[str, Source] | None = None
) -> tuple[Spec, tuple[Problem, ...]]:
    """A spec with every problem of its text, none raised."""
    rank = None if rank is None else checked_rank(rank)
    parsed = parse_syntax(source)
    spec = Spec(parsed.file, source, rank, instead=instead, unread=parsed.broken)
    problems = [*parsed.problems, *_not_consequences(spec.check(), parsed)]
    if not any(p.severity == "error" for p in problems):
        problems += [*unused(parsed.file, source), *slips(parsed.file, source)]
    return spec, tuple(sorted(problems, key=_place(source)))


def _not_consequences(found: tuple[Problem, ...], parsed: Parsed) -> list[Problem]:
    """Problems of the build, less unknown names that a statement with a syntax error may have
    declared."""
    if not parsed.problems:
        return list(found)
    lines = [p.source.line(p.line) for p in parsed.problems if p.source and p.line]
    return [
        p
        for p in found
        if _names(p.message) not in parsed.broken
        and not any(_names(p.message) and f"{_names(p.message)}[" in line for line in lines)
    ]


def _names(message: str) -> str:
    """The name that a message of the kind `unknown tensor 'X'` speaks of."""
    return message.split("'")[1] if message.startswith("unknown") and "'" in message else ""


def parse(text: str, name: str = "<text>", *, rank: int | None = None) -> Spec:
    """Diagrams from text, packs having `rank` members (1 to 64). Raises DiagramError with every
    mistake."""
    return parse_source(Source(text, name), rank=rank)


def parse_source(
    source: Source, *, rank: int | None = None, instead: Mapping[str, Source] | None = None
) -> Spec:
    """Diagrams from a source; a file that it uses by a path in `instead` is the one given there.

    Raises DiagramError with every mistake.
    """
    return _checked(*read(source, rank, instead))


def load(path: str | Path, *, rank: int | None = None) -> Spec:
    """Diagrams from a `.tn` file, packs having `rank` members. Raises DiagramError with every
    mistake, OSError if it cannot be read."""
    try:
        source = read_source(Path(path))
    except FileNotFoundError as error:
        if Path(path).stem in names():
            error.add_note(f'a file of this name is shipped: dg.shipped("{Path(path).stem}")')
        raise
    return parse_source(source, rank=rank)


def _checked(spec: Spec, problems: tuple[Problem, ...]) -> Spec:
    errors = [p for p in problems if p.severity == "error"]
    if errors:
        raise DiagramError(errors)
    return spec
