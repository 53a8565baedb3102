"""`diagrammar show`: text, pictures and reports."""

from __future__ import annotations

from pathlib import Path

import pytest

import diagrammar as dg
from diagrammar.draw import render
from tests.cli.command_lines import Result, Run


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
