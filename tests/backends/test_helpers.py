"""Helpers of emitted modules: real functions, taken along as text with all that they call."""

from __future__ import annotations

import ast
import importlib
import inspect

import pytest

from diagrammar.backends.torch.helpers import FILES, HELPERS, USES, with_uses

ALLOWED = {"torch", "Tensor", "Callable", "Iterator"}
"""What an emitted module imports."""


def functions() -> dict[str, object]:
    """The helpers as functions, from the files that they stand in."""
    package = "diagrammar.backends.torch.helpers"
    modules = [importlib.import_module(f"{package}.{name}") for name in FILES]
    return {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    }


def test_the_text_of_every_function_is_a_helper():
    made = functions()
    assert HELPERS.keys() == made.keys()
    for name, function in made.items():
        assert inspect.getsource(function) == HELPERS[name]


@pytest.mark.parametrize("name", HELPERS)
def test_a_helper_comes_with_all_that_it_reads(name: str):
    import builtins

    text = "\n\n".join(HELPERS[used] for used in with_uses([name]))
    tree = ast.parse(text)
    names = {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
    }
    own = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    own |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
    own |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    assert names - own - {*dir(builtins)} <= ALLOWED


def test_a_default_stands_after_what_it_names():
    order = list(HELPERS)
    assert order.index("_weight_gradient") < order.index("_window_gram")
    assert "_window_products" in USES["_window_gram"]
    assert with_uses(["_window_gram", "_check"]) == (
        *("_check_axes", "_check", "_backward", "_bilinear"),
        *("_weight_gradient", "_window_gram", "_window_products"),
    )


def test_no_helper_needs_no_helper():
    assert with_uses([]) == ()
