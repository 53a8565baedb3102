"""What is formatted parses to the same tree, and formatting again changes nothing."""

import re
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagrammar.grammar import syntax
from diagrammar.grammar.formatter import format_file, format_scalar
from diagrammar.grammar.parser import parse
from diagrammar.grammar.source import Source
from tests.grammar import programs

LIBRARY = [
    path for path in resources.files("diagrammar.library").iterdir() if path.name.endswith(".tn")
]


def read(text: str) -> syntax.File:
    parsed = parse(Source(text))
    assert not parsed.problems, "\n\n".join([text, *map(str, parsed.problems)])
    return parsed.file


@settings(max_examples=500, deadline=None)
@given(programs.files())
def test_every_tree_is_what_its_text_says(file: syntax.File) -> None:
    text = format_file(file)
    again = read(text)
    assert again == file
    assert again.gaps >= file.gaps
    assert format_file(again) == text


@settings(max_examples=300, deadline=None)
@given(programs.scalars)
def test_scalars_have_no_more_parentheses_than_they_need(scalar: syntax.Scalar) -> None:
    text = format_scalar(scalar)
    for inner in re.finditer(r"\([^()]*\)", text):
        bare = text[: inner.start()] + inner.group()[1:-1] + text[inner.end() :]
        parsed = parse(Source(f"size n = {bare}"))
        same = not parsed.problems and parsed.file == read(f"size n = {text}")
        assert not same or inner.group()[1] == "-"


@settings(max_examples=300, deadline=None)
@given(programs.files(), st.randoms(use_true_random=False))
def test_however_a_text_is_laid_out_its_format_says_the_same(
    file: syntax.File, random: "st.random.Random"
) -> None:
    text = re.sub(
        r"(?m)(?<=, )(?=[a-zA-Z(|])",
        lambda _: random.choice(["", "", "  ", "\n      ", "  # why\n  # not\n\n   "]),
        format_file(_bare(file)),
    )
    parsed = read(text)
    assert _bare(parsed) == _bare(file)
    formatted = format_file(parsed)
    assert read(formatted) == parsed
    assert format_file(read(formatted)) == formatted


def _bare(file: syntax.File) -> syntax.File:
    """A file without its comments and quoted texts, which a change of layout could reach into."""
    from dataclasses import replace

    return syntax.File(
        tuple(
            replace(statement, doc=(), trailing=None)
            for statement in file.statements
            if not isinstance(statement, syntax.Comment) and "Text(" not in repr(statement)
        )
    )


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.name)
def test_shipped_files_keep_their_meaning(path: object) -> None:
    file = read(path.read_text(encoding="utf-8"))  # type: ignore[attr-defined]
    text = format_file(file)
    assert read(text) == file
    assert read(text).gaps == file.gaps
    assert format_file(read(text)) == text
