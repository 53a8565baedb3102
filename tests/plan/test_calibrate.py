"""Rates of the cost model: fitted to counted work, stored whole, and read with care."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from random import Random
from typing import ClassVar

import pytest
import torch

import diagrammar as dg
from diagrammar.__main__ import main
from diagrammar.backends.torch.library import FACTS, RATES, Libraries
from diagrammar.backends.torch.probes import probes, seconds
from diagrammar.cost.calibrate import FAR, WELL, fit
from diagrammar.cost.device import Rates, model, read
from diagrammar.cost.pricing import work
from diagrammar.cost.store import VERSION
from diagrammar.runtime import devices, measuring

DEFAULT = RATES


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIAGRAMMAR_CACHE", str(tmp_path))
    monkeypatch.delenv("DIAGRAMMAR_CALIBRATE")
    monkeypatch.setattr(devices, "_measured", {})
    return tmp_path


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(kind: str) -> None:
        raise AssertionError(f"rates of {kind} are measured")

    monkeypatch.setattr(devices, "measured", measured)


class TestFit:
    """What is fitted are the seconds of the probes, here made of rates that are known."""

    works: ClassVar = [work(program, Libraries()) for program in probes()]

    def taken(self, rates: Rates, noise: float = 0.0) -> list[float]:
        draw = Random(0)
        exact = [sum(n * rate for n, rate in zip(w, rates, strict=True)) for w in self.works]
        return [t * (1 + noise * draw.uniform(-1, 1)) for t in exact]

    @pytest.mark.parametrize("seed", range(5))
    def test_it_finds_the_rates_of_any_device(self, seed: int) -> None:
        draw = Random(seed)
        rates = Rates(*(rate * draw.uniform(0.2, 5) for rate in DEFAULT))
        found = fit(self.works, self.taken(rates), DEFAULT)
        assert found.rates == pytest.approx(rates, rel=1e-6)
        assert found.good
        assert not found.unknown

    def test_noise_of_some_per_cent_changes_rates_by_as_much(self) -> None:
        found = fit(self.works, self.taken(DEFAULT, noise=0.05), DEFAULT)
        assert found.good
        for name in ("products", "library", "streamed", "strided"):
            ratio = getattr(found.rates, name) / getattr(DEFAULT, name)
            assert 0.7 < ratio < 1.4, name

    def test_measurements_that_no_rates_explain_are_not_used(self) -> None:
        draw = Random(0)
        wild = [t * 10 ** draw.uniform(-2, 2) for t in self.taken(DEFAULT)]
        found = fit(self.works, wild, DEFAULT)
        assert found.error > WELL
        assert not found.good

    def test_rates_far_from_any_device_are_not_used(self) -> None:
        rates = DEFAULT._replace(library=DEFAULT.library * 10 * FAR)
        found = fit(self.works, self.taken(rates), DEFAULT)
        assert found.far == ("library",)
        assert not found.good

    def test_a_rate_that_nothing_tells_is_as_much_faster_as_the_others(self) -> None:
        without = [w._replace(depthwise=0) for w in self.works]
        rates = Rates(*(rate / 2 for rate in DEFAULT))
        taken = [sum(n * r for n, r in zip(w, rates, strict=True)) for w in without]
        found = fit(without, taken, DEFAULT)
        assert found.unknown == ("depthwise",)
        assert found.rates.depthwise == pytest.approx(DEFAULT.depthwise / 2)


class TestProbes:
    @pytest.mark.parametrize("rate", Rates._fields)
    def test_each_rate_is_most_of_what_some_probe_does(self, rate: str) -> None:
        place = Rates._fields.index(rate)
        shares = []
        for program in probes():
            parts = [n * r for n, r in zip(work(program, Libraries()), DEFAULT, strict=True)]
            shares.append(parts[place] / sum(parts))
        assert max(shares) > 0.4

    def test_they_run_and_take_time(self) -> None:
        some = [p for p in probes() if all(prod(map(int, q.shape)) < 2**17 for q in p.parameters)]
        assert len(some) > 10
        assert all(t > 0 for t in seconds(some, "cpu"))


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_a_fact_is_of_its_example_and_not_of_the_plain_call(fact: object) -> None:
    assert isinstance(fact, type(FACTS[0]))
    assert fact.factor(fact.example) != 1.0
    assert abs(fact.factor(fact.plain) - 1) < abs(fact.factor(fact.example) - 1)


def test_rates_are_measured_once_and_stored(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def measured(kind: str) -> object:
        asked.append(kind)
        return fit(TestFit.works, TestFit().taken(DEFAULT), DEFAULT)

    monkeypatch.setattr(devices, "measured", measured)
    first = devices.device()
    assert first.rates == pytest.approx(DEFAULT)
    assert "measured here" in first.source
    assert devices.device() == first
    assert asked == ["cpu"]
    assert (cache / "rates.json").exists()


def test_bad_measurements_are_remembered_and_said(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def measured(kind: str) -> object:
        asked.append(kind)
        far = DEFAULT._replace(products=DEFAULT.products / (10 * FAR))
        return fit(TestFit.works, TestFit().taken(far), DEFAULT)

    monkeypatch.setattr(devices, "measured", measured)
    for _ in range(2):
        found = devices.device()
        assert found.rates == DEFAULT
        assert "not used" in found.source
        assert "products" in found.source
    assert asked == ["cpu"]


def test_where_the_disk_takes_nothing_the_process_remembers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def measured(kind: str) -> object:
        asked.append(kind)
        return fit(TestFit.works, TestFit().taken(DEFAULT), DEFAULT)

    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DIAGRAMMAR_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(devices, "measured", measured)
    assert devices.device() == devices.device()
    assert asked == ["cpu"]


def test_measuring_can_be_forbidden(never: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was stored before does not count either: plans are the same everywhere."""
    faster = DEFAULT._replace(products=DEFAULT.products / 7)
    assert devices.rates_store().put(model("cpu").name(), faster._asdict())
    monkeypatch.setenv("DIAGRAMMAR_CALIBRATE", "off")
    assert devices.device().rates == DEFAULT
    assert "off" in devices.device().source


def test_pictures_measure_nothing(never: None) -> None:
    assert devices.device(measure=False).rates == DEFAULT


def test_stored_rates_count_for_this_device_and_its_threads(never: None) -> None:
    faster = DEFAULT._replace(products=DEFAULT.products / 7)
    assert devices.rates_store().put(model("cpu").name(), faster._asdict())
    assert devices.device().rates == faster
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        assert devices.device(measure=False).rates == DEFAULT
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("rate", Rates._fields)
@pytest.mark.parametrize("bad", [-1, 1e11, 10**400, float("inf"), float("nan"), "1", True, None])
def test_rates_of_which_one_cannot_be_are_none(rate: str, bad: object) -> None:
    assert read({**DEFAULT._asdict(), rate: bad}) is None


def test_rates_that_lack_one_are_none() -> None:
    some = DEFAULT._asdict()
    del some["views"]
    assert read(some) is None
    assert read(None) is None
    assert read(DEFAULT._asdict()) == DEFAULT


def test_a_damaged_file_is_no_error(cache: Path) -> None:
    (cache / "rates.json").write_text("{", encoding="utf-8")
    assert devices.device(measure=False).rates == DEFAULT


def test_plans_follow_the_rates(never: None) -> None:
    shapes = {"X": (2, 8, 9, 9), "W": (8, 8, 3, 3), "bias": (8,)}
    worse = {n: getattr(DEFAULT, n) * 50 for n in ("library", "library_calls", "reordered")}
    better = {n: getattr(DEFAULT, n) / 50 for n in ("products", "strided", "calls", "views")}
    devices.rates_store().put(model("cpu").name(), DEFAULT._asdict())
    first = dg.shipped("conv2d")["Y"].compile().specialise(**shapes)
    devices.rates_store().put(model("cpu").name(), DEFAULT._replace(**worse, **better)._asdict())
    second = dg.shipped("conv2d")["Y"].compile().specialise(**shapes)
    assert "conv2d(" in first.source
    assert "conv2d(" not in second.source


def test_a_plan_says_which_rates_it_used(never: None) -> None:
    devices.rates_store().put(model("cpu").name(), {**DEFAULT._asdict(), "fit": "within 7 %"})
    shapes = {"X": (2, 8, 9, 9), "W": (8, 8, 3, 3), "bias": (8,)}
    plan = dg.shipped("conv2d")["Y"].compile().specialise(**shapes).plan
    assert "estimates: rates measured here, within 7 %" in str(plan)


def test_the_command_measures_stores_shows_and_forgets(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", "--show"]) == 0
    assert "not calibrated" in " ".join(capsys.readouterr().out.split())
    assert main(["calibrate"]) == 0
    assert "stored:" in capsys.readouterr().out
    data = json.loads((cache / "rates.json").read_text(encoding="utf-8"))
    assert data["version"] == VERSION
    assert list(data["plans"]) == [model("cpu").name()]
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


@pytest.mark.parametrize(("size", "asked"), [(224, True), (6, False)])
@pytest.mark.parametrize("own", [True, False])
def test_a_doubt_is_settled_by_the_clock_where_that_is_worth_it(
    size: int, asked: bool, own: bool, never: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a device with rates of its own, for calls of a millisecond; never with shipped rates."""
    timed = []

    def measured(special: object, operands: object) -> object:
        timed.append(operands)
        return special

    monkeypatch.setattr(measuring, "measured", measured)
    if own:
        assert devices.rates_store().put(model("cpu").name(), DEFAULT._asdict())
    else:
        monkeypatch.setenv("DIAGRAMMAR_CALIBRATE", "off")
    f = dg.shipped("conv2d")["dW"].compile(k1=3, k2=3, p=1)
    f(X=torch.ones(2, 8, size, size), dY=torch.ones(2, 8, size, size))
    assert bool(timed) is (asked and own)
