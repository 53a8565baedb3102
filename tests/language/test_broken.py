"""What is said of files that parse and cannot be built, word for word; `pytest --update` rewrites
it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.front_end import definitions
from diagrammar.grammar.source import Source
from diagrammar.language.spec import read
from tests.grammar import golden
from tests.grammar.test_broken import internal_words
from tests.work import counted

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


def test_a_thousand_definitions_are_checked() -> None:
    """In work that grows with their number; benchmarks.front_end says how long that takes."""
    calls = []
    for count in (500, 1000):
        with counted() as work:
            spec, problems = read(Source(definitions(count)))
        assert len(spec) == count
        assert not problems
        calls.append(work.calls)
    assert calls[1] < 2.2 * calls[0]
    assert calls[1] < 12e6  # 5.4 million
