"""The command line: what each command prints, where, and its exit status."""

from __future__ import annotations

import errno
import io
import os
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import diagrammar as dg
from diagrammar.__main__ import main
from diagrammar.cli import inputs
from diagrammar.cli.app import app
from diagrammar.draw import render
from tests.hanging import HANG

GOOD = """\
# matrix times vector
size i = 3
tensor X[b, i]
tensor W[o, i]
Y[b, o] = X[b, i] * W[o, i]
"""

BAD = """\
tensor X[b, i]
tensor Weight[o, i]
Y[b, o] = X[b, i] * Weigth[o, i]
Z[b] = X[b, i] * q
V = vjp(Y, X
"""


@dataclass
class Result:
    """What a command did."""

    status: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in a folder that holds good.tn, bad.tn and the shipped conv2d.tn."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "good.tn").write_text(GOOD)
    (tmp_path / "bad.tn").write_text(BAD)
    (tmp_path / "conv2d.tn").write_text(dg.shipped("conv2d").source.text)

    def run(line: str) -> Result:
        status = main(shlex.split(line))
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return run


# -- the whole ------------------------------------------------------------------------------------


def test_version(run: Run) -> None:
    assert run("--version") == Result(0, f"diagrammar {dg.__version__}\n", "")


def test_without_a_command_it_shows_help(run: Run) -> None:
    result = run("")
    assert result.status == 2
    assert "Usage: diagrammar" in result.out


COMMANDS = [command.callback.__name__ for command in app.registered_commands if command.callback]


def examples(command: str) -> list[str]:
    """The lines of a command's help that begin with `diagrammar`, or follow a pipe."""
    (found,) = [c for c in app.registered_commands if c.callback and c.callback.__name__ == command]
    return re.findall(r"^(.*\bdiagrammar .*)$", found.epilog or "", re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_examples(run: Run, command: str) -> None:
    lines = [line.strip() for line in run(f"{command} --help").out.rstrip().splitlines()]
    shown = [line for line in lines[lines.index("Examples") + 1 :] if line]
    assert shown == examples(command)
    assert 2 <= len(shown) <= 3


@pytest.mark.parametrize("line", [line for command in COMMANDS for line in examples(command)])
def test_examples_run(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str) -> None:
    monkeypatch.setenv("DIAGRAMMAR_CACHE", str(tmp_path))  # one of them calibrates
    stdin = io.TextIOWrapper(io.BytesIO(GOOD.encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    command = line.partition("diagrammar ")[2]
    command = re.sub(r" [<>] \S+$", "", command).replace("*.tn", "good.tn")
    if command.startswith("verify"):  # what it finds in shipped files is tested elsewhere
        command = re.sub(r" --cases \d+", "", command).replace("conv2d.tn", "good.tn")
        command = f"{command} --cases 2"
    result = run(command)
    assert result.status == 0, result.err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "chekc good.tn",
            "error: no such command 'chekc'\n  = help: did you mean 'check'?\n\n",
        ),
        ("check", "error: missing argument 'FILE'\n  = help: see diagrammar check --help\n\n"),
        (
            "show good.tn Y --stepz",
            "error: no option '--stepz'\n  = help: did you mean '--steps'?\n\n",
        ),
        (
            "show good.tn Y --format png",
            "error: invalid value for '--format': 'png' is not one of "
            "'text', 'svg', 'html', 'tikz', 'dot'\n  = help: see diagrammar show --help\n\n",
        ),
        ("check god.tn", "error: no file 'god.tn'\n  = help: did you mean 'good.tn'?\n\n"),
        ("check conv2", "error: no file 'conv2'\n  = help: did you mean 'conv2d'?\n\n"),
        ("fmt conv2d", "error: 'conv2d' is a shipped file, which is not yours to format\n\n"),
        ("check .", "error: '.' is a directory\n  = help: name the files in it: bad.tn\n\n"),
        (
            "show good.tn y",
            "error: 'good.tn' has no definition 'y'\n  = help: did you mean 'Y'?\n\n",
        ),
        (
            "show good.tn Foo",
            "error: 'good.tn' has no definition 'Foo'\n  = help: it defines Y\n\n",
        ),
        (
            "show good.tn Y --set i",
            "error: --set takes NAME=VALUE, not 'i'\n  = help: write it as --set k1=3\n\n",
        ),
        (
            "show good.tn Y --set i=2,i=3",
            "error: --set gives 'i' twice\n  = help: give it once\n\n",
        ),
        (
            "compile good.tn --shape X",
            "error: --shape takes NAME=SIZE,SIZE,…, not 'X'\n"
            "  = help: write it as --shape X=8,64,56,56\n\n",
        ),
        (
            "compile good.tn -o good.tn",
            "error: 'good.tn' would be overwritten with Python\n"
            "  = help: name a .py file with -o\n\n",
        ),
        (
            "compile good.tn -o nowhere/ops.py",
            "error: cannot write 'nowhere/ops.py': no such file or directory\n\n",
        ),
        (
            "show good.tn Y --shape X=2",
            "error: --shape is for reports\n"
            "  = help: add --format html, or use diagrammar compile\n\n",
        ),
        (
            "show good.tn Y --format svg --picture",
            "error: --picture is for text, and svg is a picture\n  = help: leave it out\n\n",
        ),
        (
            "show good.tn Y --format svg -o good.tn",
            "error: 'good.tn' would be overwritten with a picture\n  = help: name another file\n\n",
        ),
        (
            "show good.tn Y --raw --steps",
            "error: --raw shows the diagram as it is written, so --steps has no effect\n"
            "  = help: leave one of them out\n\n",
        ),
    ],
)
def test_a_wrong_command_line(run: Run, line: str, message: str) -> None:
    assert run(line) == Result(2, "", message)


def test_a_file_that_cannot_be_read(run: Run) -> None:
    path = Path("loop.tn")
    path.symlink_to(path)  # not even root may read it
    expected = f"error: cannot read 'loop.tn': {os.strerror(errno.ELOOP).lower()}\n\n"
    assert run("check loop.tn") == Result(2, "", expected)


def test_a_file_that_is_not_text(run: Run) -> None:
    Path("picture.tn").write_bytes(b"tensor \xff")
    result = run("check picture.tn")
    assert result.status == 1
    assert result.err.startswith("error: this file is not UTF-8 text\n --> picture.tn:1:8\n")


@pytest.mark.parametrize("command", ["check", "fmt --check", "show bad.tn Y", "compile", "verify"])
def test_every_command_reports_all_errors(run: Run, command: str) -> None:
    result = run(command if "bad.tn" in command else f"{command} bad.tn")
    assert result.status == 1
    assert result.out == ""
    assert "(" in result.err
    assert result.err.count("error: ") == (1 if command == "fmt --check" else 3)


def test_in_a_pipe_that_closes_early_it_is_silent() -> None:
    line = f"{sys.executable} -m diagrammar show conv2d A_reduce --steps | head -n 1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=HANG)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_an_early_interruption_is_silent() -> None:
    code = (
        "import diagrammar.__main__ as m\n"
        "def interrupted(arguments): raise KeyboardInterrupt\n"
        "m._run = interrupted\n"
        "raise SystemExit(m.main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_full_disk_is_told() -> None:
    line = f"{sys.executable} -m diagrammar show conv2d A_reduce > /dev/full"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: standard output: No space left on device")
    assert "Traceback" not in done.stderr


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


# -- show -----------------------------------------------------------------------------------------


def test_show_prints_the_simplified_diagram(run: Run) -> None:
    result = run("show conv2d.tn dW --set k1=1,k2=1 --set p=0")
    expected = dg.shipped("conv2d")["dW"].simplify(k1=1, k2=1, p=0)
    assert result == Result(0, str(expected.diagram), "")


def test_show_raw_prints_it_as_written(run: Run) -> None:
    assert run("show conv2d dW --raw") == Result(0, str(dg.shipped("conv2d")["dW"]), "")


def test_show_steps_prints_the_derivation(run: Run) -> None:
    simplified = dg.shipped("conv2d")["dW"].simplify(k1=1, k2=1, p=0)
    result = run("show conv2d.tn dW --set k1=1,k2=1,p=0 --steps")
    start, trace, end = (
        str(x) for x in (simplified.trace.start, simplified.trace, simplified.diagram)
    )
    assert result.out == f"{start}\n{trace}\n\n{end}"
    assert "1. pointwise at P1, P2:" in trace


@pytest.mark.parametrize(
    ("format", "start"),
    [
        ("svg", "<svg "),
        ("dot", "graph "),
        ("tikz", "\\begin{tikzpicture}"),
        ("html", "<!DOCTYPE html>"),
    ],
)
def test_show_draws(run: Run, format: str, start: str) -> None:
    result = run(f"show good.tn Y --format {format}")
    assert result.status == 0
    assert result.out.startswith(start)
    assert result.out.endswith("\n")


def test_show_draws_above_the_text(run: Run) -> None:
    diagram = dg.shipped("conv2d")["dW"]
    drawn = render(diagram, "text")
    assert run("show conv2d dW --raw --picture").out == f"{drawn.rstrip()}\n\n{diagram}"
    steps = run("show conv2d dW --set k1=1,k2=1,p=0 --steps --picture").out
    simplified = diagram.simplify(k1=1, k2=1, p=0)
    assert steps.startswith(render(simplified, "text").rstrip())
    assert steps.endswith(f"{simplified.trace}\n\n{simplified.diagram}")


def test_show_reports_a_function_for_shapes(run: Run) -> None:
    result = run("show conv2d A_reduce --format html --shape X=8,3,32,32 -o report.html")
    assert result == Result(0, "", "wrote report.html\n")
    made = dg.shipped("conv2d")["A_reduce"].compile().specialise(X=(8, 3, 32, 32))
    assert Path("report.html").read_text(encoding="utf-8") == render(made, "html")


def test_show_reports_a_function_for_all_shapes(run: Run) -> None:
    result = run("show conv2d dW --format html --set k1=5")
    assert result == Result(
        0, render(dg.shipped("conv2d")["dW"].compile(k1=5).generic(), "html"), ""
    )


def test_a_report_without_a_function_says_what_is_missing(run: Run) -> None:
    result = run("show conv2d JX --format html")
    assert result.status == 0
    assert result.out == render(dg.shipped("conv2d")["JX"].simplify(), "html")
    assert result.err == (
        "this report has no plan and no source: the size of wire 'b' cannot be inferred from the "
        "operands\ngive --shape for each operand, or what is missing with --set\n"
    )


def test_show_speaks_of_options_in_help(run: Run) -> None:
    result = run("show good.tn Y --set k=3")
    assert result == Result(
        1, "", "error: unknown size or parameter 'k'\n  = help: there are b, i, o\n\n"
    )


# -- compile --------------------------------------------------------------------------------------


def imported(path: str) -> dict[str, object]:
    """The functions of a written module, which imports torch and nothing else."""
    source = Path(path).read_text()
    assert set(re.findall(r"^(?:import|from) (\w+)", source, re.MULTILINE)) <= {
        *("__future__", "collections", "torch")
    }
    namespace: dict[str, object] = {}
    exec(source, namespace)
    return namespace


def test_compile_writes_a_module(run: Run) -> None:
    import torch

    result = run("compile good.tn -o ops.py")
    assert result == Result(0, "", "wrote ops.py: Y\n")
    x, w = torch.randn(2, 3), torch.randn(4, 3)
    assert torch.allclose(imported("ops.py")["Y"](x, w), x @ w.T)  # type: ignore[operator]


def test_compile_says_what_a_module_was_made_from(run: Run) -> None:
    source = run("compile good.tn --set i=5 --shape X=2,5 --set o=4 -o -").out
    assert source.startswith(
        f'''"""Functions of good.tn, written by diagrammar {dg.__version__}.

They need torch only. To change them, change the definitions and compile again.
Fixed: i = 5, o = 4.
For operands X of 2 × 5.
"""
'''
    )
    assert source == run("compile good.tn --set i=5 --shape X=2,5 --set o=4").out


def test_compile_leaves_out_what_no_operand_sizes(run: Run) -> None:
    result = run("compile conv2d.tn -o ops.py")
    assert result.status == 0
    assert result.err == (
        "warning: 'JX' cannot be compiled for all shapes: no operand has the sizes of "
        "'b', 'i1' and 'i2'; 'JX' is left out\n  = help: give them: --set b=…,i1=…,i2=…\n\n"
        "wrote ops.py: Y, dW, dX, tY, U, A_expand, A_reduce\n"
    )


def test_compile_does_not_leave_out_what_is_asked_for(run: Run) -> None:
    assert run("compile conv2d.tn Y JX -o ops.py") == Result(
        1,
        "",
        "error: 'JX' cannot be compiled for all shapes: no operand has the sizes of "
        "'b', 'i1' and 'i2'\n  = help: give them: --set b=…,i1=…,i2=…\n\n",
    )
    assert not Path("ops.py").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "compile conv2d dW --shape X=8,64,56,56",
            "error: 'dW' needs the shape of 'dY'\n"
            "  = help: give --shape dY=…, or the sizes that it lacks: --set co=…\n\n",
        ),
        (
            "compile conv2d dX --shape W=8,64,3,3 --set b=2,i1=5",
            "error: 'dX' needs the shape of 'dY'\n"
            "  = help: give --shape dY=…, or the sizes that it lacks: --set i2=…\n\n",
        ),
        (
            "compile conv2d U --shape XX=8,64,56,56",
            "error: --shape XX=…: unknown operand 'XX'\n  = help: did you mean 'X'?\n\n",
        ),
        (
            "compile good.tn --set k=3",
            "error: --set k=3: unknown size or parameter 'k'\n  = help: there are b, i, o\n\n",
        ),
        (
            "compile conv2d U --shape X=8,64,56",
            "error: operand 'X' has 3 axes, not 4: shape (8, 64, 56)\n"
            "  = help: its axes are [b, (g ci), i1, i2]\n\n",
        ),
    ],
)
def test_compile_says_what_to_pass(run: Run, line: str, message: str) -> None:
    assert run(line) == Result(1, "", message)


# -- completion -----------------------------------------------------------------------------------


def test_names_complete_from_the_file(run: Run) -> None:
    assert inputs.complete_definitions("conv2d.tn", "A_") == ["A_expand", "A_reduce"]
    assert inputs.complete_definitions("conv2d", "d") == ["dW", "dX"]
    assert inputs.complete_definitions("bad.tn", "") == ["Y", "Z"]
    assert inputs.complete_definitions("nothing.tn", "") == []


def test_the_shell_completes_names() -> None:
    words = "diagrammar show conv2d A_"
    environment = {**os.environ, "_DIAGRAMMAR_COMPLETE": "complete_bash"}
    environment |= {"COMP_WORDS": words, "COMP_CWORD": "3"}
    command = [
        sys.executable,
        "-c",
        "import sys; from diagrammar.__main__ import main; sys.exit(main())",
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG)
    assert done.stdout.split() == ["A_expand", "A_reduce"]
