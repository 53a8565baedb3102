"""Names that users choose, all the way to modules on disk: whatever `check` takes, compiles and
runs."""

from __future__ import annotations

import builtins
import importlib.util
import itertools
import keyword
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

import diagrammar as dg
from diagrammar.__main__ import main
from diagrammar.backends.torch.helpers import HELPERS
from diagrammar.backends.torch.names import function_names

NAMES = [
    *("len", "all", "max", "zip", "range", "tuple", "int", "list", "print", "input", "ValueError"),
    *("torch", "Tensor", "annotations", "Callable", "Iterator", "self", "match", "type", "_", "__"),
    *("__all__", "__debug__", "__name__", "__getattr__", "__all___", "_check", "_check_axes"),
    *("_gram", "_total", "_Y_part", "_WINDOW_I_K", "_PATTERN_I_O_K", "len_", "l", "O", "I"),
    *("x", "X", "n" * 300, "None_", "y", "part", "total", "windows", "device", "dtype"),
]


def imported(path: Path) -> ModuleType:
    found = importlib.util.spec_from_file_location(path.stem, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def compiled(text: str, tmp_path: Path, *options: str) -> ModuleType:
    """The module that `diagrammar compile` makes of a text."""
    (tmp_path / "net.tn").write_text(text)
    out = tmp_path / "ops.py"
    assert main(["compile", str(tmp_path / "net.tn"), "-o", str(out), *options]) == 0
    return imported(out)


def test_definitions_of_every_name_in_one_module(tmp_path: Path) -> None:
    """Means and windows, so that helpers, constants and `max` are read beside the names."""
    lines = ["tensor Given[b, c, i]", "pattern P[i, o, k] = conv(padding=1)", "size k = 3"]
    for at, name in enumerate(NAMES):
        way = f"{at + 2}/|b| * Given[b, c, i] * P[i, o, k] * Given[b, c, i'] * P[i', o, k']"
        lines.append(f"{name}[k, k'] = {way}")
    module = compiled("\n".join(lines), tmp_path)
    x = torch.randn(3, 2, 5, dtype=torch.float64)
    u = torch.nn.functional.pad(x, (1, 1)).unfold(-1, 3, 1)
    expected = torch.einsum("bcok,bcol->kl", u, u) / 3
    named = function_names(NAMES)
    assert sorted(named.values()) == sorted(module.__all__)
    for at, name in enumerate(NAMES):
        torch.testing.assert_close(getattr(module, named[name])(x), (at + 2) * expected)


@pytest.mark.parametrize("name", NAMES)
def test_an_operand_a_wire_and_a_definition_of_every_name(name: str, tmp_path: Path) -> None:
    # the same name in all places where it is free
    text = f"tensor {name}[b, (c {name})]\nsize c = 2\nY[c] = 1/|b| * {name}[b, (c {name})]\n"
    text += f"Z[b, {name}] = {name}[b, (c {name})]"
    module = compiled(text, tmp_path)
    x = torch.randn(3, 4)
    torch.testing.assert_close(module.Y(x), x.reshape(3, 2, 2).sum((0, 2)) / 3)
    torch.testing.assert_close(module.Z(x), x.reshape(3, 2, 2).sum(1))
    spec = dg.parse(text)
    torch.testing.assert_close(spec["Y"].compile()(**{name: x}), module.Y(x))
    fixed = spec["Y"].compile().specialise(**{name: (3, 4)})
    torch.testing.assert_close(fixed(x), module.Y(x))


def test_several_results_of_odd_names() -> None:
    lines = [f"{n}[b] = {k} * Given[b, i]" for k, n in enumerate(NAMES, 2)]
    spec, x = dg.parse("\n".join(["tensor Given[b, i]", *lines])), torch.ones(2, 3)
    for first, second in itertools.pairwise(NAMES):
        made = spec.compile(first, second)(x)
        assert [float(r[0]) for r in made] == [3.0 * NAMES.index(n) + 6 for n in (first, second)]


def test_derived_operands_may_spell_words_of_python() -> None:
    """The tangent of `ry` is `try`, the cotangent of `ef` is `def`."""
    text = "tensor ry[b, i]\nef[b] = ry[b, i] * ry[b, i]\nT = jvp(ef, ry)\nG = vjp(ef, ry)"
    spec, x = dg.parse(text), torch.randn(2, 3)
    v = torch.randn(2)
    torch.testing.assert_close(spec["T"].compile()(**{"ry": x, "try": x}), 2 * (x * x).sum(1))
    torch.testing.assert_close(
        spec["G"].compile()(**{"ry": x, "def": v}), 2 * x * v[:, None], rtol=1e-6, atol=1e-6
    )


def test_words_of_python_are_refused_with_their_place() -> None:
    for word in keyword.kwlist:
        with pytest.raises(dg.DiagramError, match=f"'{word}' is a word of Python"):
            dg.parse(f"tensor {word}[i]\nY[] = {word}[i]")
        with pytest.raises(dg.DiagramError, match=f"'{word}' is a word of Python"):
            dg.parse(f"tensor X[i]\n{word}[] = X[i]")


@pytest.mark.parametrize("word", keyword.kwlist)
def test_wires_may_be_words_of_python(word: str) -> None:
    f = dg.parse(f"tensor X[b, {word}]\nY[{word}] = 1/|b| * X[b, {word}]")["Y"].compile()
    x = torch.randn(2, 3)
    torch.testing.assert_close(f(x), x.mean(0))
    torch.testing.assert_close(f.generic()(x), x.mean(0))


@pytest.mark.parametrize("name", ["ﬁ", "größe", "ª", "𝐱", "x\u200b"])
def test_names_that_are_not_ascii_are_refused(name: str) -> None:
    with pytest.raises(dg.DiagramError):
        dg.parse(f"tensor {name}[i]\nY[] = {name}[i]")


def test_function_names() -> None:
    names = ["len", "len_", "Y", "__all__", "__all___", "class", *HELPERS]
    made = function_names(names)
    assert len(set(made.values())) == len(names)
    assert made["Y"] == "Y"
    assert made["len_"] == "len_"
    assert made["len"] == "len__"
    assert not {*made.values()} & {*dir(builtins), *keyword.kwlist, *HELPERS}
    assert {n: m for n, m in function_names(list(made.values())).items() if n != m} == {}


def test_modules_of_odd_names_are_clean(tmp_path: Path) -> None:
    """Modules with all names, for linters and type checkers as users have them."""
    pattern = "pattern P[i, o, k] = conv(padding=1)\nsize k = 3"
    body = "* P[i, o, k] * 1/|b|"
    defined = [f"{n}[{n}, k] = Given[b, i, {n}] {body}" for n in NAMES if n not in "ik"]
    given = [
        f"tensor {n}[b, i, {n}]\nD{at}[k] = {n}[b, i, {n}] {body}" for at, n in enumerate(NAMES)
    ]
    (tmp_path / "defined.tn").write_text("\n".join(["tensor Given[b, i, c]", pattern, *defined]))
    (tmp_path / "given.tn").write_text("\n".join([pattern, *given]))
    for name in ("defined", "given"):
        out = tmp_path / f"{name}.py"
        assert main(["compile", str(tmp_path / f"{name}.tn"), "-o", str(out)]) == 0
    for tool in (["ruff", "check", "--isolated"], ["mypy", "--strict", "--cache-dir", "/dev/null"]):
        done = subprocess.run(
            [sys.executable, "-m", *tool, "defined.py", "given.py"],
            capture_output=True, text=True, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
