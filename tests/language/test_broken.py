"""What is said of files that parse and cannot be built, word for word; `pytest --update` rewrites
it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import diagrammar as dg
from diagrammar.grammar.source import Source
from diagrammar.spec import read
from tests.grammar import golden
from tests.grammar.test_broken import internal_words

FOLDER = Path(__file__).parent / "broken"
FILES = sorted(FOLDER.glob("*.tn"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_everything_that_is_said_of_a_broken_file(path: Path, update: bool) -> None:
    golden.check(path, lambda source: read(source)[1], update=update)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_mistake_has_its_place_and_the_words_of_the_user(path: Path) -> None:
    text, _ = golden.split(path)
    for problem in read(Source(text, path.name))[1]:
        assert problem.line
        assert problem.column
        assert not internal_words(f"{problem.message} {problem.label} {problem.help}")


def test_there_are_many_broken_files() -> None:
    assert len(FILES) >= 30


def test_a_thousand_definitions_are_checked_within_two_seconds() -> None:
    head = """
size k = 3
param s = 1, p = 1
tensor X[b, ci, i]
tensor W[co, ci, k]
pattern P[i, o, k] = conv(stride=s, padding=p)
"""
    four = """
Y#[b, co, o] = X[b, ci, i] * P[i, o, k] * W[co, ci, k]
D# = vjp(Y#, W)
U#[b, (ci k), o] = X[b, ci, i] * P[i, o, k]
A#[(ci k), (ci' k')] = 1/|b| * U#[b, (ci k), o] * U#[b, (ci' k'), o]
"""
    text = head + "".join(four.replace("#", str(n)) for n in range(250))
    dg.parse(head)  # imports
    start = time.process_time()
    spec, problems = read(Source(text))
    spent = time.process_time() - start
    assert len(spec) == 1000
    assert not problems
    assert spent < 2
