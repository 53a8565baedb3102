"""TikZ compiles with plain LaTeX."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import diagrammar as dg
from diagrammar.draw import latex, render

KINDS = Path(__file__).with_name("kinds.tn")


def has_tikz() -> bool:
    if shutil.which("pdflatex") is None or shutil.which("kpsewhich") is None:
        return False
    return subprocess.run(["kpsewhich", "tikz.sty"], capture_output=True).returncode == 0


@pytest.mark.skipif(not has_tikz(), reason="pdflatex with TikZ is not installed")
def test_every_picture_compiles(tmp_path: Path) -> None:
    spec, conv = dg.load(KINDS), dg.shipped("conv2d")
    pictures = [render(spec[name], "tikz", sizes=True) for name in spec]
    pictures += [render(conv[name], "tikz", thickness=True) for name in conv]
    whole = render(conv["A_reduce"].simplify(), "tikz", standalone=True)
    begin = r"\begin{figure}"
    text = whole.replace(begin, "\n\\par\\bigskip\n".join(pictures) + "\n\\clearpage\n" + begin)
    (tmp_path / "all.tex").write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert "Missing character" not in done.stdout


def test_names_are_set_as_in_a_paper() -> None:
    assert latex.name("k1'") == "k_{1}'"
    assert latex.name("ci") == r"\mathit{ci}"
    assert latex.group(("g", "ci")) == r"(g\,\mathit{ci})"
    assert latex.formula("1/(|b|·|o1|²)") == r"1/(|b|\cdot |o_{1}|^2)"
    assert latex.prose("50% of a_b & Σ_o") == r"50\% of a\_b \& $\Sigma$$_{o}$"
