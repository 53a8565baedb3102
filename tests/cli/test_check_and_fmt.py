"""`diagrammar check` and `diagrammar fmt`."""

from __future__ import annotations

import io
import re
import stat
import sys
from pathlib import Path

import pytest

from tests.cli.command_lines import BAD, GOOD, Result, Run

# -- check ----------------------------------------------------------------------------------------


def test_check_shows_a_line_per_definition(run: Run) -> None:
    assert run("check good.tn") == Result(
        0, "good.tn: 1 definition\n  Y[b, o]  of X, W  sums i  i = 3\n", ""
    )


def test_check_shows_every_error_with_its_place(run: Run) -> None:
    result = run("check good.tn bad.tn")
    assert result.status == 1
    assert result.out.startswith("good.tn: 1 definition\n")
    assert result.err.endswith("\n\n3 errors\n")
    assert (
        """\
error: unknown tensor 'Weigth'
 --> bad.tn:3:21
  |
3 | Y[b, o] = X[b, i] * Weigth[o, i]
  |                     ^^^^^^ not declared
  = help: did you mean 'Weight'?
"""
        in result.err
    )
    assert [int(n) for n in re.findall(r"bad.tn:(\d+)", result.err)] == [3, 4, 5]


def test_check_goes_on_after_a_file_that_is_missing(run: Run) -> None:
    result = run("check nothing.tn good.tn")
    assert result.status == 2
    assert "good.tn: 1 definition" in result.out


def test_check_reads_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD.encode())))
    assert run("check -").out.startswith("<stdin>: 1 definition\n")


def test_check_in_colour_on_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = run("check bad.tn").err
    assert "\x1b[1;31merror:\x1b[0m" in coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    monkeypatch.undo()
    assert "error: unknown tensor 'Weigth'\n --> bad.tn:3:21\n" in plain


# -- fmt ------------------------------------------------------------------------------------------

UNTIDY = "tensor   X[ b,i ]\nY[b]=X[b,i]\n"
TIDY = "tensor X[b, i]\nY[b] = X[b, i]\n"


def test_fmt_replaces_a_file_and_keeps_its_mode(run: Run) -> None:
    path = Path("untidy.tn")
    path.write_text(UNTIDY)
    path.chmod(0o640)
    assert run("fmt untidy.tn good.tn") == Result(0, "", "formatted untidy.tn\n")
    assert path.read_text() == TIDY
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(p.name for p in Path().iterdir()) == [
        *("bad.tn", "conv2d.tn", "good.tn", "untidy.tn")
    ]
    assert run("fmt untidy.tn") == Result(0, "", "")


def test_fmt_follows_a_link(run: Run) -> None:
    Path("untidy.tn").write_text(UNTIDY)
    Path("link.tn").symlink_to("untidy.tn")
    assert run("fmt link.tn").status == 0
    assert Path("link.tn").is_symlink()
    assert Path("untidy.tn").read_text() == TIDY


def test_fmt_check_lists_what_would_change(run: Run) -> None:
    Path("untidy.tn").write_text(UNTIDY)
    assert run("fmt --check untidy.tn good.tn") == Result(1, "untidy.tn\n", "")
    assert Path("untidy.tn").read_text() == UNTIDY


def test_fmt_leaves_a_file_with_errors_alone(run: Run) -> None:
    assert run("fmt bad.tn").status == 1
    assert Path("bad.tn").read_text() == BAD


def test_fmt_writes_standard_input_to_standard_output(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(UNTIDY.encode())))
    assert run("fmt -") == Result(0, TIDY, "")


def test_fmt_makes_line_ends_plain(run: Run) -> None:
    Path("windows.tn").write_bytes(TIDY.replace("\n", "\r\n").encode())
    assert run("fmt windows.tn").status == 0
    assert Path("windows.tn").read_bytes() == TIDY.encode()
