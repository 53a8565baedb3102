"""Text to syntax tree: `parse` never raises for a bad text, it reports all the mistakes it finds.

Each logical statement is cut out (`layout.py`), tokenised (`tokens.py`) and parsed alone
(`diagram.lark`, `tree.py`), so a mistake ends its own statement only. Where the parser stops,
`mistakes.py` finds the words for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from diagrammar.grammar import syntax
from diagrammar.grammar.errors import DiagramError, Problem
from diagrammar.grammar.layout import Chunk, cut
from diagrammar.grammar.source import Source, Span

if TYPE_CHECKING:
    from lark import Lark, Token

MAX_TOKENS: Final = 100_000
MAX_PROBLEMS: Final = 100
MAX_NESTING: Final = 64


@dataclass(frozen=True, slots=True)
class Parsed:
    """The statements that could be read, and what is wrong with the others.

    `broken` are the names that statements with mistakes would have declared, so that nobody calls
    them unknown as well.
    """

    file: syntax.File
    problems: tuple[Problem, ...] = ()
    broken: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Reading:
    """What has been read of a source so far."""

    source: Source
    statements: list[syntax.AnyStatement] = field(default_factory=list)
    gaps: set[int] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    tokens: int = 0

    def done(self) -> Parsed:
        """What there is in the end."""
        file = syntax.File(tuple(self.statements), frozenset(self.gaps))
        return Parsed(file, tuple(self.problems), frozenset(self.broken))


MAX_BYTES = 2**24
"""The most bytes of a file: what is larger is no file of diagrams, or has no end."""


def read_source(path: str | Path) -> Source:
    """The text of a file, which is UTF-8 and not larger than `MAX_BYTES`. Raises DiagramError if
    not; OSError as `open` does."""
    with open(path, "rb") as stream:
        return decode(stream.read(MAX_BYTES + 1), str(path))


def decode(data: bytes, name: str) -> Source:
    """The text that bytes hold. Raises DiagramError if they are too many, or not UTF-8."""
    if len(data) > MAX_BYTES:
        message = f"'{name}' is larger than {MAX_BYTES // 2**20} MiB"
        raise DiagramError([Problem(message, help="divide it: files can use each other")])
    try:
        return Source(data.decode("utf-8"), name)
    except UnicodeDecodeError as error:
        shown = Source(data.decode("utf-8", errors="replace"), name)
        at = len(data[: error.start].decode("utf-8", errors="replace"))
        way = "save it with the encoding UTF-8"
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            way += "; it looks like UTF-16 now"
        problem = Problem("this file is not UTF-8 text", Span(at, at + 1), shown, help=way)
        raise DiagramError([problem]) from None


def parse(source: Source) -> Parsed:
    """The syntax tree of a source and every mistake that can be found in it."""
    reading = _Reading(source)
    for chunk in cut(source.text):
        if chunk.gap and reading.statements:
            reading.gaps.add(len(reading.statements))
        if not chunk.code:
            span = Span(chunk.start, chunk.stop)
            reading.statements.append(syntax.Comment(doc=chunk.doc, span=span))
            continue
        limit = _read(reading, chunk)
        if limit:
            reading.problems.append(replace(limit, source=source))
            break
    return reading.done()


def _read(reading: _Reading, chunk: Chunk) -> Problem | None:
    """Take up one statement; a problem is returned only if nothing after it should be read."""
    from diagrammar.grammar.tokens import tokenise

    tokens = tokenise(reading.source.text, chunk.start, chunk.stop, MAX_TOKENS - reading.tokens)
    here = Span(chunk.start, chunk.start + 1)
    reading.tokens += len(tokens)
    if reading.tokens > MAX_TOKENS:
        message = f"this file has more than {MAX_TOKENS:,} words and signs"
        return Problem(message, here, help="spread its definitions over several files with 'use'")
    parsed = _statement(tokens, reading.source)
    if isinstance(parsed, list):
        reading.problems.extend(parsed)
        reading.broken.update(_declares(tokens))
        reading.gaps.discard(len(reading.statements))
        if len(reading.problems) >= MAX_PROBLEMS:
            message = f"more than {MAX_PROBLEMS} mistakes; the rest of the file was not read"
            return Problem(message, here)
        return None
    if chunk.doc or chunk.comments:
        parsed = replace(parsed, doc=chunk.doc, trailing=chunk.trailing)
    reading.statements.append(parsed)
    return None


def _statement(tokens: list[Token], source: Source) -> syntax.AnyStatement | list[Problem]:
    """One statement, or what is wrong with it."""
    problem = _nesting(tokens, source)
    if problem:
        return [problem]
    parsed = _attempt(tokens, source)
    if not isinstance(parsed, Problem):
        return parsed
    pieces = (_attempt(piece, source) for piece in _pieces(tokens)[:MAX_PROBLEMS])
    return [piece for piece in pieces if isinstance(piece, Problem)] or [parsed]


def _attempt(tokens: list[Token], source: Source) -> syntax.AnyStatement | Problem:
    """What the parser says of some tokens."""
    from lark import UnexpectedToken

    from diagrammar.grammar.mistakes import explain
    from diagrammar.grammar.words import Mistake

    try:
        # lark hands any object to a lexer of one's own; its types know only of texts
        statement: object = _lark().parse(cast(Any, tokens))
        return cast(syntax.AnyStatement, statement)
    except UnexpectedToken as stop:
        return explain(tokens, cast("Token", stop.token), stop.accepts, source)
    except Mistake as mistake:
        return Problem(mistake.message, mistake.span, source, mistake.label, mistake.help)


@cache
def _lark() -> Lark:
    """The parser, built from `diagram.lark` once."""
    from lark import Lark
    from lark.lexer import Lexer

    from diagrammar.grammar.tree import TreeBuilder

    class Given(Lexer):
        """Hands on the tokens that `tokenise` has made."""

        def __init__(self, conf: object) -> None:
            pass

        # what is given is the list of tokens, not lark's text
        def lex(self, given: Any) -> Iterator[Token]:  # type: ignore[override]
            return iter(given)

    grammar = resources.files("diagrammar.grammar").joinpath("diagram.lark").read_text("utf-8")
    return Lark(
        grammar,
        start="statement",
        parser="lalr",
        lexer=Given,
        transformer=TreeBuilder(),
        maybe_placeholders=False,
    )


def _nesting(tokens: list[Token], source: Source) -> Problem | None:
    """Parentheses and brackets that stand too deep in each other."""
    if len(tokens) <= MAX_NESTING:
        return None
    depth = 0
    for token in tokens:
        if token.type in ("LEFT", "OPEN"):
            depth += 1
            if depth > MAX_NESTING:
                message = f"parentheses nest more than {MAX_NESTING} deep here"
                way = "give an inner part a name with 'size' or 'param'"
                return Problem(message, _span(token), source, help=way)
        elif token.type in ("RIGHT", "CLOSE"):
            depth -= 1
    return None


def _pieces(tokens: list[Token]) -> list[list[Token]]:
    """A statement with a mistake as smaller ones, so that each entry or term is heard alone."""
    kind = tokens[0].type
    if kind in ("SIZE", "PARAM"):
        entries = _split(tokens[1:], ("_COMMA",))
        return [[tokens[0], *entry] for entry in entries if entry]
    at = next((at for at, token in enumerate(tokens) if token.type == "EQUALS"), 0)
    if kind != "NAME" or at < 2:
        return []
    first, *others = _split(tokens[at + 1 :], ("PLUS", "MINUS"))
    left = [*tokens[:1], *_no_wires(tokens[at]), tokens[at]]
    return [[*tokens[: at + 1], *first], *([*left, *term] for term in others if term)]


def _no_wires(at: Token) -> list[Token]:
    """The brackets of a left-hand side without wires, which is good for any term."""
    from lark import Token

    return [
        Token(kind, sign, at.start_pos, end_pos=at.start_pos)
        for kind, sign in (("OPEN", "["), ("CLOSE", "]"))
    ]


def _split(tokens: list[Token], signs: tuple[str, ...]) -> list[list[Token]]:
    """The runs of tokens between commas, or between terms, that stand in no brackets."""
    from diagrammar.grammar.tokens import OPERANDS

    runs: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.type in ("LEFT", "OPEN")) - (token.type in ("RIGHT", "CLOSE"))
        after_value = "PLUS" not in signs or (runs[-1] and runs[-1][-1].type in OPERANDS)
        if depth <= 0 and token.type in signs and after_value:
            runs.append([])
        else:
            runs[-1].append(token)
    return runs


def _declares(tokens: list[Token]) -> Iterator[str]:
    """The names that a statement with a mistake was to declare, if one can tell."""
    kind = tokens[0].type
    if kind in ("SIZE", "PARAM"):
        for entry in _split(tokens[1:], ("_COMMA",)):
            if entry and entry[0].type == "NAME":
                yield str(entry[0])
    elif kind == "USE" and tokens[-1].type == "NAME":
        yield str(tokens[-1])
    elif kind == "USE" and tokens[-1].type == "STRING":  # without 'as': perhaps by the file's name
        yield tokens[-1][1:-1].rpartition("/")[2].removesuffix(".tn")
    else:
        # also after a misspelt keyword: 'tensr X[…]'
        names = [token for token in tokens[:2] if token.type == "NAME"]
        yield from (str(name) for name in names[-1:])


def _span(token: Token) -> Span:
    return Span(cast(int, token.start_pos), cast(int, token.end_pos))
