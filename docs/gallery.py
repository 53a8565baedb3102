"""Write docs/gallery.md: every shipped operation with picture, definition, derivation and code.

python docs/gallery.py [FOLDER]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from diagrammar.draw import render
from diagrammar.draw.words import reasons, signature, where
from diagrammar.grammar import syntax
from diagrammar.grammar.parser import parse
from diagrammar.grammar.source import Source
from diagrammar.ir.diagram import Diagram
from diagrammar.ir.symbols import names_of, symbols_of
from diagrammar.language.shipped import drawn
from diagrammar.library import names
from diagrammar.replacing import write
from diagrammar.transform.values import resolve_values

HERE = Path(__file__).parent
DENSE: dict[str, Any] = {
    **{"k1": 4, "k2": 4, "k": 4, "s": 4, "s1": 4, "s2": 4, "p": 0, "p1": 0, "p2": 0},
    **{"i1": 32, "i2": 32, "i": 32},
}
"""A geometry in which windows neither meet nor leave gaps: much of the structure goes away."""
INTRODUCTION = """# Gallery

Every definition that is shipped with diagrammar, written by `python docs/gallery.py`. For each:
its picture as written, its text, what the rules make of it (as the file sets its sizes and
parameters, and for windows that neither meet nor leave gaps), and the PyTorch function that is
emitted for operands of a typical size. [How to read the pictures](pictures/README.md).
"""


def main(folder: Path) -> None:
    """Write the page and a picture for each definition."""
    (folder / "gallery").mkdir(parents=True, exist_ok=True)
    parts = [INTRODUCTION, *contents()]
    for file in names():
        parts.append(f"## {file}\n")
        parts += [f"{line.removeprefix('#').strip()}" for line in _head(file)]
        spec = drawn(file)
        for name in spec:
            write(folder / "gallery" / f"{file}_{name}.svg", render(spec[name], "svg"))
            if values := dense(spec[name]):
                after = render(spec[name].simplify(**values).diagram, "svg")
                write(folder / "gallery" / f"{file}_{name}_dense.svg", after)
            parts += section(file, name)
    write(folder / "gallery.md", "\n".join(parts).rstrip() + "\n")


def contents() -> Iterator[str]:
    """A line for each file with links to its definitions."""
    for file in names():
        links = ", ".join(f"[{name}](#{anchor(file, name)})" for name in drawn(file))
        yield f"- `{file}`: {links}"
    yield ""


def anchor(file: str, name: str) -> str:
    """The name of a heading as a link writes it."""
    return f"{file}-{name}".lower()


def section(file: str, name: str) -> Iterator[str]:
    """One definition."""
    diagram = drawn(file)[name]
    yield f"### {file} {name}\n"
    if diagram.doc:
        yield f"{diagram.doc.strip()}\n"
    yield f"![{signature(diagram)}](gallery/{file}_{name}.svg)\n"
    yield f"```tn\n{text(file, name)}\n```\n"
    yield from derivation(diagram, "as the file sets it", {})
    if values := dense(diagram):
        yield from derivation(diagram, "dense", values)
        yield f"![{name}, dense](gallery/{file}_{name}_dense.svg)\n"
    yield from code(diagram)


def text(file: str, name: str) -> str:
    """The statement that defines a name, as it stands in its file."""
    source = Source(whole(file), f"{file}.tn")
    for statement in parse(source).file.statements:
        kinds = (syntax.Definition, syntax.Derivative, syntax.Sample)
        if isinstance(statement, kinds) and statement.name == name:
            return source.text[statement.span.start : statement.span.stop].rstrip()
    raise KeyError(name)


def whole(file: str) -> str:
    """The text of a shipped file."""
    return (files("diagrammar.library") / f"{file}.tn").read_text(encoding="utf-8")


def _head(file: str) -> Iterator[str]:
    """The comment that a file begins with."""
    for line in whole(file).splitlines():
        if not line.startswith("#"):
            break
        yield line
    yield ""


def dense(diagram: Diagram) -> dict[str, Any]:
    """The values of the dense geometry that a diagram knows; none if it has no stride."""
    known = [name for name in names_of(diagram) if name.partition(".")[0] in DENSE]
    found = {name: DENSE[name.partition(".")[0]] for name in known}
    return found if any(name.partition(".")[0] in ("s", "s1") for name in found) else {}


def derivation(diagram: Diagram, what: str, values: Mapping[str, Any]) -> Iterator[str]:
    """The rewrites of one geometry, each with its law and why it holds."""
    trace = diagram.simplify(**values).trace
    given = ", ".join(f"{name} = {value}" for name, value in values.items())
    yield f"Derivation, {what}{f' ({given})' if given else ''}:\n"
    for number, step in enumerate(trace, 1):
        law = " ".join(step.rule.law.split())
        because = reasons(step.because)
        yield f"{number}. *{step.rule.name}* at {where(step)}: {law}; because {because}"
    if not len(trace):
        yield "nothing to simplify."
    yield ""


def code(diagram: Diagram) -> Iterator[str]:
    """The function for operands of some typical size."""
    values = {name: typical(name) for name in loose(diagram)}
    symbols, problems = resolve_values(diagram, values)
    assert not problems, problems
    fixed = diagram.substitute(symbols)
    shapes = {o.name: [int(n) for n in o.shape()] for o in fixed.operands}
    source = diagram.compile(**values).specialise(**shapes).source.rstrip()
    given = ", ".join(f"{name} {' × '.join(map(str, shape))}" for name, shape in shapes.items())
    yield f"<details><summary>code for {given}</summary>\n"
    yield f"```python\n{source}\n```\n\n</details>\n"


def loose(diagram: Diagram) -> list[str]:
    """The sizes that the file leaves open."""
    symbols, problems = resolve_values(diagram, {})
    assert not problems, problems
    fixed = diagram.substitute(symbols)
    return sorted(str(symbol) for symbol in symbols_of([fixed], fixed.operands))


def typical(name: str) -> int:
    """A size for a wire that reads well in code."""
    sizes = {"b": 8, "ci": 16, "co": 32, "g": 1, "k": 3, "i": 32, "o": 16}
    return next((size for start, size in sizes.items() if name.startswith(start)), 4)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
