"""What is said of broken files, word for word; `pytest --update` rewrites the expectations."""

import re
from importlib import resources
from pathlib import Path

import pytest

from diagrammar.grammar.mistakes import WORDS
from diagrammar.grammar.parser import parse
from diagrammar.grammar.source import Source
from tests.grammar import golden

FOLDER = Path(__file__).parent / "broken"
FILES = sorted(FOLDER.glob("*.tn"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_everything_that_is_said_of_a_broken_file(path: Path, update: bool) -> None:
    golden.check(path, lambda source: parse(source).problems, update=update)


def test_there_are_many_broken_files() -> None:
    assert len(FILES) >= 80


def test_every_terminal_of_the_grammar_has_words_of_the_user() -> None:
    grammar = resources.files("diagrammar.grammar").joinpath("diagram.lark").read_text("utf-8")
    terminals = set(" ".join(re.findall(r"%declare (.*)", grammar)).split()) - {"BAD"}
    assert terminals | {"$END"} == set(WORDS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_terminal_of_the_grammar_is_ever_named(path: Path) -> None:
    text, _ = golden.split(path)
    for problem in parse(Source(text, path.name)).problems:
        assert not internal_words(f"{problem.message} {problem.label} {problem.help}")


def internal_words(message: str) -> set[str]:
    """The parser's own names in a message, outside what it quotes from the user."""
    quotes = r"""'[^']*'|"[^"]*\""""
    words = set(re.findall(r"[A-Z_$][A-Z_]+", re.sub(quotes, "", message)))
    return words & {*WORDS, "BAD", "_COMMA"}
