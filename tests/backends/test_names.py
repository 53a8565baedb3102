"""Names and texts that users choose: none may break the emitted source, or get into it as code."""

from __future__ import annotations

import ast
import keyword

import pytest
import torch
from hand_programs import Builder, condition
from hypothesis import example, given
from hypothesis import strategies as st

from diagrammar.backends.torch.emit import emit_function, emit_module, load
from diagrammar.backends.torch.names import letters, safe_identifier
from diagrammar.ir import scalar
from diagrammar.program import Flip, Program, SizeBinding


def product(name: str, first: str, second: str, doc: str = "", axis: str = "i") -> Program:
    b = Builder(name, doc)
    x = b.operand(first, f"b {axis}", 2, 3)
    y = b.operand(second, f"{axis} o", 3, 4)
    z = b.einsum("bi,io->bo", b.flip(x, 1), b.flip(y, 0), axes="b o", remark=doc)
    return b.program(z)


@pytest.mark.parametrize("name", ["a b", "1x", "", "x;y", "é", "x\n", "ﬁ", "x'"])
def test_names_that_cannot_stand_in_source_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a Python identifier"):
        emit_function(product(name, "X", "W"), checked=True)
    with pytest.raises(ValueError, match="is not a Python identifier"):
        emit_function(product("f", name, "W"), checked=True)


@pytest.mark.parametrize(
    "first", ["x", "X", "b", "F", "x2", "len", "range", "windows", "Callable", "list"]
)
@pytest.mark.parametrize("second", ["W", "w", "i", "Y", "_", "X2", "_WINDOW_I1_K1", "zip"])
def test_operands_may_have_any_other_name(first: str, second: str) -> None:
    f = load(emit_module([product("f", first, second)], "x"), "f")["f"]
    x, y = torch.randn(2, 3), torch.randn(3, 4)
    torch.testing.assert_close(f(x, y), x.flip(1) @ y.flip(0))
    if not {first, second} & {"range", "zip", "_"}:  # which the body reads, or writes
        torch.testing.assert_close(f(**{first: x, second: y}), x.flip(1) @ y.flip(0))


def test_two_operands_that_differ_in_case() -> None:
    f = load(emit_module([product("f", "X", "x")], "x"), "f")["f"]
    x, y = torch.randn(2, 3), torch.randn(3, 4)
    torch.testing.assert_close(f(X=x, x=y), x.flip(1) @ y.flip(0))


def test_an_operand_that_is_read_twice_is_not_overwritten() -> None:
    b = Builder("f")
    first = b.operand("x", "i", 3)
    second = b.put(b.steps[first].operation, (3,), "i")
    flipped = b.put(Flip(first, 0), (3,), "i")
    doubled = b.einsum("i,i->i", flipped, b.flip(b.scale(flipped, 2), 0))
    f = load(emit_module([b.program(b.add(doubled, second))], "x"), "f")["f"]
    x = torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(f(x), x.flip(0) * 2 * x + x)


@pytest.mark.parametrize("wire", ["k'", "i.0", "lambda", "X", "torch", "f", "max", "None", "x"])
def test_sizes_may_have_any_name(wire: str) -> None:
    n = scalar.size(wire)
    b = Builder("f")
    x = b.operand("X", "b i", 2, n)
    mask = b.indicator(x, (n, n), ((),), "i o")
    out = b.scale(b.einsum("bi,io->bo", x, mask), 1 / n)
    f = load(emit_module([b.program(out, sizes=[SizeBinding(wire, "X", 1)])], "x"), "f")["f"]
    torch.testing.assert_close(f(torch.ones(2, 5)), torch.ones(2, 5))


HOSTILE = st.lists(
    st.sampled_from(
        ['"', "'", "\\", '"""', "'''", "\n", "\r", "\0", "#", "{", "}", "\\N", "\u2028"]
    )
    | st.text(max_size=3)
).map("".join)


@given(HOSTILE, HOSTILE)
def test_texts_cannot_become_code(doc: str, header: str) -> None:
    program = product("f", "X", "W", f"{doc}\nraise SystemExit")
    source = emit_module([program], f'{header}\n"""\nraise SystemExit\n"""')
    f = load(source, "hostile")["f"]
    assert f(torch.ones(2, 3), torch.ones(3, 4)).shape == (2, 4)
    assert "raise SystemExit" in (f.__doc__ or "")


WRITTEN = st.lists(
    st.text(st.sampled_from("\"'\\ab{}#%\t\x00\u00a0é "), max_size=9), min_size=1, max_size=4
).map(lambda lines: "\n".join(line.strip() or "x" for line in lines))


@given(WRITTEN, WRITTEN)
@example('ends with """', '"""')
@example('""""', '\\"""\\')
@example("\\", '\\"')
def test_texts_arrive_as_written(doc: str, header: str) -> None:
    module = ast.parse(emit_module([product("f", "X", "W", doc)], header))
    (function,) = (n for n in module.body if isinstance(n, ast.FunctionDef) and n.name == "f")
    text = ast.get_docstring(function, clean=False)
    assert text is not None
    assert text.replace("\n    ", "\n").startswith(f"{doc}\n\nArgs:\n")
    assert (ast.get_docstring(module, clean=False) or "").removesuffix("\n") == header


@given(HOSTILE)
def test_axis_names_cannot_become_code(text: str) -> None:
    b = Builder("f")
    x = b.operand("X", "b i", 2, 3)
    step = b.steps[x]
    b.steps[x] = type(step)(step.operation, step.shape, (text, '"'), text)
    b.parameters[0] = type(b.parameters[0])("X", (text, '"'), (2, 3))
    mask = b.indicator(x, (2, 3), ((condition(1, 1, constant=-2, nonnegative=True),),), "")
    b.steps[mask] = type(step)(b.steps[mask].operation, (2, 3), (text, '"'), text)
    program = b.program(b.put(b.steps[mask].operation, (2, 3)), names=(text,))
    f = load(emit_module([program], "x"), text)["f"]
    assert f(torch.ones(2, 3)).shape == (2, 3)


def test_letters_come_from_the_wires_names() -> None:
    wires = ["b", "g", "ci", "ci'", "k1", "(k1 k2)", "k3", "β"]
    chosen = letters(dict(enumerate(wires)))
    assert "".join(chosen.values()) == "bgcCkKad"
    assert len(set(letters(dict.fromkeys(range(52), "x")).values())) == 52
    with pytest.raises(ValueError, match="53 labels"):
        letters(dict.fromkeys(range(53), "x"))


@pytest.mark.parametrize("text", ["k1'", "i.0", "(ci k1)", "", "1", "ä", "a-b"])
def test_safe_identifiers(text: str) -> None:
    name = safe_identifier(text)
    assert name.isidentifier()
    assert not keyword.iskeyword(name)
