"""Rates of the cost model: measured in seconds, stored whole, and read with care."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

import diagrammar as dg
from diagrammar.__main__ import main
from diagrammar.cost import device as devices
from diagrammar.cost.calibrate import BOUND, calibrate
from diagrammar.cost.cost import DEFAULT, Machine
from diagrammar.cost.store import VERSION


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIAGRAMMAR_CACHE", str(tmp_path))
    return tmp_path


def test_rates_are_positive_and_near_their_defaults() -> None:
    seen: list[str] = []
    made = calibrate(DEFAULT, progress=seen.append)
    for name in seen:
        rate, usual = getattr(made, name), getattr(DEFAULT, name)
        assert rate >= 0 if name == "fresh" else rate >= usual / BOUND, name
        assert rate <= usual * BOUND, name
    assert {"product", "convolution", "byte", "fresh", "launch"} <= set(seen)
    assert made.large == DEFAULT.large


def test_without_calibration_the_defaults_count() -> None:
    assert devices.machine() is DEFAULT
    assert devices.machine("cuda") is devices.CUDA


def test_stored_rates_count_for_this_device_and_its_threads(cache: Path) -> None:
    faster = replace(DEFAULT, product=DEFAULT.product / 7)
    assert devices.rates_store().put(devices.name("cpu"), devices.written(faster))
    assert devices.machine() == faster
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        assert devices.machine() == DEFAULT
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("bad", [-1.0, "fast", None, True, float("nan"), 1e300])
def test_rates_that_are_none_are_left_out(bad: object) -> None:
    assert devices.read({"product": bad, "unknown": 1.0}, DEFAULT) == DEFAULT


def test_a_damaged_file_is_no_error(cache: Path) -> None:
    (cache / "rates.json").write_text("{", encoding="utf-8")
    assert devices.machine() == DEFAULT


def test_plans_follow_the_rates(cache: Path) -> None:
    shapes = {"X": (2, 8, 9, 9), "W": (8, 8, 3, 3), "bias": (8,)}
    first = dg.shipped("conv2d")["Y"].compile().specialise(**shapes)
    worse = {n: getattr(DEFAULT, n) * BOUND for n in ("convolution", "library", "image")}
    better = {n: getattr(DEFAULT, n) / BOUND for n in ("product", "entry", "scattered", "launch")}
    rates = replace(DEFAULT, **worse, **better)
    devices.rates_store().put(devices.name("cpu"), devices.written(rates))
    second = dg.shipped("conv2d")["Y"].compile().specialise(**shapes)
    assert "conv2d(" in first.source
    assert "conv2d(" not in second.source


def test_the_command_measures_stores_shows_and_forgets(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", "--show"]) == 0
    assert "not calibrated" in " ".join(capsys.readouterr().out.split())
    assert main(["calibrate"]) == 0
    assert "stored:" in capsys.readouterr().out
    data = json.loads((cache / "rates.json").read_text(encoding="utf-8"))
    assert data["version"] == VERSION
    assert list(data["plans"]) == [devices.name("cpu")]
    assert main(["calibrate", "--forget"]) == 0
    assert not (cache / "rates.json").exists()


def test_bench_shows_every_candidate(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bench", "conv2d", "A_expand", "--shape", "X=2,3,9,9", "--seconds", "0.05"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    function = dg.shipped("conv2d")["A_expand"].compile()
    for candidate in function.specialise(X=(2, 3, 9, 9)).candidates:
        assert candidate.name in shown
    assert "the plan's choice" in shown
    assert "einsum of dense patterns" in shown


def test_bench_of_a_sum_knows_the_naive_einsum(capsys: pytest.CaptureFixture[str]) -> None:
    shapes = ["--shape", "X=2,3,9,9", "--shape", "W=4,3,3,3", "--shape", "bias=4"]
    assert main(["bench", "conv2d", "Y", *shapes, "--seconds", "0.05", "--dtype", "float64"]) == 0
    assert "PyTorch's own" in capsys.readouterr().out


@pytest.mark.parametrize("rank", [1, 3])
def test_bench_takes_a_rank(rank: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a file of open rank the candidates are those that `compile` has at this rank."""
    shape = (2, 3, *[5] * rank)
    command = ["bench", "convnd", "A_expand", "--set", f"rank={rank}", "--seconds", "0.05"]
    given = ["--set", "k=2", "--set", "g=1"]
    assert main([*command, "--shape", f"X={','.join(map(str, shape))}", *given]) == 0
    shown = capsys.readouterr().out
    function = dg.shipped("convnd")["A_expand"].compile(rank=rank, k=2, g=1)
    for candidate in function.specialise(X=shape).candidates:
        assert candidate.name in shown


@pytest.mark.parametrize("rank", ["0.5", "-1", "two"])
def test_bench_of_a_rank_that_is_none(rank: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bench", "convnd", "A_expand", "--set", f"rank={rank}", "--shape", "X=2,3,5"]
    assert main(command) in (1, 2)
    assert "rank" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--dtype", "float31"], "no dtype 'float31'"),
        (["--device", "cuda"], "torch finds no GPU"),
        (["--shape", "Z=1,2,3,4"], "no operand 'Z'"),
    ],
)
def test_bench_says_what_is_wrong(
    more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if "cuda" in more and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    shape = [] if "--shape" in more else ["--shape", "X=2,3,9,9"]
    assert main(["bench", "conv2d", "A_expand", *shape, *more]) in (1, 2)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("rate", [f.name for f in fields(Machine)])
@pytest.mark.parametrize(
    "bad", [0, -1, 1e-30, 1e11, 10**400, float("inf"), float("nan"), "1", True]
)
def test_a_rate_that_cannot_be_is_the_default(rate: str, bad: object) -> None:
    for default in (DEFAULT, devices.CUDA):
        found = getattr(devices.read({rate: bad}, default), rate)
        usual = getattr(default, rate)
        measured_at_zero = rate == "fresh" or not usual  # new pages may cost nothing to measure
        assert found == usual or (measured_at_zero and 0 <= found < 1)


def test_rates_at_their_bounds_are_read_as_they_were_written() -> None:
    for factor in (1 / BOUND, BOUND):
        rates = {
            f.name: getattr(DEFAULT, f.name) * factor
            for f in fields(Machine)
            if isinstance(getattr(DEFAULT, f.name), float)
            and f.name not in ("dense_pattern", "library_discount")
        }
        text = json.loads(json.dumps(devices.written(replace(DEFAULT, **rates))))
        assert devices.read(text, DEFAULT) == replace(DEFAULT, **rates)


def test_a_rate_of_zero_is_no_division_by_zero(cache: Path) -> None:
    devices.rates_store().put(devices.name("cpu"), {f.name: 0 for f in fields(Machine)})
    assert devices.machine().many == DEFAULT.many
    shapes = {"X": (1, 2, 4, 4), "dY": (1, 2, 4, 4)}
    assert dg.shipped("conv2d")["dW"].compile(k1=1, k2=1, p=0).specialise(**shapes)
