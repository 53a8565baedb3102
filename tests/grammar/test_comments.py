"""Which comments are documentation, and that all comments stay as they are."""

from __future__ import annotations

import random

import pytest

import diagrammar as dg
from diagrammar.grammar.formatter import format_file
from diagrammar.grammar.parser import parse
from diagrammar.grammar.source import Source

TENSOR = "tensor X[b]\n"
DEFINITION = "Y[b] = X[b] * X[b]\n"


@pytest.mark.parametrize(
    ("comment", "doc"),
    [
        ("#: the square\n", "the square"),
        ("#: the square\n#: of each\n", "the square\nof each"),
        ("#:the square\n", "the square"),
        ("#:   indented\n#:\n#: more\n", "  indented\n\nmore"),
        ("# a remark\n#: the square\n", "the square"),
        ("#: the square\n# a remark\n", "the square"),
        ("#: : a colon\n", ": a colon"),
        ("# a remark\n", ""),
        ("# : a remark\n", ""),
        ("## a remark\n", ""),
        ("#\n", ""),
        ("#: of nothing\n\n", ""),
        ("", ""),
    ],
)
def test_documentation_is_what_says_so(comment: str, doc: str) -> None:
    text = TENSOR + comment + DEFINITION
    diagram = dg.parse(text)["Y"]
    assert diagram.doc == doc
    assert dg.parse(str(diagram))["Y"].doc == doc
    source = diagram.compile().generic().source
    assert "remark" not in source
    if doc:
        assert doc.split("\n")[0].strip() in source


def test_a_first_comment_of_the_file_is_no_docstring() -> None:
    diagram = dg.parse("# averages of patches\n" + TENSOR + "# an index is summed\n" + DEFINITION)
    assert diagram["Y"].doc == ""


@pytest.mark.parametrize("kind", ["D = vjp(Y, X)", "D = sample(Y, b, keep=1/2)"])
def test_what_is_made_of_diagrams_is_documented_alike(kind: str) -> None:
    spec = dg.parse(TENSOR + DEFINITION + f"#: made of Y\n{kind}\n# a remark\nE = jvp(Y, X)\n")
    assert (spec["D"].doc, spec["E"].doc) == ("made of Y", "")


@pytest.mark.parametrize("seed", range(100))
def test_comments_of_any_kind_stay_what_they_are(seed: int) -> None:
    """The tree of what is written is the tree, and what is written once stays so."""
    chance = random.Random(seed)
    pieces = [
        "#",
        "#:",
        "# ",
        "#: ",
        "#  ",
        "# :",
        "#::",
        "#: :",
        "#:  x",
        "# x",
        "#x",
        "#:x",
        "##",
    ]
    lines = [chance.choice(pieces) + chance.choice(["", "y", " z:", ":"]) for _ in range(4)]
    text = TENSOR + "\n".join(lines) + chance.choice(["\n", "\n\n"]) + DEFINITION
    parsed = parse(Source(text))
    written = format_file(parsed.file)
    again = parse(Source(written))
    assert again.file == parsed.file
    assert format_file(again.file) == written
