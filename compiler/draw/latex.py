"""Names, scalars and sentences as LaTeX, with its special characters escaped."""

from __future__ import annotations

import re

_NAME = re.compile(r"([A-Za-z]+)_?(\d*)('*)")
_INDEXED = re.compile(r"([A-Za-z]+)_([A-Za-z]+)('*)")
_TOKEN = re.compile(r"[A-Za-z]\w*'*|\s+|.")
_WORD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*'*")
_INDEX = re.compile(r"(\$\\Sigma\$)\\_(\w)")
_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"$<$", ">": r"$>$", "|": r"$|$", "*": r"$*$",
    "Π": r"$\Pi$", "Σ": r"$\Sigma$", "δ": r"$\delta$", "·": r"$\cdot$", "≥": r"$\ge$",
    "≤": r"$\le$", "≡": r"$\equiv$", "−": r"$-$", "≠": r"$\ne$", "∨": r"$\vee$", "²": r"$^2$",
    "³": r"$^3$", "⌊": r"$\lfloor$", "⌋": r"$\rfloor$", "→": r"$\to$", "′": r"$'$",
    "×": r"$\times$", "∏": r"$\prod$", "∑": r"$\sum$", "…": r"\dots{}", "∈": r"$\in$",
}  # fmt: skip
_MATH = {
    "·": r"\cdot ", "²": "^2", "³": "^3", "−": "-", "≥": r"\ge ", "≡": r"\equiv ", "∨": r"\vee ",
    "\\": r"\backslash ", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
    "_": r"\_", "~": r"\sim ", "≠": r"\ne ", "≤": r"\le ", "×": r"\times ", "→": r"\to ",
    "Π": r"\Pi ", "Σ": r"\textstyle\sum", "∑": r"\textstyle\sum", "δ": r"\delta ", "′": "'",
    "″": "''", "∈": r"\in ",
    "∏": r"\textstyle\prod", "⌊": r"\lfloor ", "⌋": r"\rfloor ", "…": r"\dots ", "^": "^",
}  # fmt: skip


def prose(text: str) -> str:
    """Write a sentence; characters that plain LaTeX does not know become question marks."""
    return _INDEX.sub(r"\1$_{\2}$", _escaped(text))


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(c, c if c.isascii() else "?") for c in text)


def name(text: str) -> str:
    """Write a name in math mode, without dollars: k1' as k_{1}', ci upright in one piece."""
    if match := _INDEXED.fullmatch(text):
        stem, index, primes = match.groups()
        return f"{name(stem)}_{{\\mathrm{{{index}}}}}{primes}"
    match = _NAME.fullmatch(text)
    if match is None:
        return rf"\mbox{{{prose(text)}}}"
    letters, digits, primes = match.groups()
    stem = letters if len(letters) == 1 else rf"\mathit{{{letters}}}"
    return stem + (f"_{{{digits}}}" if digits else "") + primes


def group(axis: tuple[str, ...]) -> str:
    """Write an axis in math mode."""
    return name(axis[0]) if len(axis) == 1 else "(" + r"\,".join(map(name, axis)) + ")"


def statement(text: str) -> str:
    """Write a sentence with formulas: words as words, all else in math mode."""
    out, math, depth, bars = "", "", 0, 0
    tokens = _TOKEN.findall(text)
    for number, token in enumerate(tokens):
        after, next_but_one = (*tokens[number + 1 : number + 3], "", "")[:2]
        depth += (token in "[(") - (token in "])")
        bars ^= token == "|"
        if not bars and (_is_word(token, after) or (not depth and token in ",;:.")):
            out, math = out + _dollars(math) + prose(token), ""
        elif token.isspace() and (not math or _is_word(after, next_but_one)):
            out, math = f"{out}{_dollars(math)} ", ""
        elif token.isspace():
            math += _space(math, after, depth)
        elif token[0].isalpha() and token.isascii():
            is_call = len(token) > 1 and token.isalpha() and after in ("[", "(")
            math += rf"\mathrm{{{token}}}" if is_call else name(token)
        else:
            math += "_" if token == "_" else _signs(token)
    return out + _dollars(math)


def _space(math: str, after: str, depth: int) -> str:
    """The space between two parts of a formula: between axes, or between two formulas."""
    if after == "(" and not depth:
        return r"\ "
    if not after.isalnum() or not after.isascii():
        return " "
    if depth:
        return r"\," if math[-1:].isalnum() or math.endswith("'") else " "
    return r"\quad " if math.endswith(("]", ")")) else " "


def _is_word(token: str, after: str) -> bool:
    """Whether a token belongs to the sentence and not to a formula: names of wires are single
    letters, have digits or stand in brackets."""
    if token == "a":
        return after.isspace()
    return len(token) > 1 and token.isalpha() and token.isascii() and after not in ("[", "(")


def _dollars(math: str) -> str:
    """Put a formula into dollars."""
    if not math.strip():
        return math
    end = " " if math != math.rstrip() and not math.rstrip().endswith("\\") else ""
    return f"${math.strip()}${end}"


def formula(text: str) -> str:
    """Write a scalar or a condition in math mode, with names and signs."""
    out, at = "", 0
    for word in _WORD.finditer(text):
        out += _signs(text[at : word.start()]) + name(word.group())
        at = word.end()
    return out + _signs(text[at:])


def _signs(text: str) -> str:
    """Write signs in math mode."""
    return "".join(_MATH.get(c, c if c.isascii() else "?") for c in text)
