"""Definitions that are seldom what was meant: `check` shows them as written and warns, and each
warning says how to write what is meant so that there is none."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

import diagrammar as dg
from diagrammar.cli.check import check
from diagrammar.grammar.source import Source
from diagrammar.language.spec import read
from diagrammar.library import names

TENSORS = "tensor X[b, c]\ntensor Z[b, o]\ntensor V[c]\n"


def warned(text: str) -> list[str]:
    """The messages of the warnings of a file without errors."""
    problems = read(Source(TENSORS + text))[1]
    assert all(p.severity == "warning" and p.line and p.help for p in problems)
    return [p.message for p in problems if "never used" not in p.message]


@pytest.mark.parametrize(
    "line",
    [
        "A[c, c] = X[b, c] * X[b, c]",
        "A[b, c, c] = X[b, c]",
        "A[(c c)] = X[b, c]",
        "A[c, (b c)] = X[b, c]",
        "A[c', c'] = X[b, c']",
    ],
)
def test_a_wire_twice_on_the_left(line: str) -> None:
    (message,) = warned(line)
    assert "stands twice on the left" in message


@pytest.mark.parametrize(
    ("line", "summed", "same"),
    [
        ("Y[b, c] = X[b, c] + Z[b, o]", "o", "c"),
        ("Y[b, c] = X[b, c] - 2 * Z[b, o]", "o", "c"),
        ("Y[b, c] = Z[b, o] * X[b, c]\nW[b, c] = V[c] + Y[b, c']", "c'", "c"),
        ("size n = 2\nY[b, n] = Z[b, o]", "o", "n"),
        ("size n = 2\nY[b, n] = Z[b, o] * Z[b, o']^2", "o", "n"),
    ],
)
def test_a_term_that_is_summed_and_broadcast(line: str, summed: str, same: str) -> None:
    (message,) = warned(line)
    assert message == f"this term is summed over '{summed}' and is the same for all '{same}'"


@pytest.mark.parametrize(
    "line",
    [
        "A[c, c'] = X[b, c] * X[b, c']",
        "A[c, c'] = X[b, c] * X[b, c] * delta[c, c']",
        "Y[b, c] = X[b, c] + Z[b, o] * ones[o]",
        "Y[b, c] = X[b, c] - 1/|c| * X[b, c']",
        "Y[b, c] = X[b, c] - 1/|c'| * X[b, c']",
        "Y[b, c] = X[b, c] + V[c]",
        "Y[b, c] = X[b, c] + Z[b, o] * Z[b, o]",
        "Y[b, c] = X[b, c] + Z[b, o]^2",
        "Y[b] = X[b, c] + Z[b, o]",
        "Y[] = X[b, c]",
    ],
)
def test_what_is_meant_is_not_warned_of(line: str) -> None:
    assert warned(line) == []


@pytest.mark.parametrize("seed", range(20))
def test_the_way_that_a_warning_shows_means_the_same_and_is_silent(seed: int) -> None:
    """ones[o] and delta[c, c'] change no value."""
    chance = random.Random(seed)
    c, o, b = (chance.randint(1, 4) for _ in range(3))
    given = {"X": torch.randn(b, c), "Z": torch.randn(b, o)}
    pairs = [
        ("Y[b, c] = X[b, c] + Z[b, o]", "Y[b, c] = X[b, c] + Z[b, o] * ones[o]"),
        ("Y[c, c] = X[b, c] * X[b, c]", "Y[c, c'] = X[b, c] * X[b, c] * delta[c, c']"),
    ]
    slip, meant = chance.choice(pairs)
    assert warned(slip)
    assert not warned(meant)
    first, second = (dg.parse(TENSORS + line)["Y"].compile() for line in (slip, meant))
    order = [given[op.name] for op in first.operands]
    assert torch.allclose(first(*order), second(*order))


def test_check_shows_the_left_as_written_and_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "slip.tn"
    path.write_text("tensor X[b, c]\nA[c, (b c)] = X[b, c]\nB[c, c'] = X[b, c] * X[b, c']\n")
    problems, lines = check(str(path))
    assert [p.severity for p in problems] == ["warning"]
    assert lines[1].startswith("  A[c, (b c)]")
    assert lines[2].startswith("  B[c, c']")


@pytest.mark.parametrize("name", names())
def test_shipped_files_have_no_slips(name: str) -> None:
    assert check(name)[0] == ()
