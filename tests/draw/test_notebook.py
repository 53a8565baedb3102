"""The `%%diagram` magic, as a notebook calls it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import diagrammar as dg
from diagrammar.notebook import diagram

pytest.importorskip("IPython", reason="pip install 'diagrammar[notebook]'")

CELL = """
size k = 3
param s = 1
tensor X[b, i]
tensor W[k]
pattern P[i, o, k] = conv(stride=s)
Y[b, o] = X[b, i] * P[i, o, k] * W[k]
dW = vjp(Y, W)
"""


@pytest.fixture
def shell() -> Iterator[Any]:
    from IPython.core.interactiveshell import InteractiveShell

    made = InteractiveShell.instance()
    made.user_ns.clear()
    made.run_line_magic("load_ext", "diagrammar")
    yield made
    InteractiveShell.clear_instance()


def test_a_cell_becomes_a_spec_and_shows_its_last_definition(
    shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    shell.run_cell_magic("diagram", "conv", CELL)
    assert list(shell.user_ns["conv"]) == ["Y", "dW"]
    assert shown == [dg.parse(CELL)["dW"]]


def test_a_mistake_is_said_in_words_without_a_traceback(
    shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell_magic("diagram", "conv", CELL.replace("W[k]\n", "V[k]\n", 1))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: unknown tensor 'W'\n --> <conv>:7:34\n")
    assert "conv" not in shell.user_ns
    shell.run_cell_magic("diagram", "conv --frobnicate", CELL)
    assert capsys.readouterr().err == (
        "error: unrecognized arguments: --frobnicate\n"
        "usage: %%diagram [VARIABLE] [--show Y,dW] [--simplify] [--steps] [--set k=3,s=2]\n"
    )


def test_options_choose_what_is_shown() -> None:
    spec, names = dg.parse(CELL), {}
    assert diagram("", CELL, names) == [spec["dW"]]
    assert list(names) == ["spec"]
    assert diagram("c --show Y,dW", CELL, names) == [spec["Y"], spec["dW"]]
    values = {"k": 1, "s": 1}
    (simplified,) = diagram("c --show Y --simplify --set k=1,s=1", CELL, names)
    assert simplified == spec["Y"].simplify(**values).diagram
    (trace,) = diagram("c --show Y --steps --set k=1", CELL, names)
    assert [step.rule.name for step in trace] == ["pointwise", "parallel wires"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a-b", "'a-b' is not the name of a variable"),
        ("c --show y", "no definition 'y' in this cell; did you mean 'Y'?"),
        ("c --set k", "--set takes NAME=VALUE, not 'k'; write it as --set k=3"),
    ],
)
def test_a_wrong_line_says_what_is_wrong(line: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the whole message is compared
        diagram(line, CELL, {})
    assert str(caught.value) == message
