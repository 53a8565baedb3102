"""Measured plans: a clock that is not real, a store that is kept, damaged and shared."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import diagrammar as dg
from diagrammar.backends.torch.library import RATES
from diagrammar.cost.store import VERSION, Store
from diagrammar.plan.measure import BLOCK, key, reserved, seconds, timed
from diagrammar.runtime.devices import device


class FakeClock:
    """Time that passes only when a call says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.count: dict[str, int] = {}

    def __call__(self) -> float:
        return self.now

    def taking(self, name: str, *seconds: float) -> Callable[[], None]:
        """A call that takes these seconds in turn, then the last of them."""

        def call() -> None:
            at = self.count.get(name, 0)
            self.count[name] = at + 1
            self.now += seconds[min(at, len(seconds) - 1)]

        return call


def test_the_median_counts_and_warming_up_does_not() -> None:
    clock = FakeClock()
    calls = [clock.taking("a", 9.0, 1.0, 1.0, 7.0, 1.0), clock.taking("b", 2.0)]
    assert timed(calls, clock, rounds=5, budget=100.0) == [1.0, 2.0]
    assert clock.count == {"a": 6, "b": 6}


def test_the_order_changes() -> None:
    """What ran before decides what is in the caches."""
    clock, order = FakeClock(), []

    def noting(name: str) -> Callable[[], None]:
        taking = clock.taking(name, 1.0)

        def call() -> None:
            order.append(name)
            taking()

        return call

    timed([noting(n) for n in "abc"], clock, rounds=12, budget=1000.0)
    assert len({tuple(order[n : n + 3]) for n in range(9, len(order), 3)}) > 2


def test_what_is_hopeless_is_timed_twice() -> None:
    clock = FakeClock()
    timed([clock.taking("fast", 1.0), clock.taking("slow", 10.0)], clock, rounds=5, budget=100.0)
    assert clock.count == {"fast": 6, "slow": 3}


def test_a_slow_first_call_or_first_time_is_not_the_last() -> None:
    """A library may make code for a shape when it first meets it."""
    clock = FakeClock()
    calls = [clock.taking("fast", 0.5), clock.taking("cold", 20.0, 9.0, 0.25)]
    assert timed(calls, clock, rounds=5, budget=100.0) == [0.5, 0.25]


def test_what_is_far_slower_is_called_once() -> None:
    clock = FakeClock()
    timed([clock.taking("fast", 1.0), clock.taking("slow", 50.0)], clock, rounds=5, budget=100.0)
    assert clock.count == {"fast": 6, "slow": 1}


def test_the_budget_ends_the_turns() -> None:
    clock = FakeClock()
    timed([clock.taking("a", 1.0), clock.taking("b", 2.0)], clock, rounds=50, budget=5.0)
    assert clock.count == {"a": 3, "b": 3}  # warm, first, then while at most 5 seconds are spent


def test_what_is_close_is_timed_on() -> None:
    clock = FakeClock()
    calls = [clock.taking("a", 1.0), clock.taking("b", 1.2), clock.taking("c", 2.0)]
    timed(calls, clock, rounds=5, budget=5.0)
    assert clock.count == {"a": 6, "b": 6, "c": 3}


def test_a_choice_is_measured_once(tmp_path: Path) -> None:
    clock, store = FakeClock(), Store(tmp_path / "deep" / "plans.json")
    facts = {"threads": 1}

    def calls() -> list[Callable[[], None]]:
        return [clock.taking("a", 2.0), clock.taking("b", 1.0)]

    assert seconds(["A", "B"], facts, calls, store, clock) == [2.0, 1.0]
    before = dict(clock.count)
    assert seconds(["B", "A"], facts, calls, store, clock) == [1.0, 2.0]
    assert clock.count == before
    seconds(["A", "B"], {"threads": 2}, calls, store, clock)
    assert clock.count != before


def test_a_key_depends_on_sources_and_facts() -> None:
    same = key(["a", "b"], {"x": 1})
    assert same == key(["b", "a"], {"x": 1})
    assert len({same, key(["a"], {"x": 1}), key(["a", "b"], {"x": 2})}) == 3


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"version": 0, "plans": {"k": {}}}', f'{{"version": {VERSION}, "plans": 3}}'],
)
def test_a_damaged_or_old_file_is_empty_and_then_replaced(text: str, tmp_path: Path) -> None:
    store = Store(tmp_path / "plans.json")
    store.path.write_text(text, encoding="utf-8")
    assert store.get("k") is None
    assert store.put("k", {"seconds": {}})
    assert json.loads(store.path.read_text(encoding="utf-8"))["version"] == VERSION
    assert [p.name for p in tmp_path.iterdir()] == ["plans.json"]


def test_two_writers_keep_each_others_choices(tmp_path: Path) -> None:
    one, two = Store(tmp_path / "plans.json"), Store(tmp_path / "plans.json")
    one.put("a", {"n": 1})
    two.put("b", {"n": 2})
    assert {key: entry["n"] for key, entry in one.entries().items()} == {"a": 1, "b": 2}


def test_a_disk_that_refuses_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert not Store(tmp_path / "file" / "plans.json").put("k", {})


def test_a_measured_function_is_right_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIAGRAMMAR_CACHE", str(tmp_path))
    spec = dg.shipped("conv2d")
    x, w = torch.randn(2, 4, 6, 6), torch.randn(5, 4, 1, 1)
    v = torch.randn(2, 5, 6, 6)
    f = spec["dW"].compile(k1=1, k2=1, p=0, plan="measure")
    weight = w.clone().requires_grad_()
    expected = torch.autograd.grad(torch.nn.functional.conv2d(x, weight), weight, v)[0]
    assert torch.allclose(f(x, v), expected, atol=1e-4)
    (entry,) = Store().entries().values()
    assert len(entry["seconds"]) >= 2
    made = f.specialise(X=x.shape, dY=v.shape)
    assert made.chosen == min(made.seconds, key=lambda name: made.seconds[name])
    again = spec["dW"].compile(k1=1, k2=1, p=0, plan="measure")
    again(x, v)
    assert again.specialise(X=x.shape, dY=v.shape).seconds == made.seconds


def test_an_unknown_way_to_plan_is_an_error() -> None:
    with pytest.raises(dg.DiagramError, match="option 'plan' must be 'cost' or 'measure'"):
        dg.shipped("conv2d")["Y"].compile(plan="guess")


FAULTS = """
import resource, torch
from contextlib import nullcontext
from diagrammar.plan.measure import BLOCK, reserved

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros(BLOCK // 8) + torch.zeros(BLOCK // 8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with {what}:
    print([faults() for _ in range(3)][1])  # the first fills what is free
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about the heap of glibc")
def test_what_is_reserved_is_not_asked_of_the_system_again() -> None:
    def faults(what: str) -> int:
        program = FAULTS.replace("{what}", what)
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, check=True, text=True
        )
        return int(done.stdout)

    assert faults("nullcontext()") > 1000  # of 8,000 pages
    assert faults("reserved(2 * BLOCK)") < 100


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about the heap of glibc")
def test_what_was_reserved_is_given_back() -> None:
    def resident() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * int(os.sysconf("SC_PAGE_SIZE"))

    kept = []
    with reserved(4 * BLOCK):
        within = resident()
        kept.append(torch.zeros(BLOCK // 16))  # what stays may lie in a gap
    assert within - resident() > 8 * BLOCK


def test_a_first_call_within_a_transform_is_measured(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("DIAGRAMMAR_CACHE", str(tmp_path))
    f = dg.shipped("conv2d")["Y"].compile(plan="measure", g=1)
    x, w, bias = torch.rand(2, 3, 6, 6), torch.rand(4, 3, 3, 3), torch.rand(4)
    found = torch.func.grad(lambda x: f(x, w, bias).square().sum())(x)
    x.requires_grad_()
    y = torch.nn.functional.conv2d(x, w, bias, padding=1)
    assert torch.allclose(found, torch.autograd.grad(y.square().sum(), x)[0], rtol=1e-4)
    made = f.specialise(X=tuple(x.shape), W=tuple(w.shape), bias=tuple(bias.shape))
    assert len(made.seconds) > 1


def test_without_a_home_or_a_readable_folder_there_are_no_rates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", staticmethod(homeless))
    for name in ("DIAGRAMMAR_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert dg.parse("tensor X[b]\nY[] = X[b]")["Y"].compile()(torch.ones(3)) == 3
    deep = tmp_path / "rates.json"
    deep.write_text("[" * 100_000)
    monkeypatch.delenv("DIAGRAMMAR_CALIBRATE")
    assert device(store=Store(deep), measure=False).rates == RATES
