"""Long, deep and hostile texts: a result or a clear error, soon."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from diagrammar.grammar.errors import DiagramError
from diagrammar.grammar.formatter import format_file
from diagrammar.grammar.parser import MAX_PROBLEMS, Parsed, decode, parse, read_source
from diagrammar.grammar.source import Source
from tests.work import counted

LINE = "A{n}[g, (ci k1), (ci' k1')] = 1/|b| * U[b, g, (ci k1), o] * U[b, g, (ci' k1'), o]\n"


MOST_CALLS = 1.5e7
"""Calls of functions, Python's own among them, that one test may make; the most is 7 million, for
a million letters. What grows with the square of its length makes thousands of millions."""


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """Each of these does little, writing its messages included."""
    with counted() as work:
        yield
    assert work.calls < MOST_CALLS


def read(text: str) -> Parsed:
    parsed = parse(Source(text, "hostile.tn"))
    assert all(str(problem) for problem in parsed.problems)
    return parsed


def only_message(text: str) -> str:
    (problem,) = read(text).problems
    return problem.message


def test_a_thousand_definitions() -> None:
    parsed = read("".join(LINE.format(n=n) for n in range(1000)))
    assert not parsed.problems
    assert len(parsed.file.statements) == 1000
    assert len(format_file(parsed.file).splitlines()) == 1000


def test_a_hundred_thousand_lines() -> None:
    assert "more than 100,000 words and signs" in only_message("tensor X[b, i]\n" * 100_000)


def test_a_hundred_thousand_lines_of_comments_are_read() -> None:
    parsed = read("# why\n\n" * 50_000 + "rank 2\n")
    assert not parsed.problems
    assert len(parsed.file.statements) == 50_001


def test_a_hundred_thousand_wrong_lines() -> None:
    problems = read("X\n" * 100_000).problems
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1].message.endswith("the rest of the file was not read")


def test_one_statement_over_a_hundred_thousand_lines() -> None:
    assert "words and signs" in only_message("Y[] = X[]\n" + "    + X[]\n" * 100_000)


@pytest.mark.parametrize("opening", ["(", "[", "X[", "-(", "X[(", "conv("])
def test_ten_thousand_nested_brackets(opening: str) -> None:
    closing = "".join({"(": ")", "[": "]"}.get(c, "") for c in reversed(opening))
    text = f"Y[b] = 2 * {opening * 10_000}n{closing * 10_000}"
    assert "nest more than 64 deep" in only_message(text)


def test_brackets_that_only_open_or_only_close() -> None:
    assert "nest" in only_message("tensor X" + "[" * 50_000)
    assert "nothing is open" in only_message("tensor X[b]" + "]" * 50_000)


def test_nesting_up_to_the_limit_is_read() -> None:
    assert not read("size n = " + "(" * 64 + "1" + ")" * 64).problems


@pytest.mark.parametrize("sign", ["+", "-", "*", "/", "//"])
def test_ten_thousand_operations_in_a_scalar(sign: str) -> None:
    message = only_message("size n = 1" + f" {sign} 1" * 10_000)
    assert message == "this scalar has more than 100 operations in a row"


def test_ten_thousand_signs() -> None:
    assert "100 operations" in only_message("size n = " + "-" * 10_000 + "1")


def test_ten_thousand_terms_and_factors_are_read() -> None:
    assert not read("Y[] = " + " + ".join(["X[]"] * 10_000)).problems
    assert not read("Y[] = " + " * ".join(["X[]"] * 10_000)).problems


def test_ten_thousand_terms_and_entries_with_mistakes() -> None:
    assert read("Y[] = " + " + ".join(["X[]"] * 10_000) + " + X[").problems
    assert len(read("Y[] = " + " + ".join(["2 X[]"] * 10_000)).problems) == MAX_PROBLEMS + 1
    assert len(read("size " + ", ".join(["k 1"] * 10_000)).problems) == MAX_PROBLEMS + 1
    assert read(f"Y[{', '.join(['b'] * 10_000)}] = " + " + ".join(["2 X[]"] * 10_000)).problems


@pytest.mark.parametrize("number", ["9" * 100_000, "0." + "9" * 100_000, "1e" + "9" * 100_000])
def test_huge_numbers(number: str) -> None:
    assert "this" in only_message(f"size n = {number}")


def test_a_name_of_a_million_letters() -> None:
    assert not read(f"tensor {'X' * 10**6}[b]").problems
    (problem,) = read(f"{'X' * 10**6} Y").problems
    assert len(str(problem)) < 1000


@pytest.mark.parametrize("character", "'\"#| \t\r\n\f.")
def test_a_million_times_the_same_character(character: str) -> None:
    read("tensor X[b" + character * 10**6)


def test_ten_thousand_characters_that_are_no_text() -> None:
    for character in "é²☃\u200b\x00\ud800":
        assert read(f"Y[{character * 10_000}] = X[b]").problems


class TestFiles:
    def test_utf8_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "good.tn"
        path.write_bytes("rank 2  # für Bilder\r\n".encode())
        assert read_source(path) == Source("rank 2  # für Bilder\r\n", str(path))

    def test_other_bytes_are_a_problem_with_a_place(self, tmp_path: Path) -> None:
        path = tmp_path / "latin.tn"
        path.write_bytes(b"rank 2\n# f\xfcr Bilder\n")
        with pytest.raises(DiagramError) as raised:
            read_source(str(path))
        (problem,) = raised.value.errors
        assert problem.message == "this file is not UTF-8 text"
        assert (problem.line, problem.column) == (2, 4)

    def test_utf16_is_recognised(self) -> None:
        with pytest.raises(DiagramError, match="looks like UTF-16"):
            decode("rank 2".encode("utf-16"), "wide.tn")

    def test_a_missing_file_is_the_systems_error(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            read_source(tmp_path / "none.tn")


class TestBrokenNames:
    """Names that broken statements were to declare are told, so that nobody calls them unknown."""

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ("tensor X[b i]", {"X"}),
            ("tensr X[b, i]", {"X"}),
            ("pattern P[i, o] =", {"P"}),
            ("Y[b] = X[b] +", {"Y"}),
            ("dW = vjp(Y)", {"dW"}),
            ("size k = 3, g == 2", {"k", "g"}),
            ("use conv2d.tn as layer", {"layer"}),
        ],
    )
    def test_broken_names(self, text: str, names: set[str]) -> None:
        assert read(text).broken == names


def test_lark_is_imported_only_when_something_is_parsed() -> None:
    code = (
        "import sys, diagrammar.grammar, diagrammar.grammar.parser, diagrammar.grammar.formatter\n"
        "assert not {'lark', 'pygments'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
