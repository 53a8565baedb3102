"""What operations say of themselves: multiplications that are those that run, and a law."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from diagrammar import program as ops
from diagrammar.backends.torch.emit import emit_module, load_one
from diagrammar.program.liveness import numbers
from diagrammar.program.operations.base import Base
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
