"""The canonical form by example."""

from decimal import Decimal

import pytest

from diagrammar.grammar import syntax
from diagrammar.grammar.formatter import (
    format_axes,
    format_file,
    format_scalar,
    format_statement,
    format_value,
)
from diagrammar.grammar.parser import parse
from diagrammar.grammar.source import Source


def formatted(text: str) -> str:
    parsed = parse(Source(text))
    assert not parsed.problems
    return format_file(parsed.file)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("size  k=3 ,g,o:=2 * k", "size k = 3, g, o := 2*k"),
        ('param s...=1,p="same",q=( 1,2 )', "param s... = 1, p = 'same', q = (1, 2)"),
        ("use 'a.tn' as a", 'use "a.tn" as a'),
        ("tensor X [ b,( g  ci ) , i ... ]", "tensor X[b, (g ci), i...]"),
        (
            "pattern P [i,o,k] ... =conv( stride = s... )",
            "pattern P[i, o, k]... = conv(stride=s...)",
        ),
        ("pattern V[i,o] = view( i=2*o )", "pattern V[i, o] = view(i = 2*o)"),
        (
            "pattern P[i,o]=[0<=i<5,i=o+1 mod |i|]+[i=-o]",
            "pattern P[i, o] = [0 <= i < 5, i = o + 1 mod |i|] + [i = -o]",
        ),
        ("Y[b]=-1 / |b|*X[b] ^ 2-Z[b]", "Y[b] = -1/|b| * X[b]^2 - Z[b]"),
        ("dW=vjp( Y,W,cotangent = V )", "dW = vjp(Y, W, cotangent=V)"),
        ("S=sample(Y,ci',keep=q)", "S = sample(Y, ci', keep=q)"),
    ],
)
def test_statements(text: str, canonical: str) -> None:
    assert formatted(text) == canonical + "\n"
    assert formatted(canonical) == canonical + "\n"


@pytest.mark.parametrize(
    "text",
    [
        "(|i1| - 1)//2 + 1",
        "a - (b - c)",
        "a/(b*c)",
        "(a + b)^2",
        "(-a)^2",
        "-a^2",
        "-(a + b)",
        "a + (-b)",
        "(2^2)^3",
        "0.5*|i...|",
        "s.0*k'",
    ],
)
def test_scalars_keep_the_parentheses_that_they_need(text: str) -> None:
    assert formatted(f"size n = ({text})") == f"size n = {text}\n"


def test_parts_are_written_for_others_too() -> None:
    group = syntax.Group((syntax.Index("g"), syntax.Index("ci")))
    assert format_axes((syntax.Index("i", pack=True), group)) == "[i..., (g ci)]"
    assert format_scalar(syntax.Number(-3)) == "-3"
    product = syntax.Binary("*", syntax.Name("s"), syntax.Number(-3))
    assert format_scalar(product) == "s*(-3)"
    assert format_value(syntax.Text("it's")) == '"it\'s"'
    assert format_value(syntax.Number(Decimal("1e-9"))) == "1e-9"
    rank = syntax.Rank(rank=2, doc=("for images",), trailing="why")
    assert format_statement(rank) == "# for images\nrank 2  # why"


def test_comments_and_single_blank_lines_stay() -> None:
    text = """\
# the file

# the operand,
#
# batched
tensor X[b, i]  # one


tensor W[o, i]
Y[b, o] = X[b, i] # two
  # three
  * W[o, i]
# the end
"""
    assert (
        formatted(text)
        == """\
# the file

# the operand,
#
# batched
tensor X[b, i]  # one

tensor W[o, i]
Y[b, o] = X[b, i] * W[o, i]  # two three
# the end
"""
    )


def test_comments_beside_neighbouring_lines_are_aligned() -> None:
    text = """\
size k = 3 # sizes
param s = 1, p = 1 # parameters

rank 2 # rank
"""
    assert (
        formatted(text)
        == """\
size k = 3          # sizes
param s = 1, p = 1  # parameters

rank 2  # rank
"""
    )


def test_long_definitions_are_broken_after_the_equals_sign_first() -> None:
    text = (
        "A[g, (ci k1 k2), (ci' k1' k2')] = "
        "1/|b| * U[b, g, (ci k1 k2), (o1 o2)] * U[b, g, (ci' k1' k2'), (o1 o2)]"
    )
    assert (
        formatted(text)
        == """\
A[g, (ci k1 k2), (ci' k1' k2')] =
    1/|b| * U[b, g, (ci k1 k2), (o1 o2)] * U[b, g, (ci' k1' k2'), (o1 o2)]
"""
    )


def test_long_sums_are_broken_before_their_signs() -> None:
    term = "X[a_long_name, another_long_name]"
    assert (
        formatted(f"Y[] = {term} - {term} + {term}")
        == f"""\
Y[] = {term}
    - {term}
    + {term}
"""
    )


def test_terms_longer_than_a_line_are_broken_between_factors() -> None:
    factor = "X[a_long_name, another_long_name]"
    assert (
        formatted(f"Y[] = {factor} * {factor} * {factor} - {factor}")
        == f"""\
Y[] = {factor} * {factor}
        * {factor}
    - {factor}
"""
    )


def test_long_lists_are_filled() -> None:
    names = ", ".join(f"name_{n} = {n}" for n in range(10))
    lines = formatted(f"size {names}").splitlines()
    assert len(lines) == 2
    assert lines[0].endswith(",")
    assert lines[1].startswith("    name_")
    assert all(len(line) <= 100 for line in lines)
