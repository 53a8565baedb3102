"""The source that is emitted for every shipped definition on all 132 layers, to be compared.

    python -m benchmarks.emitted FOLDER

A change of structure emits what was emitted before: run it before and after, then `diff -r`.
`tests/test_emitted.py` holds digests for three layers of each definition.
"""

from __future__ import annotations

import os
import tempfile
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import sympy
import typer

from benchmarks import results
from benchmarks.layers import Layer, chosen, layers
from benchmarks.progress import tracked
from diagrammar.grammar.errors import DiagramError
from diagrammar.ir.diagram import Diagram
from diagrammar.ir.scalar import Dim, substitute
from diagrammar.ir.symbols import names_of
from diagrammar.language.shipped import drawn
from diagrammar.library import names
from diagrammar.transform.values import resolve_values

BATCH, VECTORS, OTHER = 8, 2, 3
"""Sizes that a layer does not fix: examples, vectors of an example, and any other."""


@cache
def definitions() -> dict[str, Diagram]:
    """All shipped definitions in two dimensions, as `conv2d.dW`."""
    return {f"{file}.{name}": d for file in names() for name, d in drawn(file).items()}


def sizes(layer: Layer) -> dict[str, int]:
    """What a layer says of parameters and wires, by the names that shipped files give them."""
    into, out = layer.in_channels // layer.groups, layer.out_channels // layer.groups
    known = {"b": BATCH, "n": VECTORS, "g": layer.groups, "h": layer.groups, "z": layer.groups}
    known |= {"ci": into, "co": out}
    pairs = {"k": layer.kernel_size, "i": layer.input_size, "o": layer.output_size}
    pairs["i_1"] = layer.input_size  # of other examples
    pairs |= {"s": layer.stride, "p": layer.padding, "d": layer.dilation}
    for letter, pair in pairs.items():
        known |= {f"{letter}{n + 1}": size for n, size in enumerate(pair)}
        known |= {f"{letter}.{n}": size for n, size in enumerate(pair)} | {letter: pair[0]}
    return known


def source(diagram: Diagram, layer: Layer) -> str:
    """What is emitted for the shapes that operands have on a layer."""
    known = sizes(layer)
    values = {
        name: known[name]
        for name, expressions in names_of(diagram).items()
        if name in known and all(isinstance(e, sympy.Symbol) for e in expressions)
    }
    symbols, problems = resolve_values(diagram, values)
    if problems:
        raise DiagramError(problems)
    shapes = {
        operand.name: [substitute(extent, _others(extent)) for extent in operand.shape()]
        for operand in diagram.substitute(symbols).operands
    }
    return diagram.compile(**values).specialise(**shapes).source


def _others(extent: Dim) -> dict[sympy.Symbol, Dim]:
    return dict.fromkeys(sympy.sympify(extent).free_symbols, OTHER)


def digest(text: str) -> str:
    """Sixteen characters that tell texts apart."""
    return sha256(text.encode()).hexdigest()[:16]


def main(
    folder: Annotated[Path, typer.Argument(help="Where to write; one file for each definition.")],
    only: Annotated[
        list[str] | None, typer.Option("--layers", help="Layers whose name contains this.")
    ] = None,
) -> None:
    """Write the emitted source of every shipped definition on the layers of nine networks."""
    console = results.console()
    folder.mkdir(parents=True, exist_ok=True)
    found, every = chosen(layers(), only or []), []
    with tempfile.TemporaryDirectory() as empty, tracked(console) as progress:
        os.environ["DIAGRAMMAR_CACHE"] = empty  # plans by the default rates
        for name, diagram in progress.track(definitions().items(), description="definitions"):
            text = "".join(f"# {x.label}\n{source(diagram, x)}\n" for x in found)
            (folder / f"{name}.py").write_text(text, encoding="utf-8")
            every.append(text)
    console.print(f"{len(every)} definitions, {len(found)} layers: {digest(''.join(every))}")


if __name__ == "__main__":
    typer.run(main)
