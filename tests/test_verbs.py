"""Verbs: what a class of data declares, `diagrammar.verbs` does, with the same parameters."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from typing import Any

import pytest

from diagrammar.services import VERBS
from tests.test_architecture import MODULES


def declared() -> dict[str, str]:
    """The methods that leave their work to a verb, each with the module of its class."""
    return {
        ast.unparse(node.args[0]): name
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "verb" and node.args
    }


DECLARED = declared()


def parameters(function: Any) -> list[tuple[str, str, Any]]:
    """Kinds, names and defaults of all parameters but the value itself."""
    _, *rest = inspect.signature(function).parameters.values()
    return [(p.kind.description, p.name, p.default) for p in rest]


def test_each_declared_verb_is_done_and_each_done_is_declared():
    assert DECLARED.keys() == VERBS.keys()
    assert len(DECLARED) > 15


@pytest.mark.parametrize("method", DECLARED)
def test_a_verb_takes_what_its_method_takes(method: str):
    kind, name = method.split(".")
    declared = getattr(getattr(import_module(DECLARED[method]), kind), name)
    assert declared.__qualname__ == method
    assert parameters(VERBS[method]) == parameters(declared)
    returned = inspect.signature(declared).return_annotation
    assert inspect.signature(VERBS[method]).return_annotation == returned
    assert name.startswith("_") or declared.__doc__
