"""Problems as values, how they are shown, and the one exception that carries them.

Everything below the surface collects `Problem`s; only the edge (`parse`, `compile`, a call, the
command line) raises them together as one `DiagramError`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from diagrammar.grammar.source import NOWHERE, Source, Span

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Place:
    """A second place that a problem points to, with what is to be seen there."""

    span: Span
    label: str
    source: Source


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: what is wrong, where, what stands there, and a way out.

    `source` is None for problems of a call, which have no place in a file.
    """

    message: str
    span: Span = NOWHERE
    source: Source | None = None
    label: str = ""
    help: str = ""
    severity: Severity = "error"
    also: tuple[Place, ...] = ()

    @property
    def line(self) -> int | None:
        """Line of the first wrong character, counted from one."""
        return self.source.place(self.span.start)[0] if self.source else None

    @property
    def column(self) -> int | None:
        """Column of the first wrong character, counted from one."""
        return self.source.place(self.span.start)[1] if self.source else None

    def __str__(self) -> str:
        lines = [f"{self.severity}: {self.message}"]
        if self.source is not None:
            places = [Place(self.span, self.label, self.source), *self.also]
            width = max(len(str(p.source.place(p.span.start)[0])) for p in places)
            for place in places:
                lines.extend(_show(place, width))
            if self.help:
                lines.append(f"{' ' * width} = help: {self.help}")
        elif self.help:
            lines.append(f"  = help: {self.help}")
        return "\n".join(lines)


def _show(place: Place, width: int) -> list[str]:
    """The lines that point at one place: file, source line, caret and label."""
    source, span = place.source, place.span
    line, column = source.place(span.start)
    text = source.line(line)
    start = column - 1
    stop = max(min(start + span.stop - span.start, len(text)), start + 1)
    shown, caret = _clip(text, start, stop)
    mark = f"{caret} {place.label}".rstrip()
    gutter = " " * width
    return [
        f"{gutter}--> {source.name}:{line}:{column}",
        f"{gutter} |",
        f"{line:>{width}} | {shown}".rstrip(),
        f"{gutter} | {mark}",
    ]


def _clip(text: str, start: int, stop: int, limit: int = 96) -> tuple[str, str]:
    """A long line cut to a window around the marked part, and its carets; controls made plain."""
    begin = 0 if len(text) <= limit else max(0, start - limit // 2)
    end = min(len(text), begin + limit)
    plain = "".join(c if c.isprintable() else " " for c in text[begin:end])
    head, tail = "…" if begin else "", "…" if end < len(text) else ""
    carets = " " * (start - begin + len(head)) + "^" * max(1, min(stop, end) - start)
    return head + plain + tail, carets


class DiagramError(ValueError):
    """All that is wrong with a text, a compilation or a call; `str()` prints it."""

    def __init__(self, errors: Iterable[Problem]) -> None:
        self.errors: tuple[Problem, ...] = tuple(errors)
        super().__init__("\n\n".join(str(error) for error in self.errors))

    def __reduce__(self) -> tuple[type[DiagramError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.errors,)


def near(name: str, candidates: Iterable[str]) -> str:
    """`did you mean 'Weight'?` for the nearest candidate, or nothing."""
    names = sorted(set(candidates))
    found = get_close_matches(name, names, n=1, cutoff=0.6)
    if not found:
        found = [c for c in names if c.lower() == name.lower()][:1]
    return f"did you mean '{found[0]}'?" if found else ""
