"""The stages of `compile` and of a call are those of CONTRIBUTING.md, passed once and downwards."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch

import diagrammar as dg
from diagrammar.runtime.function import Function

ROOT = Path(__file__).parents[2]
CONV = """
tensor X[b, i, x]
constant W[o, i, k]
pattern P[x, y, k] = conv(padding=1)
Y[b, o, y] = X[b, i, x] * P[x, y, k] * W[o, i, k]
S = sample(Y, b, keep=1/2)
"""
WORK = {
    "options": "take",
    "values": "at_values",
    "function": "assembled",
    "operands": "in_order",
    "constants": "call_for",
    "sampling": "drawn",
    "programs": "at",
    "build": "build",
    "specialised": "__init__",
}
"""The function of each file that does the work of its stage."""


def tables() -> Iterator[list[str]]:
    """The files of the two tables of stages."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = page.partition("## What happens in compile and in a call")[2].partition("\n## ")[0]
    for table in section.split("| stage |")[1:]:
        yield re.findall(r"^\| \w+ \| (\w+)\.py \|", table, re.MULTILINE)


def passed(call: Callable[[], Any]) -> tuple[list[str], Any]:
    """The stages whose work is done during a call, in order, and its result."""
    stages = []

    def profile(frame: FrameType, event: str, _: Any) -> None:
        name = frame.f_globals.get("__name__", "")
        stage = name.removeprefix("diagrammar.runtime.")
        if event == "call" and stage != name and WORK.get(stage) == frame.f_code.co_name:
            stages.append(stage)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        result = call()
    finally:
        sys.setprofile(before)
    return stages, result


def function(name: str, **options: Any) -> Function:
    return dg.parse(CONV)[name].compile(**options)


X, W = torch.ones(2, 3, 6), torch.ones(4, 3, 3)
IN_COMPILE, IN_A_CALL = tables()


def without(*skipped: str) -> list[str]:
    return [stage for stage in IN_A_CALL if stage not in skipped]


def test_the_tables_name_all_stages():
    assert [*IN_COMPILE, *IN_A_CALL] == [*WORK]


def test_compile_passes_each_stage_once():
    assert passed(lambda: function("Y"))[0] == IN_COMPILE
    assert passed(lambda: function("S", constants={"W": W}))[0] == IN_COMPILE


def test_a_call_passes_each_stage_once():
    f = function("Y")
    expected = without("constants", "sampling")
    assert passed(lambda: f(X=X, W=W))[0] == expected


def test_a_call_with_constants_passes_each_stage_once():
    f = function("Y", constants={"W": W})
    stages, found = passed(lambda: f(X=X))
    assert stages == without("sampling")
    assert torch.equal(found, function("Y")(X, W))


def test_a_call_that_draws_goes_on_below_its_masks():
    f = function("S")
    mask = torch.ones(2, requires_grad=True)  # its rows cannot be counted
    stages, _ = passed(lambda: f(X, W, mask))
    assert stages == without("operands", "constants")  # by name, which sampling itself does


@pytest.mark.parametrize("options", [{}, {"constants": {"W": W}}], ids=["plain", "constants"])
def test_the_next_call_passes_none(options: dict[str, Any]):
    f = function("Y", **options)
    operands = (X,) if options else (X, W)
    first = f(*operands)
    stages, second = passed(lambda: f(*operands))
    assert stages == []
    assert torch.equal(first, second)
