"""`diagrammar fmt`: files in their canonical form."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from diagrammar.cli.inputs import Misuse, read, shipped_names
from diagrammar.cli.output import complain, note, replace_file
from diagrammar.grammar.errors import DiagramError
from diagrammar.grammar.formatter import format_file
from diagrammar.grammar.parser import parse
from diagrammar.grammar.source import Source


def run(files: Sequence[str], *, check: bool) -> int:
    """Format files, or only name the files that would change; the exit status."""
    status = 0
    for name in dict.fromkeys(files):
        try:
            status = max(status, _format(name, check=check))
        except DiagramError as error:
            complain(error.errors)
            status = max(status, 1)
        except Misuse as problem:
            complain([problem.problem])
            status = 2
    return status


def _format(name: str, *, check: bool) -> int:
    """Format one file; the exit status. A file with mistakes does not change."""
    source = read(name)
    if name != "-" and name in shipped_names() and source.name != name and not check:
        raise Misuse(f"'{name}' is a shipped file, which is not yours to format")
    formatted = canonical(source)
    if name == "-" and not check:
        sys.stdout.write(formatted)
        return 0
    if formatted == source.text:
        return 0
    if check:
        print(source.name)
        return 1
    replace_file(name, formatted)
    note(f"formatted {name}")
    return 0


def canonical(source: Source) -> str:
    """Write a text in its canonical form. Raises DiagramError with its mistakes."""
    parsed = parse(source)
    if parsed.problems:
        raise DiagramError(parsed.problems)
    return format_file(parsed.file)
