"""Names, scalars and sentences as LaTeX: everything that is special there is escaped."""

from __future__ import annotations

import re

_NAME = re.compile(r"([A-Za-z]+)_?(\d*)('*)")
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
    "_": r"\_", "~": r"\sim ",
}  # fmt: skip


def prose(text: str) -> str:
    """A sentence; characters that plain LaTeX does not know become question marks."""
    return _INDEX.sub(r"\1$_{\2}$", _escaped(text))


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(c, c if c.isascii() else "?") for c in text)


def name(text: str) -> str:
    """A name in math mode, without dollars: k1' is k_{1}', ci upright in one piece."""
    found = _NAME.fullmatch(text)
    if found is None:
        return rf"\mbox{{{prose(text)}}}"
    letters, digits, primes = found.groups()
    stem = letters if len(letters) == 1 else rf"\mathit{{{letters}}}"
    return stem + (f"_{{{digits}}}" if digits else "") + primes


def group(axis: tuple[str, ...]) -> str:
    """An axis in math mode."""
    return name(axis[0]) if len(axis) == 1 else "(" + r"\,".join(map(name, axis)) + ")"


def formula(text: str) -> str:
    """A scalar or a condition in math mode: names set as names, signs as signs."""
    out, at = "", 0
    for found in _WORD.finditer(text):
        out += _signs(text[at : found.start()]) + name(found.group())
        at = found.end()
    return out + _signs(text[at:])


def _signs(text: str) -> str:
    return "".join(_MATH.get(c, c if c.isascii() else "?") for c in text)
