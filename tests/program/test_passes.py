"""Every registered program pass: it replaces a step of its example, none of its near miss, and
keeps values, origins, what a NaN reaches, and the count of multiplications true."""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import diagrammar as dg
from diagrammar.backends.numpy import evaluate
from diagrammar.backends.torch import emit as backend
from diagrammar.plan.planner import plan
from diagrammar.plan.strategies import strategies
from diagrammar.program import Program
from diagrammar.program.liveness import numbers
from diagrammar.program.nonfinite import Reach, reach
from diagrammar.program.passes.driver import rewritten, why_not
from diagrammar.program.passes.registry import PASSES, ProgramPass, in_order, program_pass
from diagrammar.rules.passes import Pipeline
from diagrammar.runtime.devices import default
from tests.oracle import at

Array = np.ndarray[Any, np.dtype[Any]]
ENTRIES = 8
"""Entries of an operand that are made NaN in turn."""


def programs(said: str | Program) -> Iterator[Program]:
    """A program, or those that the strategies make of a text before any pass."""
    if isinstance(said, Program):
        yield said
        return
    spec = dg.parse(said)
    diagram = Pipeline().run(at(spec[next(iter(spec))])).diagram
    for one in strategies([diagram], default(), native=True, as_written=False, contained=False):
        options, shortcut = one.options, one.shortcut
        yield plan("Y", [diagram], diagram.operands, options, shortcut=shortcut).program


def changed(one: ProgramPass) -> list[tuple[Program, Program]]:
    """The programs of an example that the pass changes, before and after."""
    pairs = [(p, rewritten(p, one)) for p in programs(one.example)]
    return [(before, after) for before, after in pairs if before.steps != after.steps]


def operands(program: Program, seed: int) -> dict[str, Array]:
    draw = np.random.default_rng(seed)
    return {p.name: draw.standard_normal([int(n) for n in p.shape]) for p in program.parameters}


def emitted(program: Program, given: Mapping[str, Array]) -> list[Array]:
    """The results of the emitted function."""
    call = backend.load_one(backend.emit_module([program], "", checked=False), program.name)
    found = call(*(torch.from_numpy(given[p.name]) for p in program.parameters))
    return [x.numpy() for x in (found if isinstance(found, tuple) else (found,))]


def entries(shape: tuple[int, ...], seed: int) -> list[tuple[int, ...]]:
    every = list(np.ndindex(shape))
    few = random.Random(seed).sample(every, min(ENTRIES, len(every)))
    return list(dict.fromkeys([every[0], every[-1], *few]))


def depends(program: Program, name: str, entry: tuple[int, ...]) -> list[Array]:
    """The entries of the results that have an entry of an operand in a term, by the definition:
    where all terms are positive, those that change with it."""
    ones = {p.name: np.ones([int(n) for n in p.shape]) for p in program.parameters}
    more = copy.deepcopy(ones)
    more[name][entry] = 2.0
    pairs = zip(evaluate(program, ones), evaluate(program, more), strict=True)
    return [np.asarray(a != b) for a, b in pairs]


def of_backward(v: Any, x: Any, w: Any, *rest: Any, out_shape: Any) -> int:
    """Two for each multiplication of a convolution's backward pass. PyTorch's own formula counts
    products between groups, too."""
    return 2 * prod(v) * prod(w[1:]) * sum(rest[-1][:2])


OWN = {torch.ops.aten.convolution_backward: of_backward}


@pytest.mark.parametrize("one", PASSES.values(), ids=PASSES)
class TestEveryPass:
    def test_it_fires_on_its_example(self, one: ProgramPass) -> None:
        assert changed(one), [why_not(p, one) for p in programs(one.example)]

    def test_it_spares_its_near_miss_and_says_why(self, one: ProgramPass) -> None:
        every = list(programs(one.near_miss))
        reasons = [reason for p in every for reason in why_not(p, one)]
        assert len(reasons) == sum(len(p.steps) for p in every)  # none is replaced
        assert any(reason.endswith(f": {one.reason}") for reason in reasons), reasons

    def test_it_keeps_the_value(self, one: ProgramPass) -> None:
        for seed, (before, after) in enumerate(changed(one)):
            given = operands(before, seed)
            expected = evaluate(before, given)
            for found in (evaluate(after, given), emitted(after, given)):
                for a, b in zip(found, expected, strict=True):
                    assert a.shape == b.shape
                    assert np.allclose(a, b, rtol=1e-10, atol=1e-10)

    def test_it_confines_a_nan(self, one: ProgramPass) -> None:
        """It reaches its sums; others only if the program before let it, and never where the
        analysis says so."""
        for seed, (before, after) in enumerate(changed(one)):
            assert reach(after) <= reach(before)
            for p in before.parameters:
                for entry in entries(tuple(int(n) for n in p.shape), seed):
                    given = operands(before, seed)
                    given[p.name][entry] = np.nan
                    runs = emitted(after, given), emitted(before, given)
                    for own, now, was in zip(depends(before, p.name, entry), *runs, strict=True):
                        most = own if reach(after) is Reach.SUMS else own | np.isnan(was)
                        assert (np.isnan(now) | ~own).all(), f"{p.name}{entry} does not reach all"
                        assert (most | ~np.isnan(now)).all(), f"{p.name}{entry} reaches more"

    def test_its_multiplications_are_those_that_run(self, one: ProgramPass) -> None:
        for seed, (before, after) in enumerate(changed(one)):
            with FlopCounterMode(display=False, custom_mapping=OWN) as counter:
                emitted(after, operands(before, seed))
            counted = sum(s.operation.multiplications(*numbers(after, s)) for s in after.steps)
            assert counter.get_total_flops() == 2 * counted

    def test_it_keeps_the_origins(self, one: ProgramPass) -> None:
        for before, after in changed(one):
            had, has = before.within(), after.within()
            pairs = zip(before.results, after.results, strict=True)
            assert all(had[a] == has[b] for a, b in pairs)

    def test_it_says_what_it_is(self, one: ProgramPass) -> None:
        assert one.doc
        assert one.law

    def test_a_copy_is_the_pass_itself(self, one: ProgramPass) -> None:
        assert copy.deepcopy(one) is one
        assert pickle.loads(pickle.dumps(one)) is one


def test_a_name_is_taken_once() -> None:
    one = next(iter(PASSES.values()))
    with pytest.raises(ValueError, match=f"there is a pass '{one.name}' already"):
        program_pass(law="", example="", near_miss="", reason="", stage=one.stage)(one.change)


def test_passes_run_by_stage() -> None:
    assert [one.stage for one in in_order()] == sorted(one.stage for one in PASSES.values())
