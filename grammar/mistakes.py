"""From the place where the parser stopped to a message in the user's words."""

from __future__ import annotations

from collections.abc import Collection

from lark import Token

from diagrammar.grammar.errors import Problem
from diagrammar.grammar.source import Source
from diagrammar.grammar.words import quote, span_of


def explain(tokens: list[Token], stop: Token, could: Collection[str], source: Source) -> Problem:
    """What is wrong with a statement in which the parser stopped at a token."""
    if stop.type == "$END":
        return Problem("this statement ends too early", span_of(tokens[-1]), source)
    return Problem(f"{quote(stop)} cannot stand here", span_of(stop), source)
