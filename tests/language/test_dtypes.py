"""Dtypes of operands: one rule for all functions and ways to call them, and words for the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import diagrammar as dg

TEXT = """
param s = 1
tensor X[b, c, i]
tensor W[o, c, k]
pattern P[i, j, k] = conv(stride=s, padding=1)
conv[b, o, j] = X[b, c, i] * P[i, j, k] * W[o, c, k]
gradient = vjp(conv, W, cotangent=dY)
back = vjp(conv, X, cotangent=dY)
mean[o] = 1/|b| * X[b, c, i] * P[i, j, k] * W[o, c, k]
windows[b, c, j, k] = X[b, c, i] * P[i, j, k]
gram[c, d] = 3 * X[b, c, i] * X[b, d, i]
sum[c] = X[b, c, i] + 2 * X[b, c, i]
square[c, k, d, l] = X[b, c, i] * P[i, j, k] * X[b, d, m] * P[m, j, l]
"""
DEFINITIONS = ("conv", "gradient", "back", "mean", "windows", "gram", "sum", "square")
SHAPES = {"X": (2, 3, 7), "W": (4, 3, 3), "dY": (2, 4, 7)}
FRACTIONS = {"mean"}
WHOLE = (
    *(torch.bool, torch.uint8, torch.uint16, torch.uint32),
    *(torch.int8, torch.int16, torch.int32, torch.int64),
)
REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
COMPLEX = (torch.complex64, torch.complex128)


SIZES_OF = {"windows": {"k": 3}, "square": {"k": 3, "l": 3}, "back": {"i": 7}, "gradient": {"k": 3}}


def made(name: str, backend: str = "torch") -> tuple[Any, dict[str, torch.Tensor]]:
    """A function, and operands whose entries are 0 and 1."""
    function = dg.parse(TEXT)[name].compile(backend=backend, **SIZES_OF.get(name, {}))
    random = np.random.default_rng(0)
    given = {o.name: random.integers(0, 2, SHAPES[o.name]) for o in function.operands}
    return function, {n: torch.from_numpy(x) for n, x in given.items()}


@pytest.mark.parametrize("dtype", WHOLE, ids=str)
@pytest.mark.parametrize("name", DEFINITIONS)
def test_integers_are_computed_in_one_dtype(name: str, dtype: torch.dtype):
    function, operands = made(name)
    oracle, _ = made(name, "numpy")
    found = function(**{n: x.to(dtype) for n, x in operands.items()})
    assert found.dtype == (torch.float64 if name in FRACTIONS else torch.int64)
    assert np.array_equal(found, oracle(**{n: x.double().numpy() for n, x in operands.items()}))


@pytest.mark.parametrize("dtype", [*REAL, *COMPLEX], ids=str)
@pytest.mark.parametrize("name", DEFINITIONS)
def test_real_and_complex_results_are_of_the_operands_dtype(name: str, dtype: torch.dtype):
    function, operands = made(name)
    found = function(**{n: x.to(dtype) for n, x in operands.items()})
    assert found.dtype == dtype
    expected = made(name)[0](**{n: x.double() for n, x in operands.items()})
    assert torch.allclose(found.to(torch.complex128), expected.to(torch.complex128), rtol=1e-2)


MATRIX = "constant C[i, o]\ntensor X[b, i]\nY[b, o] = X[b, i] * C[i, o]"
DRAWN = "tensor X[b, i]\ntensor W[i, o]\nY[b, o] = X[b, i] * W[i, o]\nS = sample(Y, i, keep=1/2)"
OPEN = (
    "tensor X[b, i...]\ntensor W[k...]\npattern P[i, o, k]... = conv()\n"
    "Y[b, o...] = X[b, i...] * P[i, o, k]... * W[k...]"
)


@pytest.mark.parametrize("dtype", WHOLE, ids=str)
def test_constants_of_integers(dtype: torch.dtype):
    x, c = torch.tensor([[1, 0, 1], [0, 1, 1]]), torch.tensor([[3, 4], [5, 6], [7, 200]])
    f = dg.parse(MATRIX)["Y"].compile(constants={"C": c})
    found = f(x.to(dtype))
    assert found.dtype == torch.int64
    assert torch.equal(found, x @ c)
    with pytest.raises(dg.DiagramError, match="different dtypes: C float32, X int64"):
        dg.parse(MATRIX)["Y"].compile(constants={"C": c.float()})(x)


def test_masks_are_drawn_in_float64_beside_integers():
    x, w = torch.randint(0, 5, (4, 6)), torch.randint(0, 5, (6, 3))
    f = dg.parse(DRAWN)["S"].compile()
    (mask,) = f.sampling.masks
    everything = torch.ones(6, dtype=torch.bool)
    found = f(x, w, **{mask: everything})
    assert found.dtype == torch.float64
    assert torch.equal(found, 2.0 * (x @ w))
    assert f(x.int(), w.int()).dtype == torch.float64
    with pytest.raises(dg.DiagramError, match="different dtypes: X int64, W float32"):
        f(x, w.float(), **{mask: everything})


@pytest.mark.parametrize("dtype", WHOLE, ids=str)
def test_packs_of_open_rank(dtype: torch.dtype):
    x, w = torch.randint(0, 2, (2, 5, 6)), torch.randint(0, 2, (2, 3))
    found = dg.parse(OPEN)["Y"].compile()(x.to(dtype), w.to(dtype))
    expected = torch.nn.functional.conv2d(x[:, None].double(), w[None, None].double())[:, 0]
    assert found.dtype == torch.int64
    assert torch.equal(found.double(), expected)


@pytest.mark.parametrize("name", ["conv", "gradient", "mean"])
def test_in_a_trace(name: str):
    function, operands = made(name)
    small = {n: x.to(torch.int16) for n, x in operands.items()}
    found = torch.compile(function, fullgraph=True, backend="eager")(**small)
    expected = function(**small)
    assert found.dtype == expected.dtype
    assert torch.equal(found, expected)


def test_budgets_take_integers_that_need_no_cast():
    product = dg.parse("tensor X[b, i]\ntensor W[i, o]\nY[b, o] = X[b, i] * W[i, o]")["Y"]
    f = product.compile(memory="1MiB")
    x = torch.randint(0, 9, (4, 4))
    assert torch.equal(f(x, x), x @ x)
    with pytest.raises(dg.DiagramError) as raised:
        f(x.int(), x.int())
    assert str(raised.value) == (
        "error: with a budget, integers must be of torch.int64, which is computed in\n"
        "  = help: convert them: X.to(torch.int64)"
    )


PRODUCT = dg.parse("tensor X[b, i]\ntensor W[i, o]\nY[b, o] = X[b, i] * W[i, o]")["Y"]
SIZES = [(2, 3, 4), (1, 1, 1), (1, 3, 1), (2, 1, 4), (0, 3, 4), (2, 0, 4), (2, 3, 0)]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_several_dtypes_are_refused_whatever_the_sizes(sizes: tuple[int, int, int]):
    b, i, o = sizes
    f = PRODUCT.compile()
    f(torch.ones(b, i), torch.ones(i, o))  # what is made for one dtype is not for others
    for first, second in [("float32", "float64"), ("int32", "int64"), ("int64", "float32")]:
        x = torch.ones(b, i, dtype=getattr(torch, first))
        w = torch.ones(i, o, dtype=getattr(torch, second))
        with pytest.raises(dg.DiagramError, match=f"different dtypes: X {first}, W {second}"):
            f(x, w)
    with pytest.raises(dg.DiagramError, match="different devices: X meta, W cpu"):
        f(torch.ones(b, i, device="meta"), torch.ones(i, o))


def test_autocast_takes_several_dtypes_while_it_is_on():
    f, x, w = PRODUCT.compile(), torch.ones(2, 3, dtype=torch.bfloat16), torch.ones(3, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert f(x, w).dtype == torch.bfloat16
    with pytest.raises(dg.DiagramError, match="different dtypes"):
        f(x, w)


def kinds() -> dict[str, Any]:
    """What no function can take, and the words for it."""
    x = torch.ones(2, 3)
    exotic = {
        str(d): d
        for d in vars(torch).values()
        if isinstance(d, torch.dtype) and d not in (*WHOLE, *REAL, *COMPLEX)
    }
    found = {
        name: (torch.empty((2, 3), dtype=d), f"is of {name.removeprefix('torch.')}, which nothing")
        for name, d in exotic.items()
        if not name.removeprefix("torch.").startswith(("q", "bits"))
    }
    return found | {
        "quantised": (torch.quantize_per_tensor(x, 1.0, 0, torch.qint8), "is of qint8"),
        "nested": (torch.nested.nested_tensor([torch.ones(3), torch.ones(2)]), "is nested"),
        "sparse": (x.to_sparse(), "is sparse"),
        "csr": (x.to_sparse_csr(), "is sparse_csr"),
        "mkldnn": (x.to_mkldnn(), "is _mkldnn"),
        "storage": (torch.UntypedStorage(4), "is of type UntypedStorage"),
        "array": (np.ones((2, 3)), "is a numpy ndarray"),
        "list": ([[1.0, 2.0, 3.0]], "is of type list"),
        "nothing": (None, "is of type NoneType"),
        "shape": (torch.Size([2, 3]), "is of type Size"),
    }


KINDS = kinds()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["plain", "constants", "drawn", "open rank"])
def test_what_no_function_takes_is_refused_in_words(way: str, kind: str):
    x, words = KINDS[kind]
    w = torch.ones(3, 4)
    call = {
        "plain": lambda: PRODUCT.compile()(x, w),
        "constants": lambda: dg.parse(MATRIX)["Y"].compile(constants={"C": w})(x),
        "drawn": lambda: dg.parse(DRAWN)["S"].compile()(x, w),
        "open rank": lambda: dg.parse(OPEN)["Y"].compile()(x, torch.ones(2)),
    }[way]
    with pytest.raises(dg.DiagramError, match=f"operand 'X' {words}"):
        call()


def test_a_mask_on_another_device_is_refused():
    f = dg.parse(DRAWN)["S"].compile()
    (mask,) = f.sampling.masks
    elsewhere = {mask: torch.ones(3, device="meta")}
    with pytest.raises(dg.DiagramError, match=f"different devices: X cpu, W cpu, {mask} meta"):
        f(torch.ones(2, 3), torch.ones(3, 4), **elsewhere)


def test_the_oracle_refuses_what_numpy_has_no_arrays_of():
    f = PRODUCT.compile(backend="numpy")
    with pytest.raises(dg.DiagramError, match=r"'X' is of torch\.bfloat16, which numpy has"):
        f(torch.ones(2, 3, dtype=torch.bfloat16), torch.ones(3, 4))


def test_meta_tensors_have_one_dtype_too():
    """PyTorch knows no autocast for them, which might make one of two."""
    f = dg.parse("tensor A[i]\ntensor B[i]\nC[] = A[i] * B[i]")["C"].compile()
    a = torch.empty(3, device="meta")
    with pytest.raises(dg.DiagramError, match="different dtypes: A float32, B float64"):
        f(A=a, B=a.double())


def test_meta_tensors_have_results_without_entries():
    x, w = torch.ones(2, 3, device="meta"), torch.ones(3, 4, device="meta")
    assert PRODUCT.compile()(x, w).is_meta
    assert dg.parse(DRAWN)["S"].compile()(x, w).shape == (2, 4)
