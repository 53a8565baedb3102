"""The shipped definitions: every operation of the design is there, short, written as it is read.

How lines are counted: an operation is written out as one file, with all that it is made of: its
operands, patterns and definitions, those of the files that it uses among them, each in canonical
form, so of at most 100 columns. Comments and empty lines do not count, nor what only fixes numbers
or names a file: `size`, `param`, `rank`, `use`. The files of factorised kernels and the texts that
stand here are counted whole, with those lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib.resources import files

import pytest
import torch

import diagrammar as dg
from diagrammar.grammar import syntax
from diagrammar.grammar.formatter import format_statement
from diagrammar.grammar.parser import parse
from diagrammar.grammar.source import Source
from diagrammar.language.shipped import drawn, on_layer
from diagrammar.language.spec import read
from diagrammar.library import names

MOST = 10
"""Lines of an operation."""


RESTRICTED = """
use "conv2d.tn" as layer
size k1 = 3, k2 = 3, r = 2
pattern rows[o1, r] = [o1 = r + 3]
U[b, g, (ci k1 k2), (r o2)] = layer.U[b, g, (ci k1 k2), (o1 o2)] * rows[o1, r]
"""

HESSIAN = """
use "conv.tn" as layer
tensor one[]
L[] = layer.Y[b, (g co), o...]^2
gradient = vjp(L, layer.W, cotangent=one)
product = jvp(gradient, layer.W, tangent=T)
"""

LAYERS = ("conv", "conv_transpose")
ROWS = {
    "structure: unfolded input (im2col)": ("conv.U", "conv.unfolded", "conv2d.U", "convnd.U"),
    "structure: folded output (col2im)": ("conv.folded",),
    "structure: unfolded kernel (Toeplitz)": ("conv.T", "conv.toeplitz"),
    "structure: unfolded input, transposed": ("conv_transpose.U", "conv_transpose.unfolded"),
    "structure: folded input, transposed": ("conv_transpose.folded",),
    "structure: averaged patches": ("conv.averaged", "conv_transpose.averaged"),
    "first order: forward with bias": ("conv.Y_bias", "conv.Y", "conv2d.Y", "convnd.Y"),
    "first order: transposed forward": ("conv_transpose.Y_bias", "transposed.Y"),
    "first order: Jacobians": tuple(f"{f}.{d}" for f in LAYERS for d in ("toeplitz", "jacobian_W")),
    "first order: VJPs": tuple(f"{f}.{d}" for f in LAYERS for d in ("dX", "dW", "dbias")),
    "first order: JVPs": tuple(f"{f}.{d}" for f in LAYERS for d in ("JX", "JW", "Jbias")),
    "Kronecker: KFAC-expand": ("kfac.A_expand", "kfac.B_expand", "conv2d.A_expand"),
    "Kronecker: KFAC-reduce": ("kfac.A_reduce", "kfac.B_reduce", "conv2d.A_reduce"),
    "Kronecker: joint with bias": ("kfac.a_expand", "kfac.a_reduce"),
    "Kronecker: of group-averaged rows": (
        "kfac.A_expand_mean", "kfac.A_reduce_mean", "kfac.a_expand_mean", "kfac.a_reduce_mean",
    ),
    "Kronecker: KFRA": ("kfra.by_input_pair", "kfra.factor", "kfra.factor_same"),
    "Kronecker: EKFAC's diagonal": ("kfac.ekfac", "kfac.ekfac_joint"),
    "per example: gradients": ("conv.G", "conv_transpose.G"),
    "per example: squared norms": ("per_example.l2",),
    "per example: sum of squared gradients": ("per_example.squares",),
    "per example: variance": ("per_example.variance",),
    "GGN: diagonal": ("ggn.diagonal", "ggn.diagonal_each"),
    "GGN: layer block": ("ggn.block",),
    "GGN: per-output-channel blocks": ("ggn.channels", "ggn.channel_border"),
    "GGN: Gram matrix": ("ggn.gram", "ggn.gram_2"),
    "GGN: vector products": ("ggn.product",),
    "Hessian: diagonal steps": ("hessian.by_input", "hessian.by_weight"),
    "randomised: sampled channels": ("sampled.Y_channels", "sampled.dW_channels"),
    "randomised: sampled pixels": ("sampled.Y_rows",),
    "tensorised: CP, Tucker, TT, TR": tuple(f"conv2d_{f}.Y" for f in ("cp", "tucker", "tt", "tr")),
}  # fmt: skip
"""The rows of the design's table of operations, and the shipped definitions for each."""

WRITTEN = {
    "structure: restriction to chosen channels or pixels": (RESTRICTED, "U"),
    "Hessian: Hessian–vector products": (HESSIAN, "product"),
}
"""What a user writes about a definition of their own; the text is the operation."""


def statements(name: str) -> tuple[syntax.AnyStatement, ...]:
    """The statements of a shipped file."""
    text = (files("diagrammar.library") / f"{name}.tn").read_text("utf-8")
    return parse(Source(text, f"{name}.tn")).file.statements


def said(node: object) -> Iterator[str]:
    """The names of tensors, patterns and other definitions that a part of a statement speaks of."""
    match node:
        case syntax.Reference():
            yield node.name
        case syntax.Derivative():
            yield from (node.of, node.by, *([node.direction] if node.direction else []))
        case syntax.Sample():
            yield node.of
    if isinstance(node, tuple):
        for item in node:
            yield from said(item)
    elif is_dataclass(node):
        for field in fields(node):
            yield from said(getattr(node, field.name))


def made_of(file: str, name: str, found: dict[tuple[str, str], syntax.AnyStatement]) -> None:
    """Put the statement that declares a name among those found, with all that it is made of; a name
    that is built in, or a derivative's own operand, has none."""
    alias, dot, own = name.partition(".")
    if dot and not own.isdigit():
        (use,) = (s for s in statements(file) if isinstance(s, syntax.Use) and s.alias == alias)
        made_of(use.path.removesuffix(".tn"), own, found)
        return
    declared = [s for s in statements(file) if getattr(s, "name", None) == name]
    for statement in declared:
        if (file, name) not in found:
            found[file, name] = statement
            for other in said(statement):
                made_of(file, other, found)


def code(statement: syntax.AnyStatement) -> list[str]:
    """The lines of a statement that are no comments."""
    return [x for x in format_statement(statement).splitlines() if not x.startswith("#")]


def lines(file: str, name: str) -> int:
    """The lines of an operation, as they are counted."""
    found: dict[tuple[str, str], syntax.AnyStatement] = {}
    made_of(file, name, found)
    assert (file, name) in found
    return sum(len(code(s)) for s in found.values())


CASES = [(name, d) for name in names() for d in drawn(name)]


@pytest.mark.parametrize("row", ROWS)
def test_each_operation_of_the_design_is_shipped_in_at_most_ten_lines(row: str) -> None:
    for operation in ROWS[row]:
        file, name = operation.split(".")
        assert name in drawn(file)
        assert 2 <= lines(file, name) <= MOST, operation


@pytest.mark.parametrize("row", WRITTEN)
def test_each_operation_on_other_definitions_is_written_in_at_most_ten_lines(row: str) -> None:
    text, name = WRITTEN[row]
    assert name in dg.parse(text)
    assert len([x for x in text.splitlines() if x and not x.startswith("#")]) <= MOST


@pytest.mark.parametrize("form", ["cp", "tucker", "tt", "tr"])
def test_whole_files_of_factorised_kernels_are_at_most_ten_lines(form: str) -> None:
    assert sum(len(code(s)) for s in statements(f"conv2d_{form}")) <= MOST


@pytest.mark.parametrize(("name", "definition"), CASES)
def test_every_shipped_definition_is_at_most_ten_lines(name: str, definition: str) -> None:
    assert lines(name, definition) <= MOST


@pytest.mark.parametrize("name", ["kfac", "ggn", "per_example", "hessian", "kfra"])
def test_operations_on_a_layer_are_those_on_a_transposed_one(name: str) -> None:
    for layer in LAYERS:
        for rank in (1, 2, 3):
            assert set(on_layer(name, layer, "zeros", rank)) == set(drawn(name))


def test_the_count_sees_what_an_operation_is_made_of() -> None:
    found: dict[tuple[str, str], syntax.AnyStatement] = {}
    made_of("kfac", "A_expand", found)
    assert set(found) == {
        ("kfac", "A_expand"), ("conv", "U"), ("conv", "X"), ("conv", "P"),
    }  # fmt: skip
    assert lines("kfac", "A_expand") == 5  # its own definition takes two


@pytest.mark.parametrize("name", names())
def test_shipped_files_have_no_problems(name: str) -> None:
    text = (files("diagrammar.library") / f"{name}.tn").read_text("utf-8")
    assert [p for p in read(Source(text, f"{name}.tn"))[1] if p.severity == "error"] == []


@pytest.mark.parametrize(("name", "definition"), CASES)
def test_the_text_of_a_shipped_operation_is_a_file(name: str, definition: str) -> None:
    diagram = drawn(name)[definition]
    assert dg.parse(str(diagram))[definition] == diagram


@pytest.mark.parametrize("bias", [False, True])
def test_ekfac_diagonal_in_the_language_is_the_layers(bias: bool) -> None:
    """As one definition, and by the layer's method, which squares and sums what is rotated."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, 5, 6, generator=random, dtype=torch.float64)
    S = torch.randn(2, 3, 6, 4, 5, generator=random, dtype=torch.float64)
    Q_A = torch.randn(2, 8 + bias, 8 + bias, generator=random, dtype=torch.float64)
    Q_B = torch.randn(2, 3, 3, generator=random, dtype=torch.float64)
    layer = dg.layers.Conv((2, 2), groups=2)
    spec = on_layer("kfac", "conv", "zeros", 2)
    given = {"X": x, "S": S, "Q_A": Q_A[:, :8], "Q_B": Q_B}
    if bias:
        made = spec["ekfac_joint"].compile(g=2, k=2)(**given, q_A=Q_A[:, 8])
    else:
        made = spec["ekfac"].compile(g=2, k=2)(**given)
    expected = layer.ekfac_diag(x, S, Q_A, Q_B)
    torch.testing.assert_close(made, expected, rtol=1e-10, atol=1e-10)


def test_the_jvp_of_a_bias_is_its_tangent_everywhere() -> None:
    made = dg.shipped("conv").at(1)["Jbias"].compile(b=2, o=3)(t=torch.tensor([1.0, 2.0]))
    assert made.tolist() == [[[1.0] * 3, [2.0] * 3]] * 2
