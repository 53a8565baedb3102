"""Colours for editors and documents: every character of good text belongs to some kind of word."""

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from pygments import token as kinds

from diagrammar.grammar import calls, tokens
from diagrammar.grammar.highlight import DiagramLexer
from diagrammar.language.scope import BUILT_IN

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


LARK = (resources.files("diagrammar.grammar") / "diagram.lark").read_text("utf-8")
PLAIN = {"NAME", "NUMBER", "STRING", "SIZE_OF", "BAD"}
SCOPES = json.loads(TEXTMATE.read_text(encoding="utf-8"))["repository"]


def keywords() -> set[str]:
    """The words that the grammar itself has, from its terminals."""
    declared = {
        w for line in LARK.splitlines() if line.startswith("%declare") for w in line.split()
    }
    return declared - {"%declare"} - PLAIN - set(tokens.SIGNS.values())


def openings() -> set[str]:
    """The keywords that a rule of the grammar begins with: those of statements."""
    return {m[1] for m in re.finditer(r"^\w+: ([A-Z]+)\b", LARK, re.MULTILINE)} & keywords()


def textmate(part: str) -> list[tuple[str, dict[str, Any]]]:
    """The patterns of a part of the TextMate grammar."""
    return [(p["match"], p) for p in SCOPES[part]["patterns"] if "match" in p]


def test_the_keywords_of_the_grammar_are_known_here() -> None:
    """Statements, and the two words that can stand inside of one."""
    assert openings() == {word.upper() for word in tokens.STATEMENTS}
    assert keywords() == openings() | {"AS", "MOD"}


@pytest.mark.parametrize("keyword", sorted(openings()))
def test_every_statement_is_coloured(keyword: str) -> None:
    word = keyword.lower()
    assert words(f"{word} x")[0] == (kinds.Keyword.Declaration, word)
    found = [re.match(m, f"{word} x") for m, _ in textmate("statement")[:2]]
    assert [f[1] for f in found if f] == [word]


INSIDE = {"AS": 'use "a.tn" as a', "MOD": "pattern R[i, j] = [i = j + 1 mod 3]"}


@pytest.mark.parametrize("keyword", sorted(keywords() - openings()))
def test_every_word_inside_a_statement_is_coloured(keyword: str) -> None:
    word = keyword.lower()
    (kind,) = {kind for kind, text in words(INSIDE[keyword]) if text == word}
    assert kind in (kinds.Keyword, kinds.Operator.Word)
    assert any(re.search(m, f" {word} ") for m, p in textmate("word") if "keyword" in p["name"])


@pytest.mark.parametrize("sign", sorted(tokens.SIGNS))
def test_every_sign_is_coloured(sign: str) -> None:
    (kind,) = {kind for kind, text in words(f"a {sign} b") if text == sign}
    assert kind in (kinds.Operator, kinds.Punctuation)
    brackets = sign in ("[", "]", "(", ")", ",", "...")  # which editors leave plain
    assert brackets or re.fullmatch(SCOPES["operator"]["match"], sign)


@pytest.mark.parametrize("name", [*calls.DERIVATIVES, "sample"])
def test_every_operation_is_coloured(name: str) -> None:
    assert (kinds.Keyword.Pseudo, name) in words(f"S = {name}(Y, X)")
    (match,) = (m for m, p in textmate("word") if "operation" in p["name"])
    assert re.match(match, f"{name}(Y, X)")


@pytest.mark.parametrize("name", ["conv", "view", "bernoulli"])
def test_every_pattern_is_coloured(name: str) -> None:
    assert (kinds.Name.Builtin, name) in words(f"pattern P[i, o, k] = {name}(s=2)")


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_built_in_tensor_is_coloured(name: str) -> None:
    assert (kinds.Name.Builtin, name) in words(f"Y[i] = {name}[i, j]")


@pytest.mark.parametrize("name", calls.MATRIX_KINDS)
def test_every_kind_of_constants_is_coloured(name: str) -> None:
    assert (kinds.Keyword.Type, name) in words(f"constant Q[u, h] = {name}  # why")
    assert any(re.match(m, name) for m, p in textmate("word") if "matrix" in p["name"])


def test_the_textmate_grammar_is_whole() -> None:
    grammar = json.loads(TEXTMATE.read_text(encoding="utf-8"))
    assert grammar["fileTypes"] == ["tn"]
    text = TEXTMATE.read_text(encoding="utf-8")
    included = set(re.findall(r'"include": "#(\w+)"', text))
    assert included == set(grammar["repository"])
    for pattern in re.findall(r'"(?:match|begin|end)": ("(?:[^"\\]|\\.)*")', text):
        re.compile(json.loads(pattern))
