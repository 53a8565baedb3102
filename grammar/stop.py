"""The place where the parser stopped, and the questions that one asks there to find out what is
wrong."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from lark import Token

from diagrammar.grammar.errors import Place, Problem
from diagrammar.grammar.source import Source, Span
from diagrammar.grammar.tokens import glue
from diagrammar.grammar.words import quote, span_of

OPENING: Final = {"OPEN": "CLOSE", "LEFT": "RIGHT"}
CLOSING: Final = {"CLOSE": "]", "RIGHT": ")"}
SIGNS: Final = frozenset({"PLUS", "MINUS", "TIMES", "OVER", "FLOOR", "POWER"})


@dataclass(frozen=True, slots=True)
class Stop:
    """A statement's tokens, where the parser stopped in them, and what could have stood there."""

    tokens: Sequence[Token]
    at: int
    could: frozenset[str]
    source: Source

    @staticmethod
    def of(tokens: Sequence[Token], stop: Token, could: Collection[str], source: Source) -> Stop:
        """The stop at a token of the parser's, which sees `==` as two."""
        glued = glue(tokens)
        at = len(glued)
        if stop.type != "$END":
            begin = span_of(stop).start
            at = next(n for n, token in enumerate(glued) if span_of(token).stop > begin)
        return Stop(glued, at, frozenset(could), source)

    # -- what stands there ------------------------------------------------------------------------

    @property
    def found(self) -> Token | None:
        """The token that does not fit; None at the end of the statement."""
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    @property
    def kind(self) -> str:
        """The type of the token that does not fit, or `END`."""
        return self.found.type if self.found is not None else "END"

    def before(self, steps: int = 1) -> Token | None:
        """The token so many steps before the stop."""
        return self.tokens[self.at - steps] if self.at >= steps else None

    def kind_before(self, steps: int = 1) -> str:
        """The type of the token so many steps before the stop, or `START`."""
        token = self.before(steps)
        return token.type if token is not None else "START"

    def kind_after(self, steps: int = 1) -> str:
        """The type of the token so many steps behind the stop, or `END`."""
        at = self.at + steps
        return self.tokens[at].type if at < len(self.tokens) else "END"

    @property
    def keyword(self) -> str:
        """The type of the statement's first token: `NAME` for definitions."""
        return self.tokens[0].type

    # -- where it stands --------------------------------------------------------------------------

    @property
    def open(self) -> int | None:
        """The innermost bracket that is open at the stop."""
        stack: list[int] = []
        for at, token in enumerate(self.tokens[: self.at]):
            if token.type in OPENING:
                stack.append(at)
            elif token.type in CLOSING and stack:
                stack.pop()
        return stack[-1] if stack else None

    @property
    def inside(self) -> str:
        """What the innermost bracket holds: axes, group, call, scalar, conditions, or nothing."""
        at = self.open
        if at is None:
            return ""
        named = at > 0 and self.tokens[at - 1].type == "NAME"
        if self.tokens[at].type == "OPEN":
            return "axes" if named else "conditions"
        if Stop(self.tokens, at, self.could, self.source).inside == "axes":
            return "group"
        return "call" if named else "scalar"

    def closes(self, opening: int) -> bool:
        """Whether the bracket at an index is closed by one of its kind somewhere."""
        stack: list[str] = []
        for token in self.tokens[opening:]:
            if token.type in OPENING:
                stack.append(OPENING[token.type])
            elif token.type in CLOSING:
                if stack.pop() != token.type:
                    return False
                if not stack:
                    return True
        return False

    # -- saying it --------------------------------------------------------------------------------

    def here(self) -> Span:
        """The token that does not fit, or the place behind the last."""
        if self.found is not None:
            return span_of(self.found)
        end = span_of(self.tokens[-1]).stop
        return Span(end, end + 1)

    def name(self) -> str:
        """The token that does not fit, as a message calls it."""
        return quote(self.found) if self.found is not None else "the end of the statement"

    def problem(
        self,
        message: str,
        *,
        label: str = "",
        help: str = "",
        span: Span | None = None,
        also: tuple[Span, str] | None = None,
    ) -> Problem:
        """A problem at the stop, or where `span` says; `also` is shown if on another line."""
        place = self.here() if span is None else span
        second: tuple[Place, ...] = ()
        if also and self.source.place(also[0].start)[0] != self.source.place(place.start)[0]:
            second = (Place(also[0], also[1], self.source),)
        return Problem(message, place, self.source, label, help, also=second)
