"""What commands give back: problems on standard error, results, files replaced whole."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from diagrammar.cli.inputs import Misuse, reason
from diagrammar.grammar.errors import Problem

if TYPE_CHECKING:
    from rich.text import Text

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
    """Problems, with the ways out in terms of the command line, in colour on a terminal."""
    for problem in problems:
        shown = re.sub(r"compile\((\w+)=…\)", r"--set \1=…", str(problem))
        if sys.stderr.isatty():
            _in_colour(shown, _STYLES, sys.stderr)
        else:
            print(f"{shown}\n", file=sys.stderr)


def note(text: str) -> None:
    """A line for the reader, which is not part of the result."""
    print(text, file=sys.stderr)


def print_changes(text: str) -> None:
    """A trace: on a terminal, `-` lines in red and `+` lines in green."""
    if sys.stdout.isatty():
        styles = ((r"^  - .*$", "red"), (r"^  \+ .*$", "green"), (r"^\d+\. .*$", "bold"))
        _in_colour(text, styles, sys.stdout)
    else:
        print(text)


def _in_colour(text: str, styles: Iterable[tuple[str, str]], stream: TextIO) -> None:
    from rich.console import Console
    from rich.text import Text

    shown: Text = Text(text + "\n" * (stream is sys.stderr))
    for pattern, style in styles:
        for found in re.finditer(pattern, text, re.MULTILINE):
            shown.stylize(style, *found.span(len(found.groups())))
    Console(file=stream, highlight=False).print(shown, soft_wrap=True)


def replace_file(path: str, text: str) -> None:
    """Write a file whole or not at all; it keeps its mode, and a link keeps pointing to it.

    Raises Misuse when that cannot be done.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():  # a device or a pipe, say
        _write_into(path, text)
        return
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise Misuse(f"cannot write '{path}': {reason(error)}") from None
    try:
        with open(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        if target.exists():
            shutil.copymode(target, temporary)
        else:
            os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException as error:
        os.unlink(temporary)
        if isinstance(error, OSError):
            raise Misuse(f"cannot write '{path}': {reason(error)}") from None
        raise


def _write_into(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Misuse(f"cannot write '{path}': {reason(error)}") from None


def _umask() -> int:
    """The process's mask for new files, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
