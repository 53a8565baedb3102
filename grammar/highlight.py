"""A Pygments lexer for `.tn` files; Pygments is imported here and nowhere else.

Registered as an entry point `pygments.lexers` of the distribution, so that documentation and
notebooks find it under the name `diagrammar`.
"""

from __future__ import annotations

from typing import ClassVar

# pygments has no types
from pygments import token as kinds  # type: ignore[import-untyped]
from pygments.lexer import (  # type: ignore[import-untyped]
    RegexLexer,
    bygroups,
    default,
    words,
)

_WORD = r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*"


class DiagramLexer(RegexLexer):  # type: ignore[misc]  # Pygments has no types
    """Words and signs as readers see them: declarations, tensors, wires, sizes, options."""

    name = "diagrammar"
    aliases: ClassVar[list[str]] = ["diagrammar", "tn"]
    filenames: ClassVar[list[str]] = ["*.tn"]
    mimetypes: ClassVar[list[str]] = ["text/x-diagrammar"]

    tokens: ClassVar[dict[str, list[object]]] = {
        "root": [
            (r"\s+", kinds.Whitespace),
            (r"#[^\n]*", kinds.Comment.Single),
            (
                r"^([ \t]*)(size|param|rank|require|use|tensor|constant|pattern)\b(?!\s*\[)",
                bygroups(kinds.Whitespace, kinds.Keyword.Declaration),
            ),
            (rf"\|[ \t]*{_WORD}'*[ \t]*(?:\.\.\.)?[ \t]*\|", kinds.Name.Variable.Magic),
            (r"""(?:"[^"\n]*"|'[^'\n]*')""", kinds.String),
            (r"[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+", kinds.Number.Float),
            (r"[0-9]+", kinds.Number.Integer),
            (r"\bas\b", kinds.Keyword),
            (r"\bmod\b", kinds.Operator.Word),
            (
                words(("vjp", "jvp", "jacobian", "sample"), prefix=r"\b", suffix=r"(?=\s*\()"),
                kinds.Keyword.Pseudo,
            ),
            (
                words(("identity", "orthogonal"), prefix=r"\b", suffix=r"(?=[ \t]*(?:#|$))"),
                kinds.Keyword.Type,
            ),
            (r"(delta|ones)(?=\s*\[)", kinds.Name.Builtin, "before axes"),
            (rf"{_WORD}(?=\s*\()", kinds.Name.Builtin),
            (rf"{_WORD}(?=\s*\[)", kinds.Name.Function, "before axes"),
            (rf"{_WORD}'*", kinds.Name.Variable),
            (r"\.\.\.", kinds.Punctuation),
            (r":=|//|<=|>=|[-+*/^=<>]", kinds.Operator),
            (r"[][(),]", kinds.Punctuation),
        ],
        "before axes": [
            (r"\s+", kinds.Whitespace),
            (r"\[", kinds.Punctuation, ("#pop", "axes")),
            default("#pop"),
        ],
        "axes": [
            (r"\s+", kinds.Whitespace),
            (r"#[^\n]*", kinds.Comment.Single),
            (rf"{_WORD}'*", kinds.Name.Attribute),
            (r"\.\.\.|[(),]", kinds.Punctuation),
            (r"\]", kinds.Punctuation, "#pop"),
            default("#pop"),
        ],
    }
