"""Emitted source stays as it is: digests for every shipped definition on three layers of the paper.

Where a change is meant, `pytest --update` rewrites tests/cases/emitted/. What differs is seen with
`python -m benchmarks.emitted FOLDER`, run before and after on all 132 layers, and `diff -r`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.emitted import definitions, digest, source
from benchmarks.layers import Layer, layers
from diagrammar.library import names

FOLDER = Path(__file__).parent / "cases" / "emitted"
TURN = 37
"""How many layers further each definition begins than the one before; all 132 get their turn."""


def layers_for(number: int) -> list[Layer]:
    """Three layers that are far from each other, others for each definition."""
    found = layers()
    return [found[(number * TURN + n * len(found) // 3) % len(found)] for n in range(3)]


def digests(file: str) -> list[str]:
    """A line for each definition of a shipped file and each of its layers."""
    return [
        f"{name} {layer.label} {digest(source(diagram, layer))}"
        for number, (name, diagram) in enumerate(definitions().items())
        if name.partition(".")[0] == file
        for layer in layers_for(number)
    ]


@pytest.mark.parametrize("file", names())
def test_emitted_source_is_as_it_was(file: str, update: bool) -> None:
    path, made = FOLDER / f"{file}.txt", digests(file)
    if update:
        path.write_text("\n".join(made) + "\n", encoding="utf-8")
    before = path.read_text(encoding="utf-8").splitlines()
    changed = [line for line in made if line not in before]
    assert made == before, f"changed: {changed}; pytest --update rewrites {path.name}"


def test_every_layer_is_taken() -> None:
    numbers = range(len(definitions()))
    assert {x.label for n in numbers for x in layers_for(n)} == {x.label for x in layers()}


def test_a_digest_tells_layers_apart() -> None:
    diagram = definitions()["conv2d.Y"]
    assert len({digest(source(diagram, layer)) for layer in layers()[:8]}) == 8
