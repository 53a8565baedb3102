"""Small files that stand for much: an error soon, by counted work; and commands that can be
interrupted anywhere."""

from __future__ import annotations

import subprocess
import sys

import pytest

from diagrammar.cli import inputs
from diagrammar.grammar.source import Source
from diagrammar.language.spec import read
from diagrammar.library import names
from diagrammar.transform.inline import MAX_FILE_TENSORS, MAX_TENSORS
from tests.work import counted

CALLS = 10_000_000
"""The most calls of functions for a file of this page, however much it stands for."""


def doubling(sign: str, lines: int) -> str:
    """Definitions that each use the one before twice."""
    steps = (f"Y{n + 1}[b] = Y{n}[b] {sign} Y{n}[b]\n" for n in range(lines))
    return "tensor Y0[b]\n" + "".join(steps)


def product(factors: int) -> str:
    """A product of one operand with itself."""
    return "tensor X[b]\nY[b] = " + " * ".join(["X[b]"] * factors) + "\n"


HUGE = {
    "squares": (doubling("*", 40), f"'Y14' would have more than {MAX_TENSORS:,} tensors"),
    "sums": (doubling("+", 40), f"'Y12' would have more than {MAX_TENSORS:,} tensors"),
    "differences": (doubling("-", 40), f"'Y12' would have more than {MAX_TENSORS:,} tensors"),
    "a gradient of many terms": (
        product(300) + "V = vjp(Y, X)\n",
        f"'V' would have more than {MAX_TENSORS:,} tensors",
    ),
    "a Jacobian of many terms": (
        product(101) + "V = jacobian(Y, X)\nW = jvp(V, X)\n",
        f"'V' would have more than {MAX_TENSORS:,} tensors",
    ),
    "a gradient of a sum": (
        "tensor X[b]\nY[b] = " + " + ".join(["X[b]^64"] * 3) + "\nV = vjp(Y, X)\n",
        f"'V' would have more than {MAX_TENSORS:,} tensors",
    ),
    "powers of definitions": (
        product(60) + "A[b] = Y[b]^64\nB[b] = A[b]^64\nC[b] = B[b]^64\n",
        f"'B' would have more than {MAX_TENSORS:,} tensors",
    ),
    "many large definitions": (
        doubling("*", 12) + "".join(f"Z{n}[b] = Y12[b] * Y1[b]\n" for n in range(500)),
        f"more than {MAX_FILE_TENSORS:,} tensors",
    ),
    "a power of powers": (
        "tensor X[b]\nY[b] = ((((2^64)^64)^64)^64)^64 * X[b]\n",
        "this number is too large",
    ),
    "a power of a sum": (
        "param s = 1, t = 1\ntensor X[b]\nY[b] = ((s + t)^64)^64 * X[b]\n",
        "this is a sum of more than 100 products",
    ),
    "sizes of sizes": (
        "tensor X[b]\nsize a := (|b| + 1)^9\nsize c := (|a| + 1)^9\nsize d := (|c| + 1)^9\n"
        "Y[b, d] = X[b] * ones[d]\n",
        "is a sum of more than 100 products",
    ),
}
"""Files and what is said of them."""


@pytest.mark.parametrize("name", HUGE)
def test_what_stands_for_much_is_an_error_soon(name: str) -> None:
    text, message = HUGE[name]
    with counted() as work:
        problems = read(Source(text))[1]
    errors = [p for p in problems if p.severity == "error"]
    assert any(message in p.message for p in errors)
    assert len(errors) == 1
    assert errors[0].line
    assert work.calls < CALLS


@pytest.mark.parametrize("factors", [10, 20, 40])
def test_work_grows_with_the_tensors_that_there_are(factors: int) -> None:
    """Calls for each tensor of a gradient stay within a bound while their number grows."""
    with counted() as work:
        problems = read(Source(product(factors) + "V = vjp(Y, X)\n"))[1]
    assert not [p for p in problems if p.severity == "error"]
    assert work.calls < 10_000 + 600 * factors * (factors + 1)


@pytest.mark.parametrize("name", names())
def test_shipped_files_are_checked_in_few_steps(name: str) -> None:
    """Calls for each word of the file."""
    source = inputs.read(name)
    read(source)  # what is imported and cached is not counted
    with counted() as work:
        read(source)
    assert work.calls < 2_000_000


INTERRUPTED = """
import contextlib, io, sys, traceback
import networkx, torch  # libraries that catch all while they are imported
import diagrammar.verify
from diagrammar.__main__ import main
from diagrammar.cli import bench, check, emit, fmt, prove, show  # imports are not interrupted here
COMMANDS = [["check", "conv2d"], ["show", "conv2d", "U", "--steps"], ["fmt", "--check", FILE],
            ["compile", "conv2d", "U"], ["verify", "hessian"]]
for command in COMMANDS:
    for stop in (30, 1000, 10000):
        left, at = stop, []
        def count(frame, event, argument):
            global left
            if event == "call":
                left -= 1
                if left == 0:
                    sys.setprofile(None)
                    at.append("".join(traceback.format_stack(frame)[-6:]))
                    raise KeyboardInterrupt
        sys.argv = ["diagrammar", *command]
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            sys.setprofile(count)
            try:
                status = main()
            except KeyboardInterrupt:  # before main could do anything
                status = 130
            finally:
                sys.setprofile(None)
        assert left > 0 or status == 130, (command, stop, status, *at)
        assert "Traceback" not in err.getvalue(), (command, stop)
        print(command[0], stop, status)
"""


def test_every_command_can_be_interrupted_anywhere(tmp_path: object) -> None:
    """Ctrl-C at the n-th call of a function ends with 130 and without a traceback."""
    path = f"{tmp_path}/file.tn"
    with open(path, "w", encoding="utf-8") as file:
        file.write(doubling("*", 8))
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.replace("FILE", repr(path))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" 130\n") >= 12
