"""Networks of the zoo, `python -m benchmarks.zoo`: each number right, or refused in true words.

Here are small ones; networks of packages that are not installed are skipped.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import benchmarks.zoo.families  # noqa: F401  # registers the networks
import diagrammar as dg
from benchmarks.zoo import own, reference
from benchmarks.zoo.judge import QUANTITIES, Expected, compared, verdicts
from benchmarks.zoo.network import ENTRIES, Problem, missing
from tests.hanging import HANG

ROOT = Path(__file__).parents[2]

TESTED = tuple(entry.name for entry in ENTRIES.values() if entry.light)
OTHERS = "Swin of timm", "GPT-2"
"""Of packages that development does not need."""


@pytest.mark.parametrize("name", TESTED)
def test_right_or_refused(name: str):
    judge(name)


@pytest.mark.parametrize("name", OTHERS)
def test_of_other_packages(name: str):
    absent = missing(ENTRIES[name].source)
    if absent:
        pytest.skip(absent)
    judge(name)


@pytest.mark.parametrize("name", ["video frames", "language model, flat", "graph network",
                                  "as many positions as examples", "pruned network"])  # fmt: skip
@pytest.mark.parametrize("cut", [1, -1])
def test_given_as_two_batches(name: str, cut: int):
    judge(name, cut)


def judge(name: str, cut: int = 0) -> None:
    entry = ENTRIES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other packages, about their next versions
        problem = replace(entry.problem(), cut=cut)
        bad = [v for v in verdicts(problem, entry.refused) if not v.good]
    assert not bad, "; ".join(f"{v.quantity}: {v.failure}" for v in bad)


# -- the judge -------------------------------------------------------------------------------------


class Off:
    """A result of which one number in each quantity is one part in a million off."""

    def __init__(self, made: dg.Curvature) -> None:
        self.made, self.layers, self.examples = made, made.layers, made.examples

    def factors(self, layer: str, kind: str) -> tuple[Tensor, Tensor]:
        A, B = self.made.factors(layer, kind)
        return A, B * (1 + 1e-6)

    def diagonal(self, layer: str) -> tuple[Tensor, Tensor | None]:
        weight, bias = self.made.diagonal(layer)
        return weight, None if bias is None else bias * (1 + 1e-6)

    def ekfac(self, layer: str) -> tuple[Tensor, ...]:
        values, *basis = self.made.ekfac(layer)
        return (values * (1 + 1e-6), *basis)

    def gram(self, layer: str | None = None) -> Tensor:
        made = self.made.gram(layer).clone()
        made[0, 0, 1, -1] += 1e-6 * made.abs().max()
        return made


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_a_number_that_is_a_little_off_is_wrong(quantity: str):
    problem = ENTRIES["LeNet"].problem()
    basis = dg.curvature(problem.model, problem.data, problem.loss, "kfac_expand")
    more = {"basis": basis} if quantity == "ekfac" else {}
    made = dg.curvature(problem.model, problem.data, problem.loss, quantity, **more)
    right = Expected(problem).layers()
    assert compared(made, right, quantity, problem).good
    found = compared(Off(made), right, quantity, problem)
    assert found.failure.startswith("wrong by ")
    assert 1e-7 < found.error < 1e-5


def test_what_the_reference_is_for_one_linear_layer():
    """By hand: outputs W x + b, squared loss, whose Hessian is 2/3 of the identity."""
    torch.manual_seed(0)
    model, x = nn.Linear(2, 3).double(), torch.randn(4, 2).double()
    problem = Problem(model, (x, torch.zeros(4, 3).double()), nn.MSELoss())
    layer = reference.layers_of(problem, [""])[""]
    rows = torch.cat([x, torch.ones(4, 1).double()], 1)
    weight, bias = layer.diagonal()
    assert torch.allclose(weight, (2 / 3 * x.square().mean(0)).expand(3, 2))
    assert torch.allclose(bias, torch.full((3,), 2 / 3).double())
    A, B = layer.expand()
    assert torch.allclose(A[0], rows.mT @ rows / 4)
    assert torch.allclose(B[0], 2 / 3 * torch.eye(3).double())


@pytest.mark.parametrize(
    ("error", "refused", "failure"),
    [
        (lambda x: x.no_such_attribute, ".", "raw: AttributeError"),
        (lambda x: torch.ones(2) @ torch.ones(3), ".", "raw: RuntimeError"),
    ],
)
def test_errors_that_are_no_words(error: object, refused: str, failure: str):
    class Broken(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return error(x)

    model = nn.Sequential(nn.Linear(2, 2), Broken(2, 2))
    problem = Problem(model.double(), (torch.ones(2, 2).double(), torch.ones(2, 2)), nn.MSELoss())
    (found,) = verdicts(problem, refused, ["diag_ggn"])
    assert found.failure.startswith(failure)


def test_a_refusal_for_another_reason_is_a_failure():
    problem = ENTRIES["tied layers"].problem()
    (found,) = verdicts(problem, "is called more than once", ["diag_ggn"])
    assert found.failure.startswith("not a true reason: NotImplementedError")


# -- one's own network -----------------------------------------------------------------------------

MINE = """
import torch
from torch import nn

def network():
    model = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 2))
    return model, (torch.randn(3, 3), torch.randint(0, 2, (3,))), nn.CrossEntropyLoss()
"""


def test_a_network_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "mine_in_the_zoo.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    problem = own.loaded("mine_in_the_zoo:network")
    assert all(v.good and v.error is not None for v in verdicts(problem, None))
    with pytest.raises(ValueError, match="'mine' is not module:function"):
        own.loaded("mine")
    with pytest.raises(ValueError, match="mine_in_the_zoo:other: module"):
        own.loaded("mine_in_the_zoo:other")


def test_the_command():
    command = [sys.executable, "-m", "benchmarks.zoo", "--only", "perceptron", "--quantity", "gram"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "1 networks in float64: 1 results right, 0 refused, 0 failures" in said
