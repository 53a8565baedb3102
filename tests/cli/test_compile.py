"""`diagrammar compile`: modules, what is left out, and what is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import diagrammar as dg
from tests.cli.command_lines import Result, Run


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
