"""What loaders give, what networks give back, and how they are run: taken, or refused in words."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

import diagrammar as dg

Pair = namedtuple("Pair", "image label")
LOSS = nn.CrossEntropyLoss()


def batch(count: int = 6) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(count, 4), torch.randint(3, (count,))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))


def diagonals(model: nn.Module, data: Any, **options: Any) -> list[Tensor]:
    made = dg.curvature(model, data, LOSS, "diag_ggn", **options)
    assert made.examples == 6
    return [made.diagonal(layer)[0] for layer in made.layers]


def same(model: nn.Module, data: Any, **options: Any) -> None:
    right = diagonals(network(), batch())
    for a, b in zip(diagonals(model, data, **options), right, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-8)


X, Y = batch()

TAKEN: dict[str, Any] = {
    "a pair": (X, Y),
    "a list, as a loader gives it": [X, Y],
    "a named tuple": Pair(X, Y),
    "a loader": DataLoader(TensorDataset(X, Y), batch_size=4),
    "one batch of a loader": next(iter(DataLoader(TensorDataset(X, Y), batch_size=6))),
    "lists of lists": [[X[:2], Y[:2]], [X[2:], Y[2:]]],
    "a tuple of pairs": ((X[:2], Y[:2]), (X[2:], Y[2:])),
    "three batches": [(X[:2], Y[:2]), (X[2:4], Y[2:4]), (X[4:], Y[4:])],
    "a generator": lambda: ((x, y) for x, y in [(X, Y)]),
    "zip": lambda: zip(X.split(3), Y.split(3), strict=True),
    "an empty batch among others": [(X, Y), (X[:0], Y[:0])],
    "an empty batch first": [(X[:0], Y[:0]), (X, Y)],
    "single examples": [(X[n : n + 1], Y[n : n + 1]) for n in range(6)],
}


@pytest.mark.parametrize("name", TAKEN)
def test_data_that_is_taken(name: str):
    data = TAKEN[name]
    same(network(), data() if isinstance(data, type(lambda: 0)) else data)


class Named(nn.Module):
    """A network whose input is a nest of tensors."""

    def __init__(self, get: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.inner, self.get = network(), get

    def forward(self, x: Any) -> Tensor:
        return self.inner(self.get(x))


NESTS: dict[str, tuple[Any, Callable[[Any], Tensor]]] = {
    "a dict": ({"a": X[:, :2], "b": X[:, 2:]}, lambda x: torch.cat([x["a"], x["b"]], 1)),
    "an ordered dict": (OrderedDict(a=X), lambda x: x["a"]),
    "a pair": ((X[:, :2], X[:, 2:]), lambda x: torch.cat(x, 1)),
    "a list": ([X, torch.ones(())], lambda x: x[0] * x[1]),
    "a named tuple": (Pair(X, None), lambda x: x.image),
}


@pytest.mark.parametrize("name", NESTS)
@pytest.mark.parametrize(
    "form", [lambda x, y: (x, y), lambda x, y: [(x, y)]], ids=["one", "loader"]
)
def test_inputs_that_are_nests(name: str, form: Callable[[Any, Tensor], Any]):
    x, get = NESTS[name]
    same(Named(get), form(x, Y))


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "dicts": ([{"image": X, "label": Y}], ValueError, r"keys 'image', 'label'.*batch\['image'\]"),
    "one dict": ({"image": X, "label": Y}, TypeError, r"keys 'image', 'label', not batches"),
    "triples": ([(X, Y, X)], ValueError, r"batch 0 is a tuple of 3, not a pair.*batch\[0\]"),
    "one triple": ([[X, Y, X], [X, Y, X]], ValueError, r"batch 0 is a list of 3"),
    "a tensor": (X, TypeError, r"a tensor of shape \(6, 4\)"),
    "tensors": ([X, Y, X], ValueError, r"batch 0 is a tensor of shape \(6, 4\), not a pair"),
    "a number": (3, TypeError, "data must be a loader"),
    "a text": ("train", TypeError, "data must be a loader"),
    "nothing": ([], ValueError, "the data has no examples"),
    "an iterator that was read": (iter([]), ValueError, "an iterator can be read only once"),
    "empty batches": ([(X[:0], Y[:0])], ValueError, "the data has no examples"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_data_that_is_refused(name: str):
    data, kind, words = REFUSED[name]
    with pytest.raises(kind, match=words):
        dg.curvature(network(), data, LOSS, "diag_ggn")


OUTPUTS: dict[str, tuple[Callable[[Tensor], Any], type[Exception], str]] = {
    "a tuple": (lambda f: (f, f), TypeError, r"type tuple with 2 entries.*self.inner\(x\)\[0\]"),
    "a dict": (lambda f: {"logits": f}, TypeError, r"fields logits.*self.inner\(x\)\['logits'\]"),
    "None": (lambda f: None, TypeError, "of type NoneType, not one tensor"),
    "a number": (lambda f: f.sum(), ValueError, "without its loss"),
    "detached": (lambda f: f.detach(), RuntimeError, "does not depend on its layers"),
    "rounded": (lambda f: f.round().long().float(), RuntimeError, "does not depend on its layers"),
    "five of six rows": (lambda f: f[:5], ValueError, "which rows of the network's output"),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_that_are_refused(name: str):
    change, kind, words = OUTPUTS[name]

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()

        def forward(self, x: Tensor) -> Any:
            return change(self.inner(x))

    with pytest.raises(kind, match=words):
        dg.curvature(Net(), (X, Y), LOSS, "diag_ggn")


# -- how networks are run --------------------------------------------------------------------------


class Checkpointed(nn.Module):
    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        self.inner, self.reentrant = network(), reentrant

    def forward(self, x: Tensor) -> Tensor:
        h = x.requires_grad_() if self.reentrant else x
        return checkpoint(self.inner, h, use_reentrant=self.reentrant)


def test_checkpoints():
    same(Checkpointed(reentrant=False), (X.clone(), Y))
    with pytest.raises(NotImplementedError, match="use_reentrant=False"):
        dg.curvature(Checkpointed(reentrant=True), (X.clone(), Y), LOSS, "diag_ggn")


def test_compiled_networks_and_parts():
    whole = torch.compile(network(), backend="aot_eager")
    whole(X)
    same(whole, (X, Y))
    assert dg.curvature(whole, (X, Y), LOSS, "diag_ggn").layers == ("0", "2")
    part = network()
    part[0] = torch.compile(part[0], backend="aot_eager")
    part(X)
    same(part, (X, Y))
    own = network()
    own[2].compile(backend="aot_eager")
    own(X)
    same(own, (X, Y))


def test_wrappers_of_parallel_training():
    wrapped = nn.DataParallel(network())
    same(wrapped, (X, Y))


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_contexts_without_gradients(context: Callable[[], Any]):
    model, right = network(), diagonals(network(), (X, Y))
    with context():
        for x in (X, X + 0):
            for a, b in zip(diagonals(model, (x, Y)), right, strict=True):
                assert torch.allclose(a, b)


def test_parts_without_gradients():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                h = self.first(x)
            return self.second(h)

    with pytest.raises(NotImplementedError, match=r"'first' runs where no gradients.*exclude"):
        dg.curvature(Net(), (X, Y), LOSS, "diag_ggn")
    made = dg.curvature(Net(), (X, Y), LOSS, "diag_ggn", exclude=["first"])
    assert made.layers == ("second",)


def test_a_network_made_under_inference_mode():
    with torch.inference_mode():
        model = network()
    with pytest.raises(NotImplementedError, match=r"made under torch\.inference_mode"):
        dg.curvature(model, (X, Y), LOSS, "diag_ggn")


def test_an_input_that_is_overwritten_after_the_call():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 3)
            self.first.weight.requires_grad_(False)

        def forward(self, x: Tensor) -> Tensor:
            h = x + 0
            out = self.first(h)
            h.mul_(2)
            return self.second(out.tanh() + h)

    with pytest.raises((NotImplementedError, RuntimeError), match=r"in.?place"):
        dg.curvature(Net(), (X, Y), LOSS, "diag_ggn", layers=["first"])


# -- which layers ----------------------------------------------------------------------------------


def test_layers_that_are_not_trained():
    model = network()
    model[0].requires_grad_(False)
    assert dg.curvature(model, (X, Y), LOSS).layers == ("2",)
    assert dg.curvature(model, (X, Y), LOSS, layers=["0"]).layers == ("0",)
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True]
    model[2].bias.requires_grad_(False)
    made = dg.curvature(model, (X, Y), LOSS, ("diag_ggn", "kfac_expand"))
    assert made.diagonal("2")[1] is None
    assert made.factors("2")[0].shape == (1, 5, 5)
    model[2].weight.requires_grad_(False)
    with pytest.raises(ValueError, match=r"no layer is left of 2, first '0'"):
        dg.curvature(model, (X, Y), LOSS)
    model[0].bias.requires_grad_(True)
    with pytest.raises(TypeError, match=r"'0.bias'.*layer with a frozen weight"):
        dg.curvature(model, (X, Y), LOSS)


def test_a_string_is_one_name():
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(11)), nn.Linear(4, 3))
    assert dg.curvature(model, (X, Y), LOSS, layers="10").layers == ("10",)
    assert "10" not in dg.curvature(model, (X, Y), LOSS, exclude="10").layers
    with pytest.raises(ValueError, match="exclude: no module '12' in this network"):
        dg.curvature(model, (X, Y), LOSS, exclude="12")


def test_layers_that_are_not_called():
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
            self.head = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            h = x[:, None] * torch.linspace(1, 2, 3)[:, None]
            return self.head(self.attention(h, h, h)[0].mean(1))

    words = r"'attention.out_proj' was not called as a module.*exclude=\['attention.out_proj'\]"
    for check in ("first", "off"):
        with pytest.raises(RuntimeError, match=words):
            dg.curvature(Attention(), (X, Y), LOSS, skip_others=True, check=check)
    made = dg.curvature(Attention(), (X, Y), LOSS, skip_others=True, exclude="attention.out_proj")
    assert made.layers == ("head",)


def test_the_check_is_as_asked():
    model = network()
    seen: list[Tensor] = []
    model[0].weight.register_hook(seen.append)
    data = [(X[:2], Y[:2]), (X[2:4], Y[2:4]), (X[4:], Y[4:])]
    for check, count in (("off", 0), ("first", 1), ("every", 3)):
        seen.clear()
        dg.curvature(model, data, LOSS, check=check)
        assert len(seen) == count
    with pytest.raises(ValueError, match="check must be one of first, every, off"):
        dg.curvature(model, data, LOSS, check="never")


def test_random_numbers_and_statistics_stay_as_they_are():
    """The check runs a part of the network once more, and nobody sees it."""
    model = nn.Sequential(network(), nn.Dropout(0.5))
    model.train()
    drawn = []
    for check in ("first", "off"):
        torch.manual_seed(3)
        dg.curvature(model, (X, Y), LOSS, check=check)
        drawn.append(torch.rand(3))
    assert torch.equal(*drawn)
