"""Words and signs: a statement's text cut into tokens, with their offsets in the whole source.

One cut serves the parser and the explanation of mistakes, so both always speak of the same pieces.
What cannot be part of any statement becomes a token too, of type `BAD`; the parser stops there.
What the order of the tokens may be is the business of `diagram.lark`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from lark import Token

_NAME = r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*'*"

_PIECE: Final = re.compile(
    rf"""
      (?P<skip>     [ \t\r\n\f]+ | \#[^\n]* )
    | (?P<NAME>     {_NAME} )
    | (?P<NUMBER>   [0-9]+ (?: \.[0-9]+ )? (?: [eE][+-]?[0-9]+ )? )
    | (?P<SIZE_OF>  \|[ \t]* {_NAME} [ \t]*(?:\.\.\.)?[ \t]* \| )
    | (?P<STRING>   "[^"\n]*" | '[^'\n]*' )
    | (?P<sign>     \.\.\. | // | := | <= | >= | [][()+\-*/^=<>,] )
    | (?P<BAD>      \w[\w']* | "[^"\n\#]* | '[^'\n\#]* | . )
    """,
    re.VERBOSE,
)

SIGNS: Final = {
    "[": "OPEN",
    "]": "CLOSE",
    "(": "LEFT",
    ")": "RIGHT",
    "+": "PLUS",
    "-": "MINUS",
    "*": "TIMES",
    "/": "OVER",
    "//": "FLOOR",
    "^": "POWER",
    "=": "EQUALS",
    ":=": "DEFINES",
    "<": "LESS",
    "<=": "LESS",
    ">": "LESS",
    ">=": "LESS",
    ",": "_COMMA",
    "...": "DOTS",
}

# signs that other languages write as one, so that a mistake is marked as a whole
_GLUED: Final = frozenset(
    {"**", "==", "+=", "-=", "*=", "/=", "->", "=>", "<-", "=<", "<>", "++", "!=", "..", "&&", "||"}
)

STATEMENTS: Final = (*("size", "param", "rank", "require", "use", "tensor", "constant", "pattern"),)
_KEYWORDS: Final = {word: word.upper() for word in STATEMENTS}
OPERANDS: Final = frozenset({"NAME", "NUMBER", "SIZE_OF", "RIGHT", "CLOSE", "DOTS"})


def tokenise(text: str, start: int, stop: int, most: int) -> list[Token]:
    """The tokens of `text[start:stop]`, one statement, but hardly more than `most`; never fails."""
    tokens: list[Token] = []
    for match in _PIECE.finditer(text, start, stop):
        if len(tokens) > most:
            break
        kind = match.lastgroup
        if kind == "skip":
            continue
        value = match.group()
        if kind == "sign":
            kind = SIGNS[value]
        elif kind == "NAME":
            kind = _word(value, tokens)
        assert kind is not None
        tokens.append(Token(kind, value, match.start(), end_pos=match.end()))
    return tokens


def _word(value: str, before: list[Token]) -> str:
    """The type of a word: keywords are such only where they can stand."""
    if not before:
        return _KEYWORDS.get(value, "NAME")
    if value == "mod" and before[0].type == "PATTERN" and before[-1].type in OPERANDS:
        return "MOD"
    if value == "as" and before[0].type == "USE" and before[-1].type == "STRING":
        return "AS"
    return "NAME"


def glue(tokens: Sequence[Token]) -> list[Token]:
    """The same tokens with `==`, `**`, `größe` and their like as single `BAD` ones."""
    glued: list[Token] = []
    for token in tokens:
        last = glued[-1] if glued else None
        touching = last is not None and last.end_pos == token.start_pos
        if last is not None and touching and (last + token in _GLUED or _one_name(last, token)):
            glued[-1] = Token("BAD", last + token, last.start_pos, end_pos=token.end_pos)
        else:
            glued.append(token)
    return glued


def _one_name(last: Token, token: Token) -> bool:
    """Whether two tokens are parts of a name that is not all ASCII, such as `größe`."""
    letters = token[0].isalpha() or token[0] == "_"
    if last.type == "NAME":
        return token.type == "BAD" and letters
    return last.type == "BAD" and last[0].isalpha() and letters
