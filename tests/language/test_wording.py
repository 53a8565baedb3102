"""Parameters that are no numbers: in the file, by keyword, on the command line."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

import diagrammar as dg
from diagrammar.cli.inputs import Misuse, settings

ONE = """
param p = 1, m = 'zeros', s = 1
tensor X[i]
tensor W[k]
pattern P[i, o, k] = conv(padding=p, boundary=m, stride=s)
Y[o] = X[i] * P[i, o, k] * W[k]
D = vjp(Y, X)
Z[o] = p * Y[o]
"""
X, W = torch.arange(1.0, 7), torch.tensor([1.0, 2, 3, 4])
MODES = {"zeros": "constant", "circular": "circular", "reflect": "reflect"}


def reference(left: int, right: int, mode: str) -> torch.Tensor:
    padded = functional.pad(X[None], (left, right), mode=MODES[mode])
    return functional.conv1d(padded, W[None, None])[0]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("p", "sides"),
    [("same", (1, 2)), ("valid", (0, 0)), ((2, 1), (2, 1)), ([0, 3], (0, 3)), (2, (2, 2))],
)
def test_values_by_keyword(p: Any, sides: tuple[int, int], mode: str) -> None:
    diagram = dg.parse(ONE)["Y"]
    expected = reference(*sides, mode)
    torch.testing.assert_close(diagram.compile(p=p, m=mode)(X, W), expected)
    simple = diagram.simplify(p=p, m=mode, i=6, k=4).diagram
    torch.testing.assert_close(simple.compile()(X, W), expected)
    found = diagram.compile(p=p, m=mode, backend="numpy")(X.numpy(), W.numpy())
    torch.testing.assert_close(torch.as_tensor(found).float(), expected)


@pytest.mark.parametrize("value", ["'same'", "(1, 2)"])
def test_values_in_the_file_may_be_replaced_by_numbers(value: str) -> None:
    text = ONE.replace("p = 1", f"p = {value}").replace("Z[o] = p *", "Z[o] =")
    spec = dg.parse(text)
    torch.testing.assert_close(spec["Y"].compile()(X, W), reference(1, 2, "zeros"))
    torch.testing.assert_close(spec["Y"].compile(p=1)(X, W), reference(1, 1, "zeros"))
    torch.testing.assert_close(spec["Z"].compile(p="valid")(X, W), reference(0, 0, "zeros"))
    diagram = spec["Y"]
    assert dg.parse(str(diagram))["Y"] == diagram


def test_derivatives_and_several_results_take_them_too() -> None:
    f = dg.parse(ONE).compile("Y", "D", p="same")
    x = X.clone().requires_grad_()
    v = torch.ones(6)
    y, dx = f(X=X, W=W, dY=v)
    torch.testing.assert_close(y, reference(1, 2, "zeros"))
    expected = functional.conv1d(functional.pad(x[None], (1, 2)), W[None, None])[0]
    torch.testing.assert_close(dx, torch.autograd.grad(expected, x, v)[0])


@pytest.mark.parametrize("rank", [None, 2])
@pytest.mark.parametrize(
    ("p", "shape"),
    [
        ("same", (8, 8)),
        (("same", (1, 0)), (8, 6)),
        (((1, 0), 2), (7, 9)),
        ((1, 2), (8, 9)),
        (1, (8, 7)),
    ],
)
def test_a_tuple_runs_over_dimensions_and_a_pair_inside_is_left_and_right(
    p: Any, shape: tuple[int, int], rank: int | None
) -> None:
    more = {} if rank is None else {"rank": rank}
    f = dg.shipped("convnd")["Y"].compile(p=p, **more)
    x, w = torch.ones(1, 2, 8, 8), torch.ones(3, 2, 3, 4)
    assert f(x, w, torch.ones(3)).shape[2:] == shape


def test_parameters_of_another_file(tmp_path: Path) -> None:
    (tmp_path / "inner.tn").write_text(ONE)
    text = 'param p = 5\nuse "inner.tn" as one\nT[o] = p * one.Y[o]\n'
    (tmp_path / "outer.tn").write_text(text)
    f = dg.load(tmp_path / "outer.tn")["T"].compile(one_p="same", m="circular")
    torch.testing.assert_close(f(X, W), 5 * reference(1, 2, "circular"))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("Y", {"p": "sam"}, "unknown padding 'sam'"),
        ("Y", {"m": "circle"}, "did you mean 'circular'"),
        ("Y", {"p": (1, 2, 3)}, "a pair of them, or a text, not \\(1, 2, 3\\)"),
        ("Y", {"p": (-1, 0)}, "'p' must be an integer of at least 0, a pair"),
        ("Y", {"p": "same", "s": 2}, "padding 'same' needs stride 1"),
        ("Y", {"s": "same"}, "'s' is 'same', and a number is needed here"),
        ("Y", {"i": "same"}, "'i' must be an integer of at least 0"),
        ("Y", {"q": "same"}, "unknown size or parameter 'q'"),
        ("Z", {"p": "same"}, "'p' is 'same', and a number is needed here"),
    ],
)
def test_mistakes(name: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(dg.DiagramError, match=message):
        dg.parse(ONE)[name].compile(**values)


def test_settings_of_the_command_line() -> None:
    given = ["k1=3,p=same,s=1,2", "q=1/4,z=0.5,t=(1,0),2", "w='valid'"]
    assert settings(given) == {
        **{"k1": 3, "p": "same", "s": (1, 2), "q": Fraction(1, 4), "z": Fraction(1, 2)},
        **{"t": ((1, 0), 2), "w": "valid"},
    }
    for wrong in ("3", "=3", "k=", "k=1,k=2", "p=1,,2"):
        with pytest.raises(Misuse):
            settings([wrong])
