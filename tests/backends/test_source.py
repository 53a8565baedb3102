"""The emitted source itself: golden modules, and what must never appear in one."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sympy
import torch
from hand_programs import (
    Builder,
    disjoint_fold,
    kfac_reduce,
    native,
    overlapping_fold,
    potpourri,
    symbolic,
    unfold_matmul,
)

from diagrammar.backends.numpy import evaluate
from diagrammar.backends.torch.emit import emit_function, emit_module, load
from diagrammar.ir import scalar
from diagrammar.program import Program, SizeBinding, SizeCheck

GOLDEN = Path(__file__).parent / "golden"
MODULES: dict[str, list[Program]] = {
    "kfac_reduce": [kfac_reduce()],
    "unfold_matmul": [unfold_matmul()],
    "folds": [disjoint_fold(), overlapping_fold()],
    "symbolic": [symbolic()],
    "native": [
        native("convolution"),
        native("transposed_convolution"),
        native("input_gradient"),
        native("weight_gradient"),
    ],
    "mixture": [potpourri()],
}


@pytest.mark.parametrize("name", MODULES)
def test_golden_source(name: str, request: pytest.FixtureRequest) -> None:
    source = emit_module(MODULES[name], f"The golden module {name!r}.")
    path = GOLDEN / f"{name}.txt"
    if request.config.getoption("--update"):
        path.write_text(source)
    assert source == path.read_text()


@pytest.mark.parametrize("name", MODULES)
def test_source_keeps_to_the_house_rules(name: str) -> None:
    source = emit_module(MODULES[name], "A module.")
    assert max(map(len, source.splitlines())) <= 100
    assert not re.search(r"as_strided|einsum_path|diagrammar", source)
    for call in ast.walk(ast.parse(source)):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "torch.einsum":
            assert len(call.args) == 3  # the equation and two operands
            terms = re.split(",|->", ast.literal_eval(call.args[0]))
            assert all(len(set(term)) == len(term) for term in terms)


def test_emission_is_deterministic_and_needs_no_torch() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import hand_programs as h\n"
        "from diagrammar.backends.torch.emit import emit_module\n"
        "print(emit_module([h.kfac_reduce(), h.symbolic(), h.potpourri()], 'x'), end='')\n"
        "assert 'torch' not in sys.modules"
    )
    here = str(Path(__file__).parent)
    runs = [
        subprocess.run(
            [sys.executable, "-c", code, here],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] == emit_module([kfac_reduce(), symbolic(), potpourri()], "x")


def test_a_module_runs_without_diagrammar(tmp_path: Path) -> None:
    path = tmp_path / "ops.py"
    path.write_text(emit_module([kfac_reduce(2, 3, 5)], "Operations."))
    code = (
        "import sys, torch; sys.path.insert(0, sys.argv[1]); from ops import A_reduce\n"
        "print(A_reduce(torch.ones(2, 3, 5, 5)).shape, 'diagrammar' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert run.stdout == "torch.Size([1, 27, 27]) False\n"


def test_loaded_functions_show_their_source() -> None:
    program = kfac_reduce(2, 3, 5)
    f = load(emit_module([program], "x"), "demo")["A_reduce"]
    emitted = emit_function(program, checked=True)
    assert inspect.getsource(f) == emitted.text
    assert inspect.getdoc(f) is not None
    assert str(inspect.signature(f)) == "(X: 'Tensor') -> 'Tensor'"
    try:
        f("no tensor")
    except AttributeError as error:
        lines = traceback.format_exception(error)
        assert any('_check(X, "X"' in line for line in lines)
        assert any("<diagrammar demo " in line for line in lines)


def test_shapes_are_checked() -> None:
    known = load(emit_module([kfac_reduce(2, 3, 5)], "x"), "known")["A_reduce"]
    with pytest.raises(ValueError, match=r"^X: axis 2 \(i1\) has size 4, expected 5$"):
        known(torch.ones(2, 3, 4, 5))
    with pytest.raises(ValueError, match=r"^X: has 2 axes, expected 4 \(b, \(g ci\), i1, i2\)$"):
        known(torch.ones(2, 3))
    generic = load(emit_module([symbolic()], "x"), "generic")["U"]
    assert generic(torch.ones(2, 6, 5), torch.ones(3, 3)).shape == (2, 3, 2, 3)
    with pytest.raises(ValueError, match=r"^X: axis 1 \(\(g ci\)\) has size 5, expected 3$"):
        generic(torch.ones(2, 5, 5), torch.ones(3, 3))
    with pytest.raises(ValueError, match=r"^W: has 1 axes, expected 2 \(g, k\)$"):
        generic(torch.ones(2, 6, 5), torch.ones(3))
    unchecked = emit_function(kfac_reduce(2, 3, 5), checked=False)
    assert "_check" not in unchecked.text
    assert unchecked.helpers == ("_indicator",)


def test_the_average_of_an_empty_batch_is_zero() -> None:
    generic = load(emit_module([symbolic()], "x"), "generic")["U"]
    assert generic(torch.ones(0, 6, 5), torch.ones(3, 3)).shape == (0, 3, 2, 3)
    b = Builder("mean")
    size = symbolic().steps[0].shape[0]
    x = b.operand("X", "b i", size, 3)
    program = b.program(b.scale(b.sum(x, 0), 1 / size), sizes=symbolic().sizes[:1])
    mean = load(emit_module([program], "x"), "mean")["mean"]
    assert torch.equal(mean(torch.ones(0, 3)), torch.zeros(3))


def test_sizes_may_be_part_of_an_axis() -> None:
    n, m = scalar.size("n"), scalar.size("m")
    b = Builder("f")
    x = b.operand("X", "n", n)
    y = b.operand("Y", "m", n + 2 * m)
    z = b.einsum("n,nm->m", x, b.reshape(b.slice(y, 0, n, 2 * m), (2, m)))
    sizes = [SizeBinding("n", "X", 0), SizeBinding("m", "Y", 0, divisor=2, offset=n)]
    program = b.program(z, sizes=sizes, checks=[SizeCheck("X", 0, 2, "n")])
    f = load(emit_module([program], "x"), "f")["f"]
    x_, y_ = np.arange(2.0), np.arange(8.0)
    (expected,) = evaluate(program, {"X": x_, "Y": y_})
    np.testing.assert_array_equal(f(torch.from_numpy(x_), torch.from_numpy(y_)), expected)
    with pytest.raises(ValueError, match=r"^X: axis 0 \(n\) has size 3, expected 2$"):
        f(torch.ones(3), torch.ones(9))
    with pytest.raises(ValueError, match=r"^Y: axis 0 \(m\) has size 7, expected 6$"):
        f(torch.ones(2), torch.ones(7))


def test_what_torch_cannot_do_is_refused() -> None:
    def refused(write: Callable[[Builder, int], int], message: str) -> None:
        b = Builder("f")
        x = b.operand("X", "i j", 2, 2)
        with pytest.raises(ValueError, match=message):
            emit_function(b.program(write(b, x)), checked=True)

    refused(lambda b, x: b.einsum("ij,jk,kl->il", x, x, x), "two values a step, not 3")
    refused(lambda b, x: b.einsum("ii,ij->ij", x, x), "a label stands twice")
    refused(lambda b, x: b.cast(x, "float32; import os"), "unknown dtype")
    refused(lambda b, x: b.scale(x, sympy.zoo), "zoo is no factor")
    refused(lambda b, x: b.expand(x, scalar.size("n"), 2, 2), "nothing binds the size 'n'")


def test_functions_share_helpers_and_constants() -> None:
    def named(name: str, i: int) -> Program:
        program = kfac_reduce(2, 3, i)
        fields = {s: getattr(program, s) for s in program.__slots__}
        return Program(**(fields | {"name": name, "result_names": (name,)}))

    source = emit_module([named("first", 5), named("second", 5), named("third", 6)], "x")
    assert source.count("def _indicator(") == source.count("def _check(") == 1
    constants = re.findall(r"^(_[A-Z]\w+) = ", source, re.MULTILINE)
    assert constants == ["_WINDOW_I1_K1", "_WINDOW_I2_K2", "_WINDOW_I1_K1_2", "_WINDOW_I2_K2_2"]
    functions = load(source, "three")
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 6))
    assert functions["third"](torch.from_numpy(x)).shape == (1, 27, 27)
    assert functions["first"](torch.ones(2, 3, 5, 5)).shape == (1, 27, 27)
