"""The shipped definitions: short, in canonical form, and written as they are read."""

from __future__ import annotations

from importlib.resources import files

import pytest

import diagrammar as dg
from diagrammar.grammar import syntax
from diagrammar.grammar.formatter import format_statement
from diagrammar.grammar.parser import parse
from diagrammar.grammar.source import Source
from diagrammar.library import drawn, names
from diagrammar.spec import read

MOST = 10
"""Lines of a definition with all that it is made of."""


def statements(name: str) -> tuple[syntax.AnyStatement, ...]:
    """The statements of a shipped file."""
    text = (files("diagrammar.library") / f"{name}.tn").read_text("utf-8")
    return parse(Source(text, f"{name}.tn")).file.statements


def said(node: object) -> set[str]:
    """The names that a definition speaks of: tensors, patterns and other definitions."""
    match node:
        case syntax.Definition():
            factors = [f.value for term in node.terms for f in term.factors]
            return {f.name for f in factors if isinstance(f, syntax.Reference)}
        case syntax.Derivative():
            return {node.of, node.by}
        case syntax.Sample():
            return {node.of}
    return set()


def lines(name: str, definition: str) -> int:
    """The lines of a definition, its patterns, its operands, and the definitions of its file that
    it is made of, in canonical form and without comments."""
    found = {
        s.name: s for s in statements(name) if hasattr(s, "name") and not isinstance(s, syntax.Use)
    }
    wanted, waiting = {definition}, [definition]
    while waiting:
        for other in said(found[waiting.pop()]) & found.keys() - wanted:
            wanted.add(other)
            waiting.append(other)
    return sum(len(code(found[n])) for n in wanted)


def code(statement: syntax.AnyStatement) -> list[str]:
    """The lines of a statement that are no comments."""
    return [x for x in format_statement(statement).splitlines() if not x.startswith("#")]


CASES = [(name, d) for name in names() for d in drawn(name)]


@pytest.mark.parametrize(("name", "definition"), CASES)
def test_a_shipped_operation_is_at_most_ten_lines(name: str, definition: str) -> None:
    assert lines(name, definition) <= MOST


@pytest.mark.parametrize("name", names())
def test_shipped_files_have_no_problems(name: str) -> None:
    text = (files("diagrammar.library") / f"{name}.tn").read_text("utf-8")
    assert [p for p in read(Source(text, f"{name}.tn"))[1] if p.severity == "error"] == []


@pytest.mark.parametrize(("name", "definition"), CASES)
def test_the_text_of_a_shipped_operation_is_a_file(name: str, definition: str) -> None:
    diagram = drawn(name)[definition]
    assert dg.parse(str(diagram))[definition] == diagram


OPERATIONS = {
    "structure": (
        "conv.U",
        "conv.unfolded",
        "conv.folded",
        "conv.T",
        "conv.toeplitz",
        "conv.averaged",
    ),
    "first order": (
        "conv.Y",
        "conv.Y_bias",
        "conv.dX",
        "conv.dW",
        "conv.dbias",
        "conv.JX",
        "conv.JW",
    ),
    "transposed": ("conv_transpose.Y", "conv_transpose.dX", "conv_transpose.dW"),
    "randomised": ("sampled.Y_channels", "sampled.dW_channels", "sampled.Y_rows"),
}


@pytest.mark.parametrize("group", OPERATIONS)
def test_the_operations_of_a_group_are_shipped(group: str) -> None:
    known = {f"{name}.{definition}" for name, definition in CASES}
    assert set(OPERATIONS[group]) <= known
