"""Arguments of commands: files, names of definitions, `--set` and `--shape`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diagrammar.grammar.errors import DiagramError, Problem, near

if TYPE_CHECKING:
    from diagrammar.grammar.source import Source
    from diagrammar.language.spec import Spec


class Misuse(Exception):
    """A command line that cannot be carried out; the exit status is 2."""

    def __init__(self, message: str, help: str = "") -> None:
        super().__init__(message)
        self.problem = Problem(message, help=help)


def read(name: str) -> Source:
    """The text of a file, of a shipped file (`conv2d`), or of standard input (`-`).

    Raises Misuse when it cannot be read, DiagramError when it is not text.
    """
    from diagrammar.grammar.parser import MAX_BYTES, decode, read_source

    if name == "-":
        return decode(sys.stdin.buffer.read(MAX_BYTES + 1), "<stdin>")
    path = Path(name)
    if not path.is_file() and name in shipped_names():
        return decode((files("diagrammar.library") / f"{name}.tn").read_bytes(), f"{name}.tn")
    try:
        return read_source(path)
    except FileNotFoundError:
        raise Misuse(f"no file '{name}'", _other_file(path)) from None
    except IsADirectoryError:
        inside = sorted(entry.name for entry in path.glob("*.tn"))
        way = f"name the files in it: {path / inside[0]}" if inside else "name a .tn file"
        raise Misuse(f"'{name}' is a directory", way) from None
    except (OSError, ValueError) as error:
        if isinstance(error, DiagramError):
            raise
        raise Misuse(f"cannot read '{name}': {reason(error)}") from None


def reason(error: Exception) -> str:
    """The system's words for an error, in lower case, without numbers and paths."""
    return ((error.strerror if isinstance(error, OSError) else None) or str(error)).lower()


def shipped_names() -> tuple[str, ...]:
    """The names of shipped files, without `.tn`."""
    from diagrammar.library import names

    return names()


def _other_file(path: Path) -> str:
    """Suggest a file of a similar name, or the shipped ones."""
    if path.suffix == ".tn" and path.stem in shipped_names():
        return f"a file of this name is shipped: write '{path.stem}'"
    try:
        beside = [str(path.with_name(entry.name)) for entry in path.parent.glob("*.tn")]
    except (OSError, ValueError):
        beside = []
    candidates = [*beside, *shipped_names()]
    return near(str(path), candidates) or f"the shipped files are {', '.join(shipped_names())}"


def load(name: str) -> Spec:
    """Read the definitions of a file. Raises Misuse if unreadable, DiagramError with its errors."""
    from diagrammar.language.spec import parse_source

    return parse_source(read(name))


def chosen(spec: Spec, names: Sequence[str]) -> tuple[str, ...]:
    """Return these names, or all where there are none. Raises Misuse for a name that the file
    lacks."""
    for name in names:
        if name not in list(spec):
            way = near(name, spec) or f"it defines {', '.join(spec) or 'nothing'}"
            raise Misuse(f"'{spec.source.name}' has no definition '{name}'", way)
    return tuple(dict.fromkeys(names)) or tuple(spec)


def settings(texts: Iterable[str]) -> dict[str, Any]:
    """Read `k1=3,p=same,q=1/4` as values by name, `p=1,2` and `p=(1,0),2` as tuples.

    The compiler checks whether a name is known. Raises Misuse for other texts.
    """
    values: dict[str, list[Any]] = {}
    for text in texts:
        name = ""
        for entry in _entries(text):
            head, equals, written = (part.strip() for part in entry.partition("="))
            if not equals and name and head:
                values[name].append(_setting(head))
                continue
            if not equals or not head or not written:
                raise Misuse(f"--set takes NAME=VALUE, not '{entry}'", "write it as --set k1=3")
            if head in values:
                raise Misuse(f"--set gives '{head}' twice", "give it once")
            name = head
            values[name] = [_setting(written)]
    return {name: v[0] if len(v) == 1 else tuple(v) for name, v in values.items()}


def _entries(text: str) -> Iterator[str]:
    """Split at the commas outside of parentheses."""
    depth, start = 0, 0
    for position, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth <= 0:
            yield text[start:position]
            start = position + 1
    yield text[start:]


def _setting(text: str) -> Any:
    """Read a value: an exact number, a tuple in parentheses, or a word with or without quotes."""
    if text.startswith("(") and text.endswith(")"):
        return tuple(_setting(part.strip()) for part in _entries(text[1:-1]))
    if re.fullmatch(r"[0-9]+/0*[1-9][0-9]*|[0-9]+\.[0-9]+", text):
        return Fraction(text)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return _number(text)


def _number(text: str) -> int | str:
    """Read an integer, or leave the text."""
    try:
        return int(text)
    except ValueError:
        return text


def shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Read `X=8,64,56,56` as the shape of an operand, by its name. Raises Misuse for other
    texts."""
    results: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        sizes = [_number(part) for part in value.replace("x", ",").split(",") if part.strip()]
        if not equals or not name or not all(isinstance(n, int) and n >= 0 for n in sizes):
            way = "write it as --shape X=8,64,56,56"
            raise Misuse(f"--shape takes NAME=SIZE,SIZE,…, not '{text}'", way)
        if name in results:
            raise Misuse(f"--shape gives '{name}' twice", "give it once")
        results[name] = tuple(n for n in sizes if isinstance(n, int))
    return results


def complete_definitions(name: str, incomplete: str) -> list[str]:
    """The definitions of a file that begin with `incomplete`; none if it cannot be read."""
    from diagrammar.grammar import syntax
    from diagrammar.grammar.parser import parse

    try:
        statements = parse(read(name)).file.statements
    except (Misuse, DiagramError):
        return []
    kinds = (syntax.Definition, syntax.Derivative, syntax.Sample)
    return [s.name for s in statements if isinstance(s, kinds) and s.name.startswith(incomplete)]
