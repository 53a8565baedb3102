"""What operations say of themselves: multiplications that are those that run, and a law."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from diagrammar import program as ops
from diagrammar.backends.torch.emit import emit_module, load_one
from diagrammar.backends.torch.library import Libraries
from diagrammar.program.liveness import numbers
from diagrammar.program.operations.base import Base, Example
from diagrammar.program.operations.placed import Placed, row_major
from tests.backends import hand_programs
from tests.program.test_passes import OWN

KINDS = tuple(ops.OPERATIONS)
MULTIPLY = {
    *(ops.Einsum, ops.Masked, ops.Gram, ops.WindowGram),
    *(ops.Convolution, ops.TransposedConvolution, ops.WeightGradient),
}
NATIVE = ("convolution", "transposed_convolution", "input_gradient", "weight_gradient")
PROGRAMS = [
    hand_programs.kfac_reduce(2, 3, 8),
    hand_programs.unfold_matmul(2, 8),
    hand_programs.gram("gram"),
    hand_programs.gram("window_gram"),
    *map(hand_programs.native, NATIVE),
]


def test_only_products_have_multiplications_of_their_own():
    assert len(KINDS) > 30
    assert all(issubclass(kind, Base) for kind in KINDS)
    own = {kind for kind in KINDS if kind.multiplications is not Base.multiplications}
    assert own == MULTIPLY


def test_laws_are_sentences():
    laws = [kind.law for kind in KINDS if kind.law]
    assert len(laws) == len(set(laws)) >= 10
    assert all(not law.endswith(".") and law[0] != " " for law in laws)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_multiplications_are_those_that_run(program: ops.Program):
    random = np.random.default_rng(0)
    given = [
        torch.from_numpy(random.standard_normal([int(n) for n in p.shape]))
        for p in program.parameters
    ]
    f = load_one(emit_module([program], ""), "counted")
    with FlopCounterMode(display=False, custom_mapping=OWN) as counter:
        f(*given)
    counted = sum(s.operation.multiplications(*numbers(program, s)) for s in program.steps)
    assert counter.get_total_flops() == 2 * counted > 0


EXAMPLES = [(kind, example) for kind, examples in ops.OPERATIONS.items() for example in examples]
PLAIN = Libraries(lanes=1, member=0, image=0, images=0, facts=())
"""A library whose calls take as long as their multiplications say."""


@pytest.mark.parametrize(("kind", "example"), EXAMPLES, ids=lambda x: getattr(x, "__name__", ""))
def test_work_counts_all_multiplications(kind: type[Base], example: Example):
    """Without a fact of a library, work has the multiplications that the operation names; those of
    a masked product are made three times, for what is finite and for marks of either sign."""
    op = example.operation
    inputs = [Placed(shape, row_major(shape), False) for shape in example.inputs]
    found = op.work(inputs, Placed(example.result, row_major(example.result), True), PLAIN)
    named = op.multiplications(example.inputs, example.result)
    times = 3 if kind is ops.Masked else 1
    summed = not isinstance(op, ops.Einsum) or len({*op.terms[0]} & {*op.terms[1]} - {*op.out})
    swept = found.products + found.library + found.depthwise
    assert swept == pytest.approx(times * named if summed else 0)
    assert all(count >= 0 for count in found)
    if kind is not ops.Operand:
        assert found.views + found.calls + found.library_calls > 0
