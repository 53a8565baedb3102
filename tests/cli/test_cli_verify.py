"""`diagrammar verify`: what it compares, what it finds, and how it says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diagrammar as dg
from diagrammar import verify
from diagrammar.__main__ import main
from diagrammar.ir.diagram import Diagram
from diagrammar.rewrite.engine import Simplified, Step, Trace
from diagrammar.rules.passes import Pipeline
from diagrammar.runtime import programs

PATCHES = """\
size k = 3
param s = 1, p = 1
tensor X[b, i]
tensor W[k]
pattern P[i, o, k] = conv(stride=s, padding=p)
Y[b, o] = X[b, i] * P[i, o, k] * W[k]
M[b, k] = X[b, i] * P[i, o, k]
N[i, j] = delta[i, j]
"""


def test_packs_of_open_rank_have_several_ranks() -> None:
    report = verify.verify(dg.shipped("convnd"), cases=3, names=("Y", "dW"))
    assert report.ok, str(report)
    assert [(v.cases, v.functions) for v in report.verdicts] == [(3, 6), (3, 6)]


def test_what_is_shipped_agrees_with_the_oracle() -> None:
    spec = dg.shipped("conv2d")
    report = verify.verify(spec, cases=2, seed=3, names=("Y", "dW", "A_reduce"))
    assert report.ok, str(report)
    assert [(v.name, v.cases, v.functions) for v in report.verdicts] == [
        *(("Y", 2, 4), ("dW", 2, 4), ("A_reduce", 2, 4))
    ]
    assert report.verdicts[2].rewrites >= 8  # four marginals a case, and no case without sizes
    assert 0 < max(v.largest_error for v in report.verdicts) < 1e-13


def test_a_report_is_repeatable_and_prints_a_table() -> None:
    spec = dg.parse(PATCHES)
    report = verify.verify(spec, cases=3, seed=1)
    assert report == verify.verify(spec, cases=3, seed=1)
    assert report != verify.verify(spec, cases=3, seed=2)
    head, *rows = str(report).splitlines()
    assert head == "definition  cases  rewrites  functions  largest error"
    assert [row.split()[0] for row in rows] == ["Y", "M", "N"]
    assert rows[2].endswith("skipped: it has no operands")


def test_sizes_fit_and_differ() -> None:
    diagram = dg.parse(PATCHES)["Y"]
    random = np.random.default_rng(0)
    seen = set()
    for _ in range(40):
        found = verify.random_sizes(diagram, random)
        assert found is not None
        values, symbols = found
        fixed = diagram.substitute(symbols)
        assert all(isinstance(s, int) and s >= 1 for s in fixed.sizes.values())
        seen.add((values["k"], values["s"], values["p"]))
    assert len(seen) > 10
    assert {1, 2} <= {s for _, s, _ in seen}
    assert (1, 1, 0) in seen  # pointwise


def test_the_first_case_keeps_what_the_file_states() -> None:
    diagram = dg.parse(PATCHES)["Y"]
    found = verify.random_sizes(diagram, np.random.default_rng(5), own_values=True)
    assert found is not None
    stated = {str(symbol): value for symbol, value in found[1].items()}
    assert (stated["k"], stated["s"], stated["p"]) == (3, 1, 1)


def test_sizes_that_no_operand_has() -> None:
    spec = dg.shipped("conv2d")
    assert verify.unbound(spec["JX"], {}) == ("b", "i1", "i2")
    assert verify.unbound(spec["JX"], {"b": 2}) == ("i1", "i2")
    assert verify.unbound(spec["dW"], {}) == ()


# -- mistakes are found ---------------------------------------------------------------------------


def doubled(diagram: Diagram) -> Diagram:
    terms = tuple(replace(term, scalar=2 * term.scalar) for term in diagram.terms)
    return replace(diagram, terms=terms)


def test_a_wrong_rewrite_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Pipeline.run

    def dishonest(self: Pipeline, diagram: Diagram) -> Simplified:
        done = honest(self, diagram)
        steps = [replace(step, after=doubled(step.after)) for step in done.trace]
        return Simplified(done.diagram, Trace(done.trace.start, steps))

    monkeypatch.setattr(Pipeline, "run", dishonest)
    report = verify.verify(dg.parse(PATCHES), cases=1, names=["M"])
    assert not report.ok
    (first, *_) = report.mismatches
    assert (first.definition, first.problem) == ("M", "relative error 1.0e+00")
    assert first.what == "step 1 at these sizes (summed end at P)"
    assert str(first).splitlines()[0] == f"M, {first.what}: relative error 1.0e+00"


def test_a_wrong_function_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    build = programs.build

    def careless(name: str, diagrams: Any, *rest: Any, **options: Any) -> Any:
        return build(name, [doubled(d) for d in diagrams], *rest, **options)

    monkeypatch.setattr(programs, "build", careless)
    path = tmp_path / "patches.tn"
    path.write_text(PATCHES)
    assert main(["verify", str(path), "Y", "--cases", "2"]) == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines()[1].endswith("MISMATCH")
    assert "mismatch: Y, the specialised function: relative error 1.0e+00\n" in captured.err
    assert "mismatch: Y, the shape-generic function: relative error 1.0e+00\n" in captured.err
    assert captured.err.count("  and 1 more like it\n") == 2


def test_a_rewrite_that_cannot_be_evaluated_is_a_mismatch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(verify, "_specialised", broken)
    report = verify.verify(dg.parse(PATCHES), cases=1, names=["Y"])
    assert [m.problem for m in report.mismatches] == ["RuntimeError: no such thing"]


def test_sizes_that_cannot_be_found_are_not_ok() -> None:
    text = (
        "size i := 2, k := 5\ntensor X[i]\npattern P[i, o, k] = conv()\nY[o, k] = X[i] * P[i, o, k]"
    )
    report = verify.verify(dg.parse(text), cases=1)
    assert not report.ok
    assert str(report).endswith("no small sizes fit it")


def test_steps_are_counted() -> None:
    spec = dg.parse(PATCHES)
    report = verify.verify(spec, cases=1, names=["M"])
    steps: tuple[Step, ...] = tuple(spec["M"].simplify().trace)
    assert report.verdicts[0].rewrites == 2 * len(steps) > 0
