"""`dg.curvature` on several processes gives the numbers of one, or an error."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import distributed, nn

import diagrammar as dg
from tests.hanging import HANG
from tests.networks.worker import WHAT, basis, data, network

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()),
    reason="this build of torch has no gloo: install one that has",
)


def run(size: int, folder: Path, mode: str) -> list[tuple[int, str]]:
    """Exit status and error output of each process."""
    command = [sys.executable, "-m", "tests.networks.worker"]
    given = [[*command, str(rank), str(size), str(folder), mode] for rank in range(size)]
    processes = [subprocess.Popen(g, cwd=ROOT, stderr=subprocess.PIPE, text=True) for g in given]
    try:
        errors = [process.communicate(timeout=HANG)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, text) for process, text in zip(processes, errors, strict=True)]


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
