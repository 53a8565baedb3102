"""`use`: other files' definitions, operands and patterns under an alias, hygiene and circles."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

import diagrammar as dg

LAYER = """
size k = 3, g = 1
param s = 1, p = 1
tensor X[b, (g ci), i]
tensor W[(g co), ci, k]
pattern P[i, o, k] = conv(stride=s, padding=p)
Y[b, (g co), o] = X[b, (g ci), i] * P[i, o, k] * W[(g co), ci, k]
U[b, g, (ci k), o] = X[b, (g ci), i] * P[i, o, k]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "layer.tn").write_text(LAYER)
    return tmp_path


def spec(folder: Path, text: str) -> dg.Spec:
    (folder / "file.tn").write_text(text)
    return dg.load(folder / "file.tn")


def problems(folder: Path, text: str) -> str:
    with pytest.raises(dg.DiagramError) as caught:
        spec(folder, text)
    return str(caught.value).replace(str(folder) + "/", "")


def random(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, dtype=torch.float64, generator=generator)


def test_definitions_operands_and_patterns_of_another_file(folder: Path) -> None:
    text = """
use "layer.tn" as layer
A[(ci k), (ci' k')] = 1/|b| * layer.U[b, g, (ci k), o] * layer.U[b, g, (ci' k'), o]
Z[b, o] = layer.X[b, (g ci), i] * layer.P[i, o, k] * ones[k]
dW = vjp(layer.Y, layer.W)
"""
    file = spec(folder, text)
    x, w = random(2, 4, 6), random(5, 4, 3).requires_grad_()
    rows = functional.unfold(x[:, :, None], (1, 3), padding=(0, 1))
    expected = torch.einsum("bco,bdo->cd", rows, rows) / 2
    torch.testing.assert_close(file["A"].compile()(X=x), expected)
    window = functional.conv1d(x.sum(1, keepdim=True), torch.ones_like(w[:1, :1]), padding=1)[:, 0]
    torch.testing.assert_close(file["Z"].compile(k=3, g=1)(X=x), window.detach())
    v = random(2, 5, 6)
    (gradient,) = torch.autograd.grad(functional.conv1d(x, w, padding=1), w, v)
    torch.testing.assert_close(file["dW"].compile()(X=x, dY=v), gradient)


def test_a_file_used_twice_has_operands_of_its_own(folder: Path) -> None:
    text = """
use "layer.tn" as one
use "layer.tn" as two
tensor X[b]
param s = 2
Z[b] = s * X[b] * one.Y[b, (h c), o] * two.Y[b, (h c), o]
"""
    z = spec(folder, text)["Z"]
    assert [o.name for o in z.operands] == ["X", "one_X", "W", "two_X", "two_W"]
    assert z.parameters == ("s", "one_s", "p", "two_s", "two_p")
    x, one, two = random(2), random(2, 4, 6), random(2, 3, 6)
    w, w2 = random(5, 4, 3), random(5, 3, 3)
    products = functional.conv1d(one, w, padding=1) * functional.conv1d(two, w2, padding=1)
    expected = 2 * x * products.sum((1, 2))
    result = z.compile(k=3)(X=x, one_X=one, W=w, two_X=two, two_W=w2)
    torch.testing.assert_close(result, expected)


def test_wires_are_never_captured(folder: Path) -> None:
    """The using file's i, k and ci are not those inside of layer.Y."""
    text = """
use "layer.tn" as layer
tensor V[i, k, ci]
Z[i, k, ci] = layer.Y[b, (g co), o] * V[i, k, ci]
"""
    x, w, v = random(2, 4, 6), random(5, 4, 3), random(2, 7, 3)
    expected = functional.conv1d(x, w, padding=1).sum() * v
    result = spec(folder, text)["Z"].compile()(X=x, W=w, V=v)
    torch.testing.assert_close(result, expected)


def test_shipped_files_are_found_and_so_are_their_packs() -> None:
    text = """
use "convnd.tn" as layer
norm[] = layer.Y[b, (g co), o...]^2
"""
    f = dg.parse(text)["norm"].compile(p=1)
    for rank, conv in ((1, functional.conv1d), (2, functional.conv2d)):
        x, w = random(2, 3, *(6,) * rank), random(4, 3, *(3,) * rank)
        y = conv(x, w, random(4), padding=1)
        torch.testing.assert_close(f(X=x, W=w, bias=random(4)), (y**2).sum())


def test_circles_are_said(folder: Path) -> None:
    (folder / "a.tn").write_text('use "file.tn" as b\nY[i] = b.Y[i]\n')
    assert problems(folder, 'use "a.tn" as a\nY[i] = a.Y[i]\n') == (
        "error: 'file.tn' is used by itself\n"
        " --> a.tn:1:1\n"
        "  |\n"
        '1 | use "file.tn" as b\n'
        "  | ^^^^^^^^^^^^^^^^^^ file.tn → a.tn → file.tn\n"
        "  = help: break the circle"
    )
    assert problems(folder, 'use "file.tn" as me\ntensor X[i]\nY[i] = X[i]\n') == (
        "error: 'file.tn' is used by itself\n"
        " --> file.tn:1:1\n"
        "  |\n"
        '1 | use "file.tn" as me\n'
        "  | ^^^^^^^^^^^^^^^^^^^ file.tn → file.tn\n"
        "  = help: break the circle"
    )


def test_files_that_use_each_other_twice_end_soon(folder: Path) -> None:
    """Each has twice the operands of the one before: a limit is said, nothing hangs."""
    (folder / "f0.tn").write_text("tensor X[i]\nY[i] = X[i]\n")
    for n in range(1, 30):
        uses = "".join(f'use "f{n - 1}.tn" as {alias}\n' for alias in "ab")
        (folder / f"f{n}.tn").write_text(f"{uses}Y[i] = a.Y[i]\n")
    assert list(dg.load(folder / "f6.tn")) == ["Y"]
    with pytest.raises(dg.DiagramError) as caught:
        dg.load(folder / "f29.tn")
    assert "the files used here have more than 1,000 operands" in str(caught.value)


def test_what_is_not_there_is_said(folder: Path) -> None:
    text = """
use "leyer.tn" as wrong
use "layer.tn" as layer
Z[b] = layer.Z[b] * layr.U[b]
F = vjp(layer.V, layer.W)
"""
    assert problems(folder, text) == (
        "error: no file 'leyer.tn'\n"
        " --> file.tn:2:1\n"
        "  |\n"
        '2 | use "leyer.tn" as wrong\n'
        "  | ^^^^^^^^^^^^^^^^^^^^^^^\n"
        "  = help: did you mean 'layer.tn'?\n"
        "\n"
        "error: 'layer' has no 'Z'\n"
        " --> file.tn:4:8\n"
        "  |\n"
        "4 | Z[b] = layer.Z[b] * layr.U[b]\n"
        "  |        ^^^^^^^ not declared in layer.tn\n"
        "  = help: did you mean 'layer.Y'?\n"
        "\n"
        "error: unknown file 'layr'\n"
        " --> file.tn:4:21\n"
        "  |\n"
        "4 | Z[b] = layer.Z[b] * layr.U[b]\n"
        "  |                     ^^^^^^ no 'use' has this alias\n"
        "  = help: did you mean 'layer'?\n"
        "\n"
        "error: unknown diagram 'layer.V'\n"
        " --> file.tn:5:9\n"
        "  |\n"
        "5 | F = vjp(layer.V, layer.W)\n"
        "  |         ^^^^^^^ no definition has this name\n"
        "  = help: did you mean 'layer.Y'?"
    )


def test_mistakes_of_a_used_file_have_their_own_place(folder: Path) -> None:
    (folder / "bad.tn").write_text("tensor X[i]\nY[i] = Z[i]\n")
    assert problems(folder, 'use "bad.tn" as bad\nV[i] = bad.Y[i]\n') == (
        "error: unknown tensor 'Z'\n"
        " --> bad.tn:2:8\n"
        "  |\n"
        "2 | Y[i] = Z[i]\n"
        "  |        ^ not declared\n"
        "  = help: declare it with 'tensor', 'pattern' or a definition"
    )
