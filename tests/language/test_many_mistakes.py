"""A file says all its mistakes in one run: each kind by itself, and all together, also where later
lines build on broken ones; and no line that is only a consequence."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from diagrammar.cli.check import check
from diagrammar.grammar.source import Source
from diagrammar.language.spec import read

SOUND = """\
size k = 3
param s = 1
tensor X[b, i]
tensor W[o, k]
pattern P[i, o, k] = conv(stride=s, padding=1)
Y[b, o] = X[b, i] * P[i, o, k] * W[o, k]
"""
"""What every file here begins with."""


@dataclass(frozen=True)
class Kind:
    """A mistake: the line that has it, what it defines with its axes, what is said."""

    line: str
    message: str
    defines: str = ""


KINDS: Mapping[str, Kind] = {
    "unknown tensor": Kind("A1[b, o] = X[b, i] * V1[o, i]", "unknown tensor 'V1'", "A1[b, o]"),
    "unknown parameter": Kind("A2[b] = r2 * X[b, i]", "unknown parameter 'r2'", "A2[b]"),
    "too few axes": Kind("A3[b] = X[b]", "tensor 'X' has 2 axes, not 1", "A3[b]"),
    "another grouping": Kind("A4[b] = Y[(b o), o]", "axis 0 of 'Y' groups 1 wires, not 2", "A4[b]"),
    "no size": Kind("A5[b, m5] = X[b, i]", "nothing gives wire 'm5' a size", "A5[b, m5]"),
    "syntax": Kind(
        "A6[b] = X[b, i] * * W[o, k]", "a factor is missing between '*' and '*'", "A6[b]"
    ),
    "unknown diagram": Kind("A7 = vjp(Q7, X)", "unknown diagram 'Q7'", "A7[b, i]"),
    "unknown operand": Kind("A8 = vjp(Y, V8)", "unknown operand 'V8'", "A8[b, i]"),
    "direction taken": Kind(
        "A9 = vjp(Y, X, cotangent=W)", "the cotangent 'W' is already an operand", "A9[b, i]"
    ),
    "division by zero": Kind("A10[b] = X[b, i] / (s - s)", "division by zero", "A10[b]"),
    "by itself": Kind("A11[b] = A11[b] * X[b, i]", "'A11' is defined by itself", "A11[b]"),
    "probability": Kind(
        "A12 = sample(Y, o, keep=2)", "a probability to keep an entry is above 0", "A12[b, o]"
    ),
    "no such wire": Kind("A13 = sample(Y, z13, keep=1/2)", "'Y' has no wire 'z13'", "A13[b, o]"),
    "delta of three": Kind(
        "A14[b] = delta[b, i, o] * X[b, i]", "delta takes 2 wires, not 3", "A14[b]"
    ),
    "stride": Kind(
        "pattern A15[i, o, k] = conv(stride=0)", "a stride is at least 1", "A15[i, o, k]"
    ),
    "fraction": Kind(
        "pattern A16[i, o, k] = conv(padding=1/2)",
        "the padding of pattern 'A16' must be an integer",
        "A16[i, o, k]",
    ),
    "not linear": Kind(
        "pattern A17[i, o] = [i*o = 2]", "a pattern must be linear in its wires", "A17[i, o]"
    ),
    "modulus": Kind("pattern A18[i, o] = [i = o mod 0]", "a modulus must be positive", "A18[i, o]"),
    "unknown option": Kind(
        "pattern A19[i, o, k] = conv(steps=2)", "conv has no option 'steps'", "A19[i, o, k]"
    ),
    "conv of two": Kind("pattern A20[i, o] = conv()", "conv takes 3 wires, not 2", "A20[i, o]"),
    "twice": Kind("param A21 = 1, A21 = 2", "'A21' is declared twice"),
    "no file": Kind('use "none22.tn" as A22', "no file 'none22.tn'", "A22.Y[b, o]"),
    "axes of a diagram": Kind("A23[b] = Y[b]", "diagram 'Y' has 2 axes, not 1", "A23[b]"),
    "a word of Python": Kind("lambda[b] = X[b, i]", "'lambda' is a word of Python"),
    "default": Kind(
        "size m25 = 5/2\nA25[b] = X[b, i] * ones[m25]", "'m25' must be an integer", "A25[b]"
    ),
    "tensor without wires": Kind("A26[b] = X", "the wires of 'X' are missing", "A26[b]"),
}

BUILT_ON = {
    "[b, o]": ("F{n}[b, n{n}] = {use} * X[b, i] * W[o, k]", "nothing gives wire 'n{n}' a size"),
    "[b]": ("F{n}[b] = {use} * U{n}[b] * W[o, k]", "unknown tensor 'U{n}'"),
}
"""Lines on a broken definition, with a mistake of their own."""


def said(text: str) -> list[str]:
    """The messages of the errors of a file, as `check` finds them."""
    return [p.message for p in read(Source(text))[1] if p.severity == "error"]


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_one_error(name: str) -> None:
    kind = KINDS[name]
    (message,) = said(f"{SOUND}{kind.line}\n")
    assert kind.message in message


@pytest.mark.parametrize("name", [name for name in KINDS if KINDS[name].defines])
def test_what_builds_on_a_broken_line_has_its_own_mistakes_only(name: str) -> None:
    """A use, a use of that use, and mistakes of their own in both and in a derivative."""
    kind = KINDS[name]
    text = f"{SOUND}{kind.line}\n"
    text += f"F[b] = {kind.defines} * X[b, i] * W[o, k]\nH[b] = F[b] * F[b]\n"
    (message,) = said(text)
    assert kind.message in message
    text += f"G[b, n1] = F[b] * unheard * {kind.defines}\nD = vjp(G, Zz)\nE = jvp(H, Z2)\n"
    text += "L[b, c] = H[b, c]\nM[n2] = L[b, c] * D[b]\n"
    found = said(text)
    assert sorted(found) == sorted(
        [
            message,
            "nothing gives wire 'n1' a size",
            "unknown parameter 'unheard'",
            "unknown operand 'Zz'",
            "unknown operand 'Z2'",
            "diagram 'H' has 1 axes, not 2",
            "nothing gives wire 'n2' a size",
        ]
    )


@pytest.mark.parametrize("seed", range(12))
def test_all_kinds_are_said_in_one_run_in_any_order(seed: int) -> None:
    """All lines together, each once, and lines on them, in a random order."""
    chance = random.Random(seed)
    lines, expected = [], []
    for number, kind in enumerate(KINDS.values()):
        lines.append(kind.line)
        expected.append(kind.message)
        if kind.defines and not kind.defines.startswith("A22"):
            line, message = BUILT_ON[chance.choice(list(BUILT_ON))]
            lines.append(line.format(n=f"x{number}", use=kind.defines))
            expected.append(message.format(n=f"x{number}"))
    chance.shuffle(lines)
    found = said(SOUND + "\n".join(lines) + "\n")
    for message in expected:
        assert sum(message in line for line in found) == expected.count(message), message
    assert len(found) == len(expected)


def test_axes_of_a_broken_definition_are_known() -> None:
    text = SOUND + "A[b, o] = X[b, i] * V[o]\nB[b] = A[b, o, k]\nC = jvp(A, X)\nD[b] = C[b]\n"
    assert said(text) == [
        "unknown tensor 'V'",
        "diagram 'A' has 2 axes, not 3",
        "diagram 'C' has 2 axes, not 1",
    ]


def test_several_options_of_one_pattern_are_all_said() -> None:
    options = "stride=0, dilation=-1, padding=(1/2, -1), boundary=around, pad=3"
    found = said(SOUND + f"pattern Q[i, o, k] = conv({options})\n")
    assert len(found) == 6


def test_sizes_that_cannot_be_are_said_beside_other_mistakes(tmp_path: Path) -> None:
    """What only the values of sizes show is said of sound definitions, whatever others have."""
    path = tmp_path / "wrong.tn"
    path.write_text(SOUND.replace("padding=1", "padding=|k|/2") + "A[b] = X[b, i] * V[i]\n")
    problems, lines = check(str(path))
    assert not lines
    assert [p.message for p in problems] == [
        "unknown tensor 'V'",
        "the padding of pattern 'P' must be an integer, and |k|/2 is 3/2",
    ]


def test_a_line_that_cannot_be_read_silences_no_other() -> None:
    text = "tensor X[b, i\ntensor W[o]\nA[b] = X[b, i] * V[b] * W[o, o]\nB = vjp(A, Zz)\n"
    assert said(text) == [
        "'[' is never closed",
        "unknown tensor 'V'",
        "tensor 'W' has 1 axes, not 2",
        "unknown operand 'Zz'",
    ]
