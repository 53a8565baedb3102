"""Every registered operation on its examples: what it says of itself, against what happens."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from diagrammar import program as ops
from diagrammar.backends.numpy import evaluate
from diagrammar.backends.torch import emit as backend
from diagrammar.program.nonfinite import Known, Reach
from diagrammar.program.operations.base import OPERATIONS, Example, Role
from diagrammar.program.operations.placed import Placed, row_major
from diagrammar.program.operations.sharing import Overlap
from tests.plan.peaks import measured
from tests.program.test_passes import OWN

Array = np.ndarray[Any, np.dtype[Any]]
NUMBERS = 16
"""Bytes of Python numbers that become tensors, which are not counted."""
INDEX = 8
"""Bytes of the index of a picked entry, which is not counted."""
MASKS = 3
"""Bytes an entry of masks, which are not counted."""
EXAMPLES = [each for examples in OPERATIONS.values() for each in examples]


def names(value: str, shape: Sequence[int]) -> tuple[str, ...]:
    return tuple(f"{value}{'ijklmnop'[n]}" for n in range(len(shape)))


def program(example: Example) -> ops.Program:
    """The operation on operands."""
    shapes = {f"x{n}": shape for n, shape in enumerate(example.inputs)}
    given = tuple(ops.Parameter(name, names(name, s), s) for name, s in shapes.items())
    if isinstance(example.operation, ops.Operand):
        given = (ops.Parameter("X", names("x", example.result), example.result),)
    steps = [ops.Step(ops.Operand(name), s, names(name, s)) for name, s in shapes.items()]
    steps.append(ops.Step(example.operation, example.result, names("y", example.result)))
    return ops.Program("Y", given, tuple(steps), (len(steps) - 1,), ("Y",))


def positive(example: Example) -> list[Array]:
    """Operands above zero, all entries different."""
    draw = np.random.default_rng(0)
    return [0.1 + draw.random(p.shape) for p in program(example).parameters]  # type: ignore[arg-type]


def oracle(example: Example, operands: Sequence[Array]) -> Array:
    made = program(example)
    given = dict(zip((p.name for p in made.parameters), operands, strict=True))
    return np.asarray(evaluate(made, given)[0])


def emitted(example: Example) -> Any:
    made = program(example)
    return backend.load_one(backend.emit_module([made], "", checked=False), made.name)


def tensors(example: Example) -> list[torch.Tensor]:
    return [torch.from_numpy(x) for x in positive(example)]


def shapes(example: Example) -> list[tuple[int, ...]]:
    return [example.inputs[v] for v in example.operation.reads]


def placed(example: Example) -> list[Placed]:
    return [Placed(shape, row_major(shape), False) for shape in shapes(example)]


def storage(x: torch.Tensor) -> int:
    return x.untyped_storage().data_ptr()


def addresses(x: torch.Tensor) -> list[int]:
    index = np.indices(x.shape).reshape(x.ndim, -1)
    return list(np.asarray(x.stride(), int) @ index)


def known(example: Example) -> Known:
    """What the operation says of its result where all that it reads are operands."""
    op = example.operation
    given = [Known(True, covers=lambda _: True) for _ in op.reads]  # none has a zero
    return Known(
        op.is_given([True for _ in given]),
        op.zeros(given, shapes(example), example.result),
        op.reach(given, shapes(example), example.result),
    )


def label(example: Example) -> str:
    return type(example.operation).__name__


@pytest.mark.parametrize("example", EXAMPLES, ids=label)
class TestEveryOperation:
    def test_its_emitted_code_is_what_the_oracle_does(self, example: Example):
        found = emitted(example)(*tensors(example)).numpy()
        expected = oracle(example, positive(example))
        assert found.shape == expected.shape == example.result
        assert np.allclose(found, expected, rtol=1e-12, atol=0, equal_nan=True)

    def test_it_numbers_its_inputs_in_fields_that_can_be_reread(self, example: Example):
        op, count = example.operation, len(example.inputs)
        assert sorted(op.inputs) == list(range(count))
        again = ops.reread(op, {n: n + 7 for n in range(count)})
        assert again.inputs == tuple(n + 7 for n in op.inputs)

    def test_its_result_depends_on_what_it_reads(self, example: Example):
        operands = positive(example)
        before = oracle(example, operands)
        for n in range(len(example.inputs)):
            other = [np.full_like(x, np.nan) if m == n else x for m, x in enumerate(operands)]
            changes = not np.array_equal(oracle(example, other), before, equal_nan=True)
            assert changes == (n in example.operation.reads)

    def test_its_role_is_what_it_does(self, example: Example):
        role, operands = example.operation.role, positive(example)
        result = oracle(example, operands)
        doubled = oracle(example, [2 * x for x in operands])
        inside = set(result.flat) <= {0.0, *(v for x in operands for v in x.flat)}
        if role in (Role.MOVE, Role.SUM):
            assert inside == (role is Role.MOVE)
            assert np.allclose(doubled, 2 * result, rtol=1e-12)
        if role in (Role.PRODUCT, Role.CALL):
            assert not np.allclose(doubled, 2 * result)
        if role is Role.EACH:
            assert example.result == example.inputs[0]

    def test_its_multiplications_are_those_that_run(self, example: Example):
        call, given = emitted(example), tensors(example)
        with FlopCounterMode(display=False, custom_mapping=OWN) as counter:
            call(*given)
        counted = example.operation.multiplications(shapes(example), example.result)
        if isinstance(example.operation, ops.Masked) and not example.operation.whole:
            counted *= 3  # finite entries, and marks of the others with either sign
        assert counter.get_total_flops() == 2 * counted

    def test_it_is_a_view_where_it_says_so(self, example: Example):
        op, given = example.operation, tensors(example)
        result = emitted(example)(*given)
        is_view = any(storage(result) == storage(x) for x in given)
        strides = op.strides(placed(example), example.result)
        overlap = op.shares(Overlap.NONE, shapes(example), example.result)
        if op.role is not Role.OPERAND:
            assert is_view == (overlap is not None)
        if strides is not None:
            assert is_view
        places = addresses(result)
        assert (len(set(places)) < len(places)) == bool(overlap)
        said = op.written(example.result) if strides is None else strides
        lying = [
            (a, b) for a, b, n in zip(result.stride(), said, result.shape, strict=True) if n > 1
        ]
        if strides is None:  # what is cut from a larger buffer lies in this order, with gaps
            assert sorted(lying) == sorted(lying, key=lambda pair: pair[1])
        else:
            assert all(a == b for a, b in lying)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    def test_it_allocates_no_more_than_it_says(self, example: Example, dtype: torch.dtype):
        op, given = example.operation, [x.to(dtype) for x in tensors(example)]
        call = emitted(example)
        itemsize = max(dtype.itemsize, call(*given).dtype.itemsize)
        written = [] if op.strides(placed(example), example.result) else [example.result]
        aside = op.workspace(shapes(example), example.result)
        aside += op.scratch(placed(example), example.result, itemsize)
        picked = sum(length for _, length, _ in getattr(op, "runs", ()))
        masks = prod(example.result) if op.role is Role.EACH else 0
        uncounted = NUMBERS + INDEX * picked + MASKS * masks
        peak = measured(lambda: call(*given))
        assert peak <= itemsize * (sum(map(prod, written)) + aside) + uncounted

    def test_its_zeros_are_those_that_it_has(self, example: Example):
        said = known(example)
        if said.given or example.operation.role is Role.PATTERN:
            assert (said.zeros is not Reach.SUMS) == (0 in oracle(example, positive(example)))

    def test_a_nan_reaches_what_it_says(self, example: Example):
        said, operands = known(example), positive(example)
        before, call = oracle(example, operands), emitted(example)
        spoils = further = False
        for n in example.operation.reads:
            for entry in np.ndindex(operands[n].shape):
                other = [x.copy() for x in operands]
                other[n][entry] = np.nan
                spoilt = np.isnan(call(*map(torch.from_numpy, other)).numpy()) & ~np.isnan(before)
                other[n][entry] = 2 * operands[n][entry] + 1
                depends = ~np.isclose(oracle(example, other), before, rtol=1e-12, atol=0)
                spoils |= bool(spoilt.any())
                further |= bool((spoilt & ~depends).any())
        assert said.given == (spoils or example.operation.role is Role.OPERAND)
        assert further == (said.reach is not Reach.SUMS)


def test_names_in_pictures_are_different():
    first = [examples[0].operation for examples in OPERATIONS.values()]
    titles = [op.title for op in first]
    assert len(set(titles)) == len(titles)
