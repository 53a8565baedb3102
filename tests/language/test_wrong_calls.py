"""Calls and compilations as a newcomer gets them wrong: each message says what and the way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import diagrammar as dg

TEXT = """\
size k = 3
param s = 1, p = 0
tensor X[b, c, i]
tensor W[o, c, k]
pattern P[i, j, k] = conv(stride=s, padding=p)
Y[b, o, j] = X[b, c, i] * P[i, j, k] * W[o, c, k]
"""

x, w = torch.ones(2, 3, 8), torch.ones(4, 3, 3)

CONTRADICTION = """\
error: operand 'W', axis 2 (k), has size {}, but 3 is needed
 --> conv.tn:1:6
  |
1 | size k = 3
  |      ^ the default
 --> conv.tn:4:16
  |
4 | tensor W[o, c, k]
  |                ^ of another size in this call
  = help: the file fixes k = 3; compile(k=…) replaces that"""

CALLS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "integers with floats": (
        lambda f: f(x.long(), w),
        "error: operands have different dtypes: X int64, W float32\n"
        "  = help: convert them: X.to(torch.float32)",
    ),
    "float64 with float32": (
        lambda f: f(x.double(), w),
        "error: operands have different dtypes: X float64, W float32\n"
        "  = help: convert them: W.to(torch.float64)",
    ),
    "bool with floats": (
        lambda f: f(x.bool(), w),
        "error: operands have different dtypes: X bool, W float32\n"
        "  = help: convert them: X.to(torch.float32)",
    ),
    "uint64": (
        lambda f: f(x.to(torch.uint64), w.to(torch.uint64)),
        "error: operand 'X' is of uint64, which nothing is computed in\n"
        "  = help: convert it: X.long(), if all entries are below 2^63\n\n"
        "error: operand 'W' is of uint64, which nothing is computed in\n"
        "  = help: convert it: W.long(), if all entries are below 2^63",
    ),
    "sparse": (
        lambda f: f(x.to_sparse(), w),
        "error: operand 'X' is sparse, not dense\n  = help: make it dense: X.to_dense()",
    ),
    "arrays": (
        lambda f: f(x, w.numpy()),
        "error: operand 'W' is a numpy ndarray, not a tensor\n"
        "  = help: torch.from_numpy(W) makes one; compile(backend='numpy') takes arrays",
    ),
    "lists": (
        lambda f: f([[[1.0]]], w),
        "error: operand 'X' is of type list, not a tensor\n  = help: make one: torch.as_tensor(X)",
    ),
    "no batch": (
        lambda f: f(x[0], w),
        "error: operand 'X' has 2 axes, not 3: shape (3, 8)\n  = help: its axes are [b, c, i]",
    ),
    "nothing": (
        lambda f: f(x),
        "error: operand 'W' is missing\n  = help: its axes are [o, c, k]",
    ),
    "one too many": (
        lambda f: f(x, w, w),
        "error: 'Y' takes 2 operands, not 3\n  = help: they are X[b, c, i], W[o, c, k]",
    ),
    "swapped": (lambda f: f(w, x), CONTRADICTION.format(8)),
    "another kernel": (lambda f: f(x, torch.ones(4, 3, 5)), CONTRADICTION.format(5)),
    "other channels": (
        lambda f: f(x, torch.ones(4, 2, 3)),
        "error: operand 'W', axis 1 (c), has size 2, but 3 is needed\n"
        "  = help: c = 3 comes from operand 'X', axis 1 (c)",
    ),
    "small input": (
        lambda f: f(x[:, :, :2], w),
        "error: the kernel of pattern 'P' reaches over 3 entries, and the padded input has 2\n"
        "  = help: give a larger input or more padding",
    ),
    "a name in another case": (
        lambda f: f(x, w=w),
        "error: 'Y' has no operand 'w'\n  = help: did you mean 'W'?\n\n"
        "error: operand 'W' is missing\n  = help: its axes are [o, c, k]",
    ),
    "a number for a shape": (
        lambda f: f.specialise(X=5, W=(4, 3, 3)),
        "error: the shape of 'X' must be a sequence of integers, not 5\n"
        "  = help: give it as X=(8, 3)",
    ),
    "a tensor of units for a shape": (
        lambda f: f.specialise(X=torch.ones(2, 1), W=(4, 3, 3)),
        "error: the shape of 'X' must be a sequence of integers, not a tensor\n"
        "  = help: give it as X=X.shape",
    ),
    "a tensor for a shape": (
        lambda f: f.specialise(X=x, W=(4, 3, 3)),
        "error: the shape of 'X' must be a sequence of integers, not a tensor\n"
        "  = help: give it as X=X.shape",
    ),
}

COMPILATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "misspelt": (
        {"pading": 1},
        "error: unknown size or parameter 'pading'\n  = help: there are b, c, i, j, k, o, p, s",
    ),
    "a size in another case": (
        {"K": 3},
        "error: unknown size or parameter 'K'\n  = help: did you mean 'k'?",
    ),
    "an operand": (
        {"X": x},
        "error: 'X' is an operand of 'Y', not a size or parameter\n"
        "  = help: give it when you call what compile returns: f(X=…)",
    ),
    "a fraction": (
        {"s": 1.5},
        "error: 's' must be an integer of at least 0, not 1.5\n  = help: give it as s=3",
    ),
    "a negative number": (
        {"p": -1},
        "error: 'p' must be an integer of at least 0, not -1\n  = help: give it as p=3",
    ),
    "stride zero": (
        {"s": 0},
        "error: the stride of pattern 'P' is 0\n  = help: a stride is at least 1",
    ),
    "no rule": (
        {"without": "pointwis"},
        "error: option 'without' names no rule: 'pointwis'\n  = help: did you mean 'pointwise'?",
    ),
    "no dtype": (
        {"accumulate": "float33"},
        "error: option 'accumulate' must be float16, bfloat16, float32, float64, complex64, "
        "complex128, not 'float33'\n  = help: did you mean 'float32'?",
    ),
    "two mistakes": (
        {"backend": "jax", "plan": "fast"},
        "error: option 'backend' must be 'torch' or 'numpy', not 'jax'\n\n"
        "error: option 'plan' must be 'cost' or 'measure', not 'fast'",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_wrong_calls(name: str) -> None:
    call, message = CALLS[name]
    function = dg.parse(TEXT, "conv.tn")["Y"].compile()
    with pytest.raises(dg.DiagramError) as caught:
        call(function)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", COMPILATIONS)
def test_wrong_compilations(name: str) -> None:
    values, message = COMPILATIONS[name]
    with pytest.raises(dg.DiagramError) as caught:
        dg.parse(TEXT, "conv.tn")["Y"].compile(**values)
    assert str(caught.value) == message


def test_what_is_no_mistake_of_the_call_is_not_explained() -> None:
    """Errors of PyTorch that have another reason stay as they are."""
    function = dg.parse("tensor X[i, j]\nY[j] = X[i, j]")["Y"].compile()

    class Odd(torch.Tensor):
        @classmethod
        def __torch_function__(cls, *_: Any, **__: Any) -> Any:
            raise RuntimeError("not ours")

    with pytest.raises(RuntimeError, match="not ours"):
        function(torch.ones(2, 2).as_subclass(Odd))


def test_contradictions_with_a_used_file_point_into_it() -> None:
    spec = dg.parse('use "conv2d.tn" as layer\nZ[] = layer.Y[b, (g c), i, j]^2', "mine.tn")
    with pytest.raises(dg.DiagramError) as caught:
        spec["Z"].compile()(torch.ones(1, 2, 8, 8), torch.ones(2, 2, 5, 5), torch.ones(2))
    assert "--> conv2d.tn:3:" in str(caught.value)


def test_the_oracle_takes_arrays_of_any_numbers() -> None:
    function = dg.parse(TEXT)["Y"].compile(backend="numpy")
    assert function(np.ones((2, 3, 8), int), np.ones((4, 3, 3))).shape == (2, 4, 6)
