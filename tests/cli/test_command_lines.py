"""The command line as a whole: help, examples, wrong lines, pipes, and names that complete."""

from __future__ import annotations

import errno
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import diagrammar as dg
from diagrammar.cli import inputs
from diagrammar.cli.app import app
from tests.cli.command_lines import GOOD, Result, Run
from tests.hanging import HANG


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
