"""Real layers: seven operations against PyTorch on a representative tenth, and their programs.

All 132 layers: `python -m benchmarks.conformance`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from benchmarks import conformance, demo, operations
from benchmarks.layers import Layer, chosen, every, layers
from benchmarks.operations import OPERATIONS
from benchmarks.reduce_speed import census
from benchmarks.timing import Clock
from diagrammar import program as ops
from diagrammar.program.liveness import numbers
from diagrammar.runtime.specialised import Specialised
from tests import reference
from tests.reference import Hyper

ALL = layers()
TENTH = every(ALL, 10)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for one another are slow where several test processes share the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def layer(label: str) -> Layer:
    (found,) = (layer for layer in ALL if layer.label == label)
    return found


def program_of(layer: Layer, name: str, batch: int = 2, **options: Any) -> Specialised:
    op = operations.operation(name)
    return operations.specialised(layer, op, batch, operations.compiled(layer, op, **options))


@pytest.mark.parametrize("layer", TENTH, ids=lambda layer: layer.label)
def test_operations_agree_with_pytorch(layer: Layer) -> None:
    wrong = [o for o in conformance.outcomes(layer) if not o.good]
    assert not wrong


def test_there_are_132_layers_and_12_pad_unequally() -> None:
    assert len({layer.label for layer in ALL}) == 132
    assert sum(layer.unequal for layer in ALL) == 12


def test_the_tenth_has_every_kind_of_layer() -> None:
    assert {layer.kind for layer in TENTH} == {layer.kind for layer in ALL}
    assert {max(layer.stride) for layer in TENTH} == {1, 2, 4}
    assert any(layer.groups == layer.in_channels > 1 for layer in TENTH)
    assert any(layer.in_channels > layer.groups > 1 for layer in TENTH)
    assert any(layer.unequal for layer in TENTH)
    assert any(layer.kernel_size == (1, 1) for layer in TENTH)


@pytest.mark.parametrize("layer", ALL, ids=lambda layer: layer.label)
def test_output_size_is_that_of_pytorch(layer: Layer) -> None:
    x = torch.empty(layer.input_shape(1), device="meta")
    w = torch.empty(layer.weight_shape, device="meta")
    made = reference.forward(operations.hyper(layer), x, w)
    assert made.shape == layer.output_shape(1)


# -- derivations ----------------------------------------------------------------------------------


STRUCTURED = {
    "dense": "ConvNeXt_base/features.0.0",
    "downsampling": "ResNet18/layer2.0.downsample.0",
}


@pytest.mark.parametrize("name", [op.name for op in OPERATIONS if op.name != "KFAC-reduce"])
@pytest.mark.parametrize("rule", STRUCTURED)
def test_derivation_turns_patterns_into_a_reshape_or_slice(rule: str, name: str) -> None:
    special = program_of(layer(STRUCTURED[rule]), name, native=False)
    ((trace,), (diagram,)) = special.traces, special.diagrams
    assert {name for s in trace if s.rule.name == rule for name in s.at} == {"P1", "P2"}
    assert rule in str(trace)
    assert "conv(" not in str(diagram)
    used = {type(step.operation) for step in special.program.steps}
    assert not used & {ops.Window, ops.Indicator, ops.Convolution, ops.WeightGradient}


@pytest.mark.parametrize("rule", STRUCTURED)
def test_reduce_sums_the_positions_of_a_pattern_first(rule: str) -> None:
    special = program_of(layer(STRUCTURED[rule]), "KFAC-reduce", native=False)
    (trace,) = special.traces
    assert {step.rule.name for step in trace} & {rule, "summed end"}
    assert census(special.program)[0] == 0


@pytest.mark.parametrize("layer", ALL, ids=lambda layer: layer.label)
def test_no_factor_builds_a_pattern(layer: Layer) -> None:
    for name in ("KFAC-expand", "KFAC-reduce"):
        assert operations.dense_patterns(program_of(layer, name)) == 0


def test_reduce_never_unfolds() -> None:
    """Where a window matrix may multiply zeros of its own; what contains a NaN sums windows of the
    input's view instead, which is no copy."""
    for layer in every([layer for layer in ALL if layer.kind == "general"], 4):
        program = program_of(layer, "KFAC-reduce", 16, nonfinite="spread").program
        assert not any(isinstance(step.operation, ops.Window) for step in program.steps)
        work = [step.operation.multiplications(*numbers(program, step)) for step in program.steps]
        whole = program.steps[work.index(max(work))]
        assert census(program)[2] == isinstance(whole.operation, ops.Einsum)  # or it is a call


# -- references and commands ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "h",
    [
        Hyper((3, 2), (2, 1), (1, 0), (1, 2), groups=2),
        Hyper((1, 1), (2, 2)),
        Hyper((2, 3), (3, 2), (2, 3), (2, 1)),
    ],
)
def test_references_agree_with_one_another(h: Hyper) -> None:
    x = torch.randn(2, 4, 7, 8, dtype=torch.float64)
    w = torch.randn(6, 4 // h.groups, *h.kernel_size, dtype=torch.float64)
    y, rows = reference.forward(h, x, w), reference.unfolded(h, x)
    product = torch.einsum("god,ngdp->ngop", w.reshape(h.groups, 6 // h.groups, -1), rows)
    torch.testing.assert_close(product.reshape(y.shape), y, rtol=1e-12, atol=1e-12)
    v = torch.randn_like(y)
    along_x = (reference.input_vjp(h, x, w, v) * x).sum()
    along_w = (reference.weight_vjp(h, x, w, v) * w).sum()
    torch.testing.assert_close(along_x, (v * y).sum(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(along_w, (v * y).sum(), rtol=1e-12, atol=1e-12)
    expand = sum(r @ r.mT for r in rows) / 2
    torch.testing.assert_close(reference.kfac_expand(h, x), expand)
    mean = rows.mean(-1)
    torch.testing.assert_close(
        reference.kfac_reduce(h, x), sum(m[:, :, None] * m[:, None] for m in mean) / 2
    )


def test_relative_error_sees_shapes_and_nans() -> None:
    a = torch.ones(2, 2)
    assert reference.relative_error(a, 2 * a) == pytest.approx(0.5)
    assert reference.relative_error(a, functional.pad(a, (0, 1))) == float("inf")
    assert reference.relative_error(a * float("nan"), a) == float("inf")


def test_demo_writes_code_that_runs_alone(tmp_path: Path) -> None:
    (small,) = chosen(ALL, ["2c2d_FashionMNIST/conv1"])
    clock = Clock(rounds=1, least=1, seconds=0.0)
    for op in OPERATIONS:
        found = demo.result(small, op, clock, tmp_path)
        assert found.error <= demo.TOLERANCE
    written = sorted(tmp_path.glob("*.py"))
    assert len(written) == len(OPERATIONS)
    for path in written:
        text = path.read_text(encoding="utf-8")
        assert "diagrammar" not in text
        compile(text, path.name, "exec")
        assert "plan:" in path.with_suffix(".txt").read_text(encoding="utf-8")
