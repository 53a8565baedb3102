"""Colours for editors and documents: every character of good text belongs to some kind of word."""

import json
import re
from importlib import resources
from pathlib import Path

import pytest

pygments = pytest.importorskip("pygments")
from pygments import token as kinds  # noqa: E402

from diagrammar.grammar.highlight import DiagramLexer  # noqa: E402

TEXTMATE = Path(__file__).parents[2] / "editors" / "diagrammar.tmLanguage.json"
LIBRARY = [p for p in resources.files("diagrammar.library").iterdir() if p.name.endswith(".tn")]


def words(text: str) -> list[tuple[object, str]]:
    tokens = DiagramLexer(stripnl=False, ensurenl=False).get_tokens(text)
    return [(kind, word) for kind, word in tokens if kind is not kinds.Whitespace]


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.name)
def test_shipped_files_are_coloured_whole(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tokens = list(DiagramLexer(stripnl=False, ensurenl=False).get_tokens(text))
    assert "".join(word for _, word in tokens) == text
    assert not [word for kind, word in tokens if kind is kinds.Error]


def test_wires_tensors_and_sizes_look_different() -> None:
    found = words("Y[b, ci'] = 1/|b| * X[b, i...]^2  # why")
    assert (kinds.Name.Function, "Y") in found
    assert (kinds.Name.Attribute, "ci'") in found
    assert (kinds.Name.Variable.Magic, "|b|") in found
    assert (kinds.Comment.Single, "# why") in found


def test_keywords_are_such_only_where_they_begin_a_statement() -> None:
    assert words("tensor size[b]")[:2] == [
        (kinds.Keyword.Declaration, "tensor"),
        (kinds.Name.Function, "size"),
    ]


def test_a_quote_behind_a_name_is_a_prime() -> None:
    found = words("S = sample(Y, ci', keep=q, mode='same')")
    assert (kinds.Name.Variable, "ci'") in found
    assert (kinds.String, "'same'") in found
    assert (kinds.Keyword.Pseudo, "sample") in found


def test_wrong_characters_are_errors() -> None:
    assert (kinds.Error, "é") in words("é")


def test_the_textmate_grammar_is_whole() -> None:
    grammar = json.loads(TEXTMATE.read_text(encoding="utf-8"))
    assert grammar["fileTypes"] == ["tn"]
    text = TEXTMATE.read_text(encoding="utf-8")
    included = set(re.findall(r'"include": "#(\w+)"', text))
    assert included == set(grammar["repository"])
    for pattern in re.findall(r'"(?:match|begin|end)": ("(?:[^"\\]|\\.)*")', text):
        re.compile(json.loads(pattern))
