"""Compiled functions: calling, specialising, options, and errors at call time."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import diagrammar as dg
from diagrammar import program as ops


@pytest.fixture(scope="module")
def spec():
    return dg.shipped("conv2d")


def layer(dtype=torch.float64):
    torch.manual_seed(0)
    x = torch.randn(2, 4, 7, 6, dtype=dtype)
    w = torch.randn(6, 4, 3, 3, dtype=dtype)
    bias = torch.randn(6, dtype=dtype)
    return x, w, bias


def message(call) -> str:
    with pytest.raises(dg.DiagramError) as caught:
        call()
    return str(caught.value)


class TestCalling:
    def test_operands_go_by_name_or_in_the_order_of_the_file(self, spec):
        x, w, bias = layer()
        f = spec["Y"].compile()
        expected = torch.nn.functional.conv2d(x, w, bias, padding=1)
        assert torch.allclose(f(x, w, bias), expected)
        assert torch.allclose(f(bias=bias, W=w, X=x), expected)
        assert torch.allclose(f(x, bias=bias, W=w), expected)

    def test_it_is_made_once_for_each_combination_of_shapes(self, spec):
        f = spec["A_reduce"].compile()
        first = f.specialise(X=(2, 4, 7, 6))
        assert f.specialise(X=(2, 4, 7, 6)) is first
        assert f.specialise(X=(3, 4, 7, 6)) is not first

    def test_several_results_share_their_work(self, spec):
        x, _, _ = layer()
        both = spec.compile("A_expand", "U")
        a, u = both(X=x)
        assert torch.allclose(a[0], torch.einsum("bgro,bgso->rs", u, u) / 2)
        steps = both.specialise(X=(2, 4, 7, 6)).program.steps
        assert sum(isinstance(s.operation, ops.Pad) for s in steps) == 1

    def test_the_oracle_is_a_backend(self, spec):
        x, w, bias = layer()
        oracle = spec["Y"].compile(backend="numpy")
        found = torch.from_numpy(oracle(X=x.numpy(), W=w.numpy(), bias=bias.numpy()))
        assert torch.allclose(found, torch.nn.functional.conv2d(x, w, bias, padding=1))


class TestErrors:
    def test_a_wrong_size_names_operand_axis_wire_and_both_sizes(self, spec):
        x, _, bias = layer()
        f = spec["Y"].compile()
        assert message(lambda: f(X=x, W=x.new_zeros(6, 4, 5, 3), bias=bias)) == (
            "error: operand 'W', axis 2 (k1), has size 5, but 3 is needed\n"
            " --> conv2d.tn:3:6\n"
            "  |\n"
            "3 | size k1 = 3, k2 = 3, g = 1                # sizes may be fixed here, at compile "
            "time, or by the …\n"
            "  |      ^^ the default\n"
            " --> conv2d.tn:7:22\n"
            "  |\n"
            "7 | tensor W[(g co), ci, k1, k2]\n"
            "  |                      ^^ of another size in this call\n"
            "  = help: the file fixes k1 = 3; compile(k1=…) replaces that"
        )

    def test_two_operands_that_disagree(self, spec):
        x, w, bias = layer()
        f = spec["Y"].compile()
        assert message(lambda: f(X=x, W=w[:, :3], bias=bias)) == (
            "error: operand 'W', axis 1 (ci), has size 3, but 4 is needed\n"
            "  = help: ci = 4 comes from operand 'X', axis 1 ((g ci))"
        )

    def test_a_wrong_number_of_axes(self, spec):
        x, w, bias = layer()
        f = spec["Y"].compile()
        assert message(lambda: f(X=x[0], W=w, bias=bias)) == (
            "error: operand 'X' has 3 axes, not 4: shape (4, 7, 6)\n"
            "  = help: its axes are [b, (g ci), i1, i2]"
        )

    def test_a_missing_and_an_unknown_operand(self, spec):
        x, w, bias = layer()
        f = spec["Y"].compile()
        assert message(lambda: f(X=x, Weight=w, bias=bias)) == (
            "error: 'Y' has no operand 'Weight'\n"
            "  = help: it takes X, W, bias\n"
            "\n"
            "error: operand 'W' is missing\n"
            "  = help: its axes are [(g co), ci, k1, k2]"
        )

    def test_a_size_that_cannot_be_inferred_says_how_to_give_it(self, spec):
        _, w, _ = layer()
        f = spec["dX"].compile(s=2, i1=7)
        assert message(lambda: f(W=w, dY=torch.zeros(2, 6, 4, 3, dtype=w.dtype))) == (
            "error: the size of wire 'i2' cannot be inferred from the operands\n"
            "  = help: give it: compile(i2=…), or in the file: size i2 = …"
        )

    def test_stride_one_needs_no_input_size(self, spec):
        x, w, _ = layer()
        v = torch.randn(2, 6, 7, 6, dtype=x.dtype)
        made = spec["dX"].compile()(W=w, dY=v)
        assert torch.allclose(made, torch.nn.functional.conv_transpose2d(v, w, padding=1))

    def test_a_kernel_that_does_not_fit(self, spec):
        x = torch.zeros(2, 4, 3, 3)
        f = spec["U"].compile(k1=7, k2=7, p=0)
        assert "reaches over 7 entries, and the padded input has 3" in message(lambda: f(X=x))

    def test_unknown_names_and_bad_values(self, spec):
        assert message(lambda: spec["A_reduce"].compile(k11=3)) == (
            "error: unknown size or parameter 'k11'\n  = help: did you mean 'k1'?"
        )
        assert message(lambda: spec["Y"].compile(k1=2.5)) == (
            "error: 'k1' must be an integer of at least 0, not 2.5\n  = help: give it as k1=3"
        )
        assert message(lambda: spec["Y"].compile(backend="jax")) == (
            "error: option 'backend' must be 'torch' or 'numpy', not 'jax'"
        )


class TestOptions:
    def test_a_memory_budget_is_refused_before_anything_is_allocated(self, spec):
        x, _, _ = layer(torch.float32)
        assert spec["A_expand"].compile(memory="1MiB")(X=x).shape == (1, 36, 36)
        text = message(lambda: spec["A_expand"].compile(memory="5KB")(X=x))
        assert text.startswith("error: 'A_expand' would allocate ")
        assert "no number of bytes" in message(lambda: spec["U"].compile(memory="much"))

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_accumulation_in_a_wider_dtype(self, spec, dtype):
        x, _, _ = layer(torch.float64)
        exact = spec["A_reduce"].compile()(X=x.to(dtype).double())
        found = spec["A_reduce"].compile(accumulate="float32")(X=x.to(dtype))
        assert found.dtype == dtype
        bound = torch.finfo(dtype).eps * exact.abs().max()
        assert (found.double() - exact).abs().max() <= bound

    def test_rules_can_be_switched_off(self, spec):
        x, _, _ = layer()
        plain = spec["A_reduce"].compile(without=("summed end",))
        assert torch.allclose(plain(X=x), spec["A_reduce"].compile()(X=x))
        assert not plain.specialise(X=tuple(x.shape)).traces[0]

    @pytest.mark.parametrize("native", [True, False])
    def test_native_convolutions_are_one_candidate(self, spec, native):
        g = spec["Y"].compile(native=native).specialise(X=(2, 4, 7, 6), W=(6, 4, 3, 3), bias=(6,))
        calls = [s for s in g.program.steps if isinstance(s.operation, ops.Convolution)]
        assert bool(calls) is native


@pytest.mark.parametrize("name", ["U", "A_expand", "A_reduce"])
@pytest.mark.parametrize(
    ("shape", "values"),
    [
        ((1, 4, 1, 1), {"k1": 1, "k2": 2, "s": 1, "p": 1, "d": 2, "g": 2}),
        ((2, 2, 1, 1), {"k1": 3, "k2": 3, "s": 1, "p": 1, "d": 1, "g": 2}),
        ((1, 1, 9, 3), {"k1": 2, "k2": 1, "s": 4, "p": 0, "d": 2, "g": 1}),
        ((1, 2, 5, 7), {"k1": 3, "k2": 2, "s": 2, "p": 3, "d": 4, "g": 1}),
    ],
    ids=["one pixel", "padding only", "gaps", "common factor"],
)
def test_geometries_at_the_edge(spec, name, shape, values):
    x = torch.randn(shape, dtype=torch.float64)
    found = spec[name].compile(**values)(X=x)
    expected = spec[name].compile(**values, backend="numpy")(X=x.numpy())
    assert torch.allclose(found, torch.as_tensor(expected), rtol=1e-12, atol=1e-12)


def test_a_fold_whose_first_entries_get_nothing(spec):
    """Of this kernel two entries meet the input, the first of them not at its beginning."""
    values = {"k1": 4, "k2": 1, "s": 1, "p": 3, "d": 4, "g": 1, "i1": 9, "i2": 7}
    w = torch.randn(2, 1, 4, 1, dtype=torch.float64)
    v = torch.randn(1, 2, 3, 13, dtype=torch.float64)
    for native in (True, False):
        found = spec["dX"].compile(**values, native=native)(W=w, dY=v)
        expected = torch.nn.grad.conv2d_input((1, 1, 9, 7), w, v, padding=3, dilation=4)
        assert torch.allclose(found, expected)


class TestTransforms:
    @pytest.mark.parametrize("name", ["Y", "A_expand", "A_reduce", "U"])
    def test_gradients_of_first_and_second_order(self, spec, name):
        f = spec[name].compile(s=2)
        operands = [x[:, :2, :5, :5] if x.ndim == 4 else x for x in layer()]
        chosen = {"X": operands[0], "W": layer()[1][:, :2], "bias": operands[2]}
        given = [chosen[o.name].clone().requires_grad_() for o in f.operands]
        assert torch.autograd.gradcheck(f, given)
        if name != "Y":
            assert torch.autograd.gradgradcheck(f, given)

    def test_vmap_and_forward_mode(self, spec):
        x, w, bias = layer()
        f = spec["Y"].compile()
        batch = torch.stack([x, 2 * x])
        mapped = torch.func.vmap(lambda x: f(x, w, bias))(batch)
        assert torch.allclose(mapped[1], f(2 * x, w, bias))
        _, tangent = torch.func.jvp(lambda x: f(x, w, bias), (x,), (x,))
        assert torch.allclose(tangent, f(x, w, 0 * bias))

    def test_operands_need_not_be_contiguous(self, spec):
        x, _, _ = layer()
        f = spec["A_reduce"].compile()
        strided = x.transpose(2, 3).contiguous().transpose(2, 3)
        assert not strided.is_contiguous()
        assert torch.allclose(f(X=strided), f(X=x))
        assert torch.allclose(f(X=x.to(memory_format=torch.channels_last)), f(X=x))

    def test_complex_operands(self, spec):
        x = torch.randn(2, 4, 7, 6, dtype=torch.complex128)
        u = spec["U"].compile()(X=x)
        a = spec["A_reduce"].compile()(X=x)
        mean = u.mean(-1)[:, 0]
        assert torch.allclose(a[0], mean.mT @ mean / 2)

    def test_an_empty_batch_averages_to_zero(self, spec):
        a = spec["A_reduce"].compile()(X=torch.zeros(0, 4, 7, 6))
        assert torch.equal(a, torch.zeros(1, 36, 36))


def test_a_shape_generic_module_needs_torch_only(spec, tmp_path):
    path = tmp_path / "ops.py"
    path.write_text(spec["A_reduce"].compile().source)
    check = (
        "import sys, torch, ops\n"
        "for shape in [(2, 4, 7, 6), (3, 2, 5, 5)]:\n"
        "    x = torch.randn(shape, dtype=torch.float64)\n"
        "    u = torch.nn.functional.unfold(x, 3, padding=1).mean(-1)\n"
        "    assert torch.allclose(ops.A_reduce(x)[0], u.mT @ u / len(x))\n"
        "assert 'diagrammar' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", check], cwd=tmp_path, check=True)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("name", [n for n in dg.shipped("conv2d") if n != "JX"])
def test_every_tensor_of_a_diagram_is_brought_in_by_some_line(name: str, native: bool) -> None:
    known = {"X": (2, 4, 7, 7), "W": (6, 2, 3, 3), "bias": (6,), "dY": (2, 6, 4, 4)}
    f = dg.shipped("conv2d")[name].compile(native=native, g=2, s=2, p=1, i1=7, i2=7)
    shapes = {o.name: known.get(o.name, known["X"]) for o in f.operands}
    for made in (f.specialise(**shapes), f.generic()):
        assert "\n".join(line.text for line in made.lines) == made.source.rstrip("\n")
        brought = set().union(*(line.brings for line in made.lines))
        assert brought == {
            (0, n, at)
            for n, term in enumerate(made.diagrams[0].terms)
            for at in range(len(term.tensors))
        }
        assert all(line.brings <= line.within for line in made.lines)


def test_a_line_of_the_source_knows_the_tensors_it_deals_with() -> None:
    f = dg.shipped("conv2d")["A_reduce"].compile(nonfinite="spread")
    made = f.specialise(X=(8, 3, 32, 32))
    names = [tensor.name for tensor in made.diagrams[0].terms[0].tensors]
    assert names == ["X", "P1", "P2", "X", "P1", "P2"]
    deals = {
        line.text.split("#")[0].strip(): (
            sorted(at for *_, at in line.brings),
            sorted(at for *_, at in line.within),
        )
        for line in made.lines
    }
    # both halves of the Gram product are computed once; one window matrix serves both dimensions
    assert deals["window = _WINDOW_I1_K1.to(X)"] == ([1, 2, 4, 5], [1, 2, 4, 5])
    assert deals["x = X @ window"] == ([0, 3], [0, 1, 2, 3, 4, 5])
    assert deals["import torch"] == ([], [])


def test_a_value_replaces_the_default_of_a_size_under_another_name():
    """ggn.tn calls the groups of conv.tn, whose default is one, h."""
    diagonal = dg.shipped("ggn").at(1)["diagonal"]
    f = diagonal.compile(g=2, k=2)
    x, s = torch.rand(3, 4, 6), torch.rand(2, 3, 6, 5)
    assert f(X=x, S=s).shape == (6, 2, 2)


def test_a_constant_among_several_results() -> None:
    spec = dg.parse("tensor X[b, i]\nS[b] = X[b, i]\nO[b, i] = 0*X[b, i]")
    for f in (made := spec.compile("S", "O")), made.generic():
        s, o = f(torch.ones(2, 5))
        assert s.tolist() == [5, 5]
        assert o.tolist() == [[0] * 5] * 2


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f))])
def test_functions_can_be_copied_and_pickled(copied: Any) -> None:
    """Also after a call, as are modules that hold one."""
    spec = dg.parse("tensor X[b, i]\nconstant C[i, j]\nY[b, j] = X[b, i] * C[i, j]")["Y"]
    x, c = torch.randn(2, 4), torch.randn(4, 3)
    for f, given in ((spec.compile(), (x, c)), (spec.compile(constants={"C": c}), (x,))):
        expected = f(*given)
        assert torch.equal(copied(f)(*given), expected)
    special = spec.compile().specialise(X=(2, 4), C=(4, 3))
    assert torch.equal(copied(special)(x, c), special(x, c))
    layer = dg.layers.Conv((3, 3))
    image = torch.randn(2, 3, 8, 8)
    assert torch.equal(layer.kfac_reduce(image), copied(layer).kfac_reduce(image))


@pytest.mark.parametrize("name", ["torch", "Tensor", "max", "self", "path", "rule", "values"])
def test_names_of_our_own_code_are_free(name: str, tmp_path: Path) -> None:
    f = dg.parse(f"tensor {name}[i]\nY[] = {name}[i]")["Y"].compile()
    assert f(**{name: torch.ones(3)}) == 3
    assert f.specialise(**{name: (3,)})(torch.ones(3)) == 3
    assert f.to_html(tmp_path / "Y.html", **{name: (3,)}).stat().st_size > 1000
    named = dg.parse(f"tensor X[i]\n{name}[] = X[i]")
    assert named[name].compile()(torch.ones(3)) == 3
    sized = dg.parse(f"tensor X[{name}]\nY[] = X[{name}]")["Y"]
    assert sized.compile(**{name: 3})(torch.ones(3)) == 3
    assert sized.why_not("pointwise", **{name: 3}) == ("Y has no relation",)
    assert not sized.simplify(**{name: 3}).trace


@pytest.mark.parametrize("memory", [-5, True, 2e9, "3x"])
def test_what_is_no_number_of_bytes(memory: Any) -> None:
    with pytest.raises(dg.DiagramError, match="no number of bytes"):
        dg.parse("tensor X[i]\nY[] = X[i]")["Y"].compile(memory=memory)


def test_open_shapes_are_counted() -> None:
    f = dg.parse("tensor X[i, j]\ntensor Z[j]\nY[i] = X[i, j] * Z[j]")["Y"].compile()
    with pytest.raises(dg.DiagramError, match="'Y' has 2 operands, not 1"):
        f.opened([(None, 4)])


ODD = [None, 3, 2.5, b"x", (), (1,), {"a": 1}, [torch.ones(2)], torch.ones(2), object(), "nothing"]


@pytest.mark.parametrize(
    "option", ["backend", "plan", "native", "accumulate", "without", "constants"]
)
@pytest.mark.parametrize("value", ODD, ids=lambda v: type(v).__name__)
def test_options_of_any_type_are_taken_or_refused_in_words(option: str, value: Any) -> None:
    spec = dg.parse("tensor X[i]\nY[] = X[i]")["Y"]
    fine = {"accumulate": (None,), "without": ((),), "constants": (None,)}.get(option, ())
    if any(value is v or (value == v if isinstance(v, tuple) else False) for v in fine):
        assert spec.compile(**{option: value})(torch.ones(3)) == 3
        return
    with pytest.raises(dg.DiagramError, match=f"option '{option}'|unknown constant"):
        spec.compile(**{option: value})


@pytest.mark.parametrize("word", ["a", "same", ""])
def test_a_word_for_a_number_of_a_used_file_is_refused_in_words(word: str) -> None:
    """The problem stands in the file that is used; its text must not get lost on the way."""
    d = dg.shipped("ggn")["gram_2"]

    def run() -> None:
        f = d.compile(**{"s.0": word})
        f(*[torch.ones(3, 2, 4, 5) for _ in f.operands])

    with pytest.raises(dg.DiagramError, match=r"'s\.0'"):
        run()
