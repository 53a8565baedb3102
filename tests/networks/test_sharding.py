"""`dg.curvature` on several processes gives the numbers of one, or an error."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, nn

import diagrammar as dg
from tests.hanging import HANG
from tests.networks import ranks
from tests.networks.worker import WHAT, basis, data, network

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()),
    reason="this build of torch has no gloo: install one that has",
)


def run(size: int, folder: Path, mode: str) -> list[tuple[int, str]]:
    """Exit status and error output of each process."""
    command = [sys.executable, "-m", "tests.networks.worker", str(size), str(folder), mode]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 0, done.stderr
    statuses = map(int, done.stdout.split())
    return [(n, (folder / f"errors{k}").read_text()) for k, n in enumerate(statuses)]


@pytest.fixture(scope="module")
def whole() -> dg.Curvature:
    return dg.curvature(network(), data(), nn.CrossEntropyLoss(), WHAT)


@pytest.mark.parametrize(("size", "mode"), [(4, "shards"), (2, "empty")])
def test_they_give_the_numbers_of_one(size: int, mode: str, tmp_path: Path, whole: dg.Curvature):
    for status, errors in run(size, tmp_path, mode):
        assert status == 0, errors
    for rank in range(size):
        examples, sums = torch.load(tmp_path / f"result{rank}.pt")
        assert examples == whole.examples == 27
        assert sums.keys() == whole.sums.keys()
        for layer, quantities in whole.sums.items():
            assert sums[layer].keys() == quantities.keys()
            for name, value in quantities.items():
                error = (sums[layer][name] - value).double().norm() / value.double().norm()
                assert error < 1e-6, f"{layer}, {name}: {error}"


def test_ekfac_refers_to_the_first_process_basis(tmp_path: Path):
    whole = dg.curvature(network(), data(), nn.CrossEntropyLoss(), "ekfac", basis=basis(0))
    for status, errors in run(2, tmp_path, "ekfac"):
        assert status == 0, errors
    for rank in range(2):
        _, sums = torch.load(tmp_path / f"result{rank}.pt")
        for layer, quantities in whole.sums.items():
            value = quantities["ekfac.diagonal"]
            assert (sums[layer]["ekfac.diagonal"] - value).norm() < 1e-6 * value.norm()


@pytest.mark.parametrize("mode", ["killed", "late"])
def test_a_killed_worker_leaves_an_error(mode: str, tmp_path: Path):
    done = run(3, tmp_path, mode)
    assert done[1][0] == -signal.SIGKILL
    for status, errors in (done[0], done[2]):
        assert status == 1
        assert "RuntimeError" in errors or "DistBackendError" in errors
    assert list(tmp_path.glob("result*.pt")) == []


def test_processes_that_disagree(tmp_path: Path):
    for status, errors in run(2, tmp_path, "differ"):
        assert status == 1
        assert "RuntimeError: processes 0 and 1 differ: what is " in errors


def test_gram_matrices_are_not_merged(tmp_path: Path):
    for status, errors in run(2, tmp_path, "gram"):
        assert status == 1
        assert "ValueError: Gram matrices of parts of a data set cannot" in errors


def test_without_processes():
    made = dg.curvature(network(), data(), nn.CrossEntropyLoss())
    with pytest.raises(RuntimeError, match=r"torch.distributed is not initialised"):
        made.all_reduced()


# -- one odd process of three ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """All trials, in one group of processes: none leaves anything that spoils the next."""
    return ranks.run(tmp_path_factory.mktemp("ranks"), list(ranks.TRIALS))


def refused() -> list[str]:
    return [name for name, trial in ranks.TRIALS.items() if trial.words is not None]


def right() -> list[str]:
    return [name for name, trial in ranks.TRIALS.items() if trial.words is None]


@pytest.mark.parametrize("name", refused())
def test_an_odd_process_is_an_error_of_all(name: str, outcomes: dict[str, list[dict[str, Any]]]):
    trial = ranks.TRIALS[name]
    for rank, said in enumerate(outcomes[name]):
        assert "error" in said, f"process {rank} has a result"
        if rank == ranks.ODD and trial.own is not None:
            assert trial.own in said["text"]
        else:
            assert said["error"] == "RuntimeError"
            assert trial.words is not None
            assert trial.words in said["text"]


@pytest.mark.parametrize("name", right())
def test_parts_give_the_sums_of_the_whole(name: str, outcomes: dict[str, list[dict[str, Any]]]):
    parts = [ranks.call_of(name, rank, ranks.shards_of(rank, 3)) for rank in range(ranks.SIZE)]
    whole = parts[0]
    whole.data = [pair for part in parts for pair in part.data]
    expected = ranks.outcome(whole)
    for said in outcomes[name]:
        assert said.get("examples") == expected["examples"], said
        assert said["sums"].keys() == expected["sums"].keys()
        for quantity, value in expected["sums"].items():
            a, b = (torch.tensor(v, dtype=torch.float64) for v in (said["sums"][quantity], value))
            assert (a - b).norm() <= 1e-5 * b.norm(), quantity


def test_added_results_are_of_one_loss_and_network(tmp_path: Path):
    made = dg.curvature(network(), data(), nn.CrossEntropyLoss())
    made.save(tmp_path / "made.safetensors")
    loaded = dg.Curvature.load(tmp_path / "made.safetensors")
    assert (made + loaded).examples == 54
    other = network()
    with torch.no_grad():
        next(iter(other.parameters())).mul_(2)
    pairs = [
        (dg.curvature(other, data(), nn.CrossEntropyLoss()), "0.weight has other values"),
        (dg.curvature(network(), data(), nn.CrossEntropyLoss(label_smoothing=0.1)), "smoothing"),
        (dataclasses.replace(made, identity={}), "older version saved it"),
    ]
    for wrong, words in pairs:
        with pytest.raises(ValueError, match=words):
            loaded + wrong
