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


needs_tikz = pytest.mark.skipif(
    not has_tikz(),
    reason="no pdflatex with TikZ: apt install texlive-latex-base texlive-pictures",
)


def compiled(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What LaTeX says of a document."""
    (folder / "all.tex").write_text(text, encoding="utf-8")
    return subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
    )


@needs_tikz
def test_every_picture_compiles(tmp_path: Path) -> None:
    spec, conv = dg.load(KINDS), dg.shipped("conv2d")
    pictures = [render(spec[name], "tikz", sizes=True) for name in spec]
    pictures += [render(conv[name], "tikz", thickness=True) for name in conv]
    whole = render(conv["A_reduce"].simplify(), "tikz", standalone=True)
    begin = r"\begin{figure}"
    text = whole.replace(begin, "\n\\par\\bigskip\n".join(pictures) + "\n\\clearpage\n" + begin)
    done = compiled(text, tmp_path)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert "Missing character" not in done.stdout


def test_names_are_set_as_in_a_paper() -> None:
    assert latex.name("k1'") == "k_{1}'"
    assert latex.name("ci") == r"\mathit{ci}"
    assert latex.group(("g", "ci")) == r"(g\,\mathit{ci})"
    assert latex.formula("1/(|b|·|o1|²)") == r"1/(|b|\cdot |o_{1}|^2)"
    assert latex.prose("50% of a_b & Σ_o") == r"50\% of a\_b \& $\Sigma$$_{o}$"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "dense at P1, P2: Π[i,o,k] = [i ≡ (o k)] when S = K, D = 1",
            r"dense at $P_{1}$, $P_{2}$: $\Pi [i,o,k] = [i \equiv  (o\,k)]$ when $S = K$, $D = 1$",
        ),
        (
            "because |i1'| = 4·|o1|, stride = |k1| = 4",
            r"because $|i_{1}'| = 4\cdot |o_{1}|$, stride $= |k_{1}| = 4$",
        ),
        ("a window of |ci| entries", r"a window of $|\mathit{ci}|$ entries"),
        ("Σ_o Π[i,o,k] = window[i,k]", r"$\textstyle\sum_o \Pi [i,o,k] = \mathrm{window}[i,k]$"),
        ("50% of X & more", r"$50\%$ of $X \&$ more"),
    ],
)
def test_laws_and_reasons_are_set_as_in_a_paper(text: str, wanted: str) -> None:
    assert latex.statement(text) == wanted


@needs_tikz
def test_the_derivation_for_a_paper_compiles_and_fits(tmp_path: Path) -> None:
    """KFAC-expand on a dense layer, within a text width of 5.5 inches."""
    dense = dg.shipped("conv2d")["A_expand"].simplify(k1=4, k2=4, s=4, p=0, i1=32, i2=32)
    text = render(dense, "tikz", standalone=True).replace("margin=2cm", "textwidth=397pt")
    done = compiled(text, tmp_path)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert r"Derivation of $A_{\mathrm{expand}}[g,\,(\mathit{ci}\,k_{1}\,k_{2})" in text
