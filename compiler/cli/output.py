"""Output of commands: problems on standard error, results, files that are replaced completely."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from diagrammar.cli.inputs import Misuse, reason
from diagrammar.grammar.errors import Problem
from diagrammar.replacing import write

if TYPE_CHECKING:
    from rich.text import Text

    from diagrammar.language.spec import Spec

_STYLES = (
    (r"^error:", "bold red"),
    (r"^warning:", "bold yellow"),
    (r"^(?:error|warning): (.*)$", "bold"),
    (r"^ *(-->.*)$", "cyan"),
    (r"^ *\d* (\|)", "cyan"),
    (r"^ *\| +(\^+.*)$", "bold red"),
    (r"^ *(= help:)", "bold cyan"),
)


def complain(problems: Iterable[Problem]) -> None:
    """Print problems, with help in terms of the command line, in colour on a terminal."""
    for problem in problems:
        shown = re.sub(r"compile\((\w+)=(…|\d+)\)", r"--set \1=\2", str(problem))
        if sys.stderr.isatty():
            _in_colour(shown, _STYLES, sys.stderr)
        else:
            print(f"{shown}\n", file=sys.stderr)


def note(text: str) -> None:
    """Print a line for the reader that is not part of the result."""
    print(text, file=sys.stderr)


def print_changes(text: str) -> None:
    """Print a trace; on a terminal `-` lines are red and `+` lines green."""
    if sys.stdout.isatty():
        styles = ((r"^  - .*$", "red"), (r"^  \+ .*$", "green"), (r"^\d+\. .*$", "bold"))
        _in_colour(text, styles, sys.stdout)
    else:
        print(text)


def _in_colour(text: str, styles: Iterable[tuple[str, str]], stream: TextIO) -> None:
    """Print text with the styles of patterns."""

    from rich.console import Console
    from rich.text import Text

    shown: Text = Text(text + "\n" * (stream is sys.stderr))
    for pattern, style in styles:
        for match in re.finditer(pattern, text, re.MULTILINE):
            shown.stylize(style, *match.span(len(match.groups())))
    Console(file=stream, highlight=False).print(shown, soft_wrap=True)


def write_output(path: str, text: str, file: str, spec: Spec) -> None:
    """Write a result to a file, or to standard output (`-`).

    It never overwrites a file that it was made from: the command's own input `file`, a file that
    this one uses, or a shipped one. Raises Misuse where it would, or where the file cannot be
    written.
    """
    with suppress(OSError, ValueError):  # a new file; the writer reports errors
        place = os.fstat(sys.stdout.fileno()) if path == "-" else os.stat(path)
        if stat.S_ISREG(place.st_mode) and any(
            os.path.samestat(place, read) for read in _inputs(file, spec)
        ):
            shown = "standard output" if path == "-" else f"'{path}'"
            message = f"{shown} is read by this command, and would be overwritten"
            raise Misuse(message, "name another file with -o")
    if path == "-":
        print(text, end="")
    else:
        replace_file(path, text)


def _inputs(file: str, spec: Spec) -> Iterator[os.stat_result]:
    """The system's records of the files that a result is made from."""
    if file == "-":
        with suppress(OSError, ValueError):
            yield os.fstat(sys.stdin.fileno())
    library = Path(str(files("diagrammar.library")))
    for path in (file, *spec.files, *map(str, library.glob("*.tn"))):
        with suppress(OSError, ValueError):
            yield os.stat(path)


def replace_file(path: str, text: str) -> None:
    """Write a file completely or not at all (`diagrammar.replacing`). Raises Misuse where that
    fails."""
    try:
        write(path, text)
    except (OSError, ValueError) as error:
        raise Misuse(f"cannot write '{path}': {reason(error)}") from None
