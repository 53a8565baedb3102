"""Pictures of every kind of node and wire, and of shipped operations, as files to look at."""

from __future__ import annotations

from pathlib import Path

import pytest

import diagrammar as dg
from diagrammar.draw import render
from diagrammar.ir.diagram import Diagram

HERE = Path(__file__).parent
KINDS = dg.load(HERE / "kinds.tn")
SHIPPED = ("Y", "dW", "dX", "JX", "U", "A_expand", "A_reduce")
SUFFIX = {"svg": "svg", "tikz": "tex", "text": "txt", "dot": "dot"}


def diagrams() -> dict[str, Diagram]:
    conv2d = dg.shipped("conv2d")
    return {
        **{f"kind_{name}": KINDS[name] for name in KINDS},
        **{f"conv2d_{name}": conv2d[name] for name in SHIPPED},
    }


def compare(name: str, text: str, update: bool) -> None:
    path = HERE / "golden" / name
    if update:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text, f"{name} differs; pytest --update rewrites it"


@pytest.mark.parametrize("format", SUFFIX)
@pytest.mark.parametrize("name", diagrams())
def test_a_picture_is_as_it_was(name: str, format: str, update: bool) -> None:
    if format == "dot" and not name.startswith("kind_"):
        return
    compare(f"{name}.{SUFFIX[format]}", render(diagrams()[name], format), update)


@pytest.mark.parametrize("format", ["svg", "tikz", "text", "html"])
def test_a_derivation_is_as_it_was(format: str, update: bool) -> None:
    simplified = KINDS["A"].simplify(k=2, s=2, p=0)
    suffix = {**SUFFIX, "html": "html"}[format]
    compare(f"derivation_A.{suffix}", render(simplified, format), update)


def test_no_golden_file_is_left_over() -> None:
    wanted = {f"{n}.{s}" for n in diagrams() for f, s in SUFFIX.items()}
    wanted |= {f"derivation_A.{s}" for s in ("svg", "tex", "txt", "html")}
    assert {path.name for path in (HERE / "golden").iterdir()} <= wanted
