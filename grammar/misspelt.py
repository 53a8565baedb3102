"""Mistakes in single characters, signs and words, found where the parser stopped.

Each function looks for one kind of mistake and returns the problem, or None if it is not that.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from diagrammar.grammar.errors import Problem, near
from diagrammar.grammar.stop import Stop
from diagrammar.grammar.tokens import STATEMENTS
from diagrammar.grammar.words import quote, span_of

_SIGNS: Final = {
    sign: plain
    for plain, signs in {
        "*": "×·⋅∗•", "-": "−–—", "/": "÷", "<=": "≤", ">=": "≥", "^2": "²", "^3": "³",
        "...": "…⋯",
        "'": "′’‘", '"': "“”", "=": "＝≡", ",": "，", "|": "∣", "(": "（", ")": "）",
    }.items()
    for sign in signs
}  # fmt: skip

_FOREIGN: Final = {
    "**": ("powers are written '^'", "write '^' for '**'"),
    "==": ("equality is written '='", "write '=' for '=='"),
    "!=": ("there is no sign for 'not equal'", "write a sum of two brackets, with '<' and '>'"),
    "<>": ("there is no sign for 'not equal'", "write a sum of two brackets, with '<' and '>'"),
    "=<": ("'at most' is written '<='", "write '<=' for '=<'"),
    "=>": ("'at least' is written '>='", "write '>=' for '=>'"),
    "->": (
        "'->' is not part of the language",
        "what stands left of '=' stays open: 'Y[b, o] = X[b, i] * W[o, i]'",
    ),
    "+=": ("a definition cannot be added to", "write the whole sum in one definition"),
    "-=": ("a definition cannot be subtracted from", "write the whole sum in one definition"),
    "++": ("'++' is not part of the language", "write one '+'"),
    ";": ("a statement ends with its line, not with ';'", "delete it"),
    "{": ("braces are not part of the language", "wires stand in '[…]', grouped axes in '(…)'"),
    "}": ("braces are not part of the language", "wires stand in '[…]', grouped axes in '(…)'"),
    "@": ("'@' is not part of the language", "write '*'; wires of the same name are contracted"),
    "%": ("remainders are written 'mod'", "in a pattern's brackets: '[i = k mod 3]'"),
    "|": ("'|' must hold one wire", "the size of a wire is '|b|', that of two is '|a|*|b|'"),
    "||": ("'||' is not part of the language", "the size of a wire is '|b|'"),
    "&": ("conditions are joined by ','", "write ',' for '&'"),
    "&&": ("conditions are joined by ','", "write ',' for '&&'"),
    "..": ("a pack has three dots", "write 'i...'"),
    "\\": ("a line needs no sign to go on", "indent the next line instead"),
}  # fmt: skip

_SYNONYMS: Final = {
    "import": "use", "include": "use", "load": "use", "from": "use",
    "input": "tensor", "operand": "tensor", "var": "tensor", "array": "tensor",
    "dim": "size", "dims": "size", "axis": "size", "wire": "size", "index": "size", "let": "size",
    "hyper": "param", "option": "param", "relation": "pattern", "conv": "pattern",
}  # fmt: skip

_KINDS: Final = (
    "there are size, param, rank, require, use, tensor, constant, pattern "
    "and definitions: 'Y[b] = …'"
)


def open_quote(stop: Stop) -> Problem | None:
    """`padding='same`: a quote that does not end on its line."""
    found = stop.found
    if found is None or found.type != "BAD" or found[0] not in "'\"":
        return None
    if found[0] == "'" and stop.kind_before() in ("CLOSE", "RIGHT"):
        return stop.problem("primes stand on wires only", help='write them behind a wire: "i\'"')
    return stop.problem("this quote does not end on its line", help=f"close it with {found[0]}")


def not_ascii(stop: Stop) -> Problem | None:
    """`α`, `×`, a no-break space: characters beyond ASCII."""
    found = stop.found
    if found is None or found.type != "BAD" or found.isascii():
        return None
    first = next(c for c in found if not c.isascii())
    code = f"U+{ord(first):04X}"
    if found[0] in _SIGNS:
        sign = _SIGNS[found[0]]
        return stop.problem(
            f"{quote(found[0])} is not part of the language", help=f"write {quote(sign)}"
        )
    if first in "∑Σ":
        return stop.problem(
            "sums need no sign", help="every wire that is not on the left is summed"
        )
    if any(c.isalpha() for c in found):
        plain = _ascii(found)
        help = f"write {quote(plain)}" if plain else ""
        return stop.problem("names are ASCII letters, digits and '_'", help=help)
    if unicodedata.category(first) == "Zs":
        message = f"this space is not a plain one ({code})"
        return stop.problem(message, help="write a plain space instead")
    if not first.isprintable():
        return stop.problem(f"an invisible character stands here ({code})", help="delete it")
    return stop.problem(f"{quote(first)} is not part of the language ({code})")


def _ascii(name: str) -> str:
    """A name in ASCII for one that is not: `alpha` for `α`, `grosse` for `größe`."""
    plain = ""
    for character in name:
        if character.isascii():
            plain += character
            continue
        words = unicodedata.name(character, "").lower().split()
        if len(words) > 3 and words[0] == "greek" and words[2] == "letter":
            letter = words[3].replace("lamda", "lambda")
            plain += letter if words[1] == "small" else letter.capitalize()
        elif character == "ß":
            plain += "ss"
        else:
            plain += unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return plain if plain.isidentifier() else ""


def foreign_sign(stop: Stop) -> Problem | None:
    """`**`, `==`, `;`, `{`: signs that other languages have."""
    found = stop.found
    if found is None or found.type != "BAD":
        return None
    text = str(found)
    if text == ".":
        if stop.kind_after() == "NUMBER":
            return stop.problem("a number begins with a digit", help="write '0.5' for '.5'")
        if stop.kind_before() == "NUMBER":
            return stop.problem("a number ends with a digit", help="write '5' or '5.0' for '5.'")
        return stop.problem("'.' stands between names only", help="for example 'layer.U' or 'i.0'")
    if text == ":":
        if stop.inside == "axes":
            way = "pick entries with a pattern: 'pattern V[i, o] = view(i = o + 1)'"
            if stop.keyword == "TENSOR" and stop.kind_before() == "NAME":
                wire = quote(stop.tokens[stop.at - 1])[1:-1]
                return stop.problem(
                    "the size of a wire does not stand in its axis",
                    help=f"give it by itself: 'size {wire} = 8'",
                )
            return stop.problem("there are no slices of an axis", help=way)
        return stop.problem("':' is not part of the language", help="write '='")
    way = "" if text.isprintable() else "delete it"
    message, help = _FOREIGN.get(text, (f"{quote(text)} is not part of the language", way))
    return stop.problem(message, help=help)


def bad_start(stop: Stop) -> Problem | None:
    """`[b] = X[b]`: a statement that does not begin with a word."""
    if stop.at != 0:
        return None
    if stop.kind in ("FLOOR", "OVER"):
        return stop.problem("a comment begins with '#'", help="write '#' for '//'")
    way = "indent a line that goes on from the one above, or name what you define: 'Y[b] = …'"
    return stop.problem(f"a statement cannot begin with {stop.name()}", help=way)


def unknown_statement(stop: Stop) -> Problem | None:
    """`tensr X[b]`: the first word is no keyword."""
    words = ("NAME", "NUMBER", "STRING", "SIZE_OF", "END", "DOTS")
    if stop.at != 1 or stop.keyword != "NAME" or stop.kind not in words:
        return None
    word = stop.tokens[0]
    if stop.kind == "END" and not near(word.lower(), STATEMENTS):
        message = f"{quote(word)} alone says nothing"
        return stop.problem(message, span=span_of(word), help=_KINDS)
    synonym = _SYNONYMS.get(word.lower())
    return stop.problem(
        f"unknown statement {quote(word)}",
        span=span_of(word),
        help=near(word.lower(), STATEMENTS)
        or (f"did you mean '{synonym}'?" if synonym else "")
        or ("a definition needs no keyword: 'Y[b] = …'" if word in ("def", "define") else _KINDS),
    )


def second_statement(stop: Stop) -> Problem | None:
    """`rank 2 tensor X[b]`: a statement on the line of another."""
    if stop.at < 2 or stop.found not in STATEMENTS or stop.kind_after() not in ("NAME", "STRING"):
        return None
    return stop.problem(f"{stop.name()} begins a statement", help="put it on a line of its own")


def keyword_as_name(stop: Stop) -> Problem | None:
    """`size[b] = X[b]`: a keyword in the place of a name."""
    if stop.at != 1 or stop.keyword == "NAME":
        return None
    word = stop.tokens[0]
    if stop.kind == "OPEN" and any(token.type == "EQUALS" for token in stop.tokens):
        message = f"{quote(word)} begins a statement and cannot be the name of a diagram"
        return stop.problem(message, span=span_of(word), help="choose another name")
    if stop.kind == "EQUALS" and stop.keyword == "RANK":
        return stop.problem("a rank has no '='", help="write 'rank 2'")
    return None
