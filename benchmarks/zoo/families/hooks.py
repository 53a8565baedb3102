"""Layers that do more than their forward says, and forwards that run in other ways."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.utils.checkpoint import checkpoint

from benchmarks.zoo.network import Problem, classes, images, network, prepared


class Net(nn.Module):
    """Two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.first(x).tanh())


def problem(model: nn.Module, **more: Any) -> Problem:
    """Four examples of vectors, squared loss."""
    x, y = images(4, 4)[..., 0, 0], images(4, 3)[..., 0, 0]
    return Problem(model, (x, y), nn.MSELoss(), **more)


@network("hook that scales an output", "a forward hook of one's own", light=True)
def hook_that_scales_an_output() -> Problem:
    model = prepared(Net())
    model.first.register_forward_hook(lambda module, given, output: 2 * output)
    return problem(model)


@network("hook that adds a residual", "a forward hook of one's own", light=True)
def hook_that_adds_a_residual() -> Problem:
    model = prepared(Net())
    model.first.register_forward_hook(lambda m, given, output: output + given[0].sum(1)[:, None])
    return problem(model)


@network("hook that scales an input", "a pre-hook of one's own", light=True)
def hook_that_scales_an_input() -> Problem:
    model = prepared(Net())
    model.first.register_forward_pre_hook(lambda module, given: (3 * given[0],))
    return problem(model)


@network("backward hook", "full backward hooks of one's own that change nothing", light=True)
def backward_hook() -> Problem:
    model = prepared(Net())
    for module in (model.first, model.head):
        module.register_full_backward_hook(lambda m, into, out: None)
    return problem(model)


@network("replaced forward", "a forward set on the instance, as adapters do", light=True,
         refused=r"'first\.weight'.*forward was replaced")  # fmt: skip
def replaced_forward() -> Problem:
    model = prepared(Net())
    first = model.first
    first.forward = lambda x: nn.functional.linear(2 * x, first.weight, first.bias)
    return problem(model, options={"skip_others": False})


class LowRank(nn.Module):
    """A frozen layer and a trainable low-rank addition."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Linear(base.in_features, 2, bias=False)
        self.up = nn.Linear(2, base.out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.up(self.down(x))


@network("low-rank adapters", "frozen layers with trainable additions", light=True)
def low_rank_adapters() -> Problem:
    model = Net()
    model.first, model.head = LowRank(model.first), LowRank(model.head)
    return problem(prepared(model))


@network("frozen backbone", "only the head is trained", light=True)
def frozen_backbone() -> Problem:
    model = prepared(nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(),
                                   nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 4)))  # fmt: skip
    for module in (model[0], model[1], model[4]):
        module.requires_grad_(False)
    return Problem(model, (images(3, 1, 4, 4), classes()), nn.CrossEntropyLoss())


@network("only biases are trained", "weights are frozen, as in BitFit", light=True,
         refused=r"'(0|2)(\.weight)?'")  # fmt: skip
def only_biases_are_trained() -> Problem:
    model = prepared(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)))
    for layer in (model[0], model[2]):
        layer.weight.requires_grad_(False)
    return problem(model)


def with_made_weights(make: Any) -> Problem:
    """A network whose layers' weights are made of other parameters."""
    model = nn.Sequential(make(nn.Linear(4, 4)), nn.Tanh(), make(nn.Linear(4, 4)), nn.Tanh(),
                          make(nn.Linear(4, 3)))  # fmt: skip
    return problem(prepared(model))


@network("weight norm", "three layers with weights of direction and length", light=True)
def weight_norm() -> Problem:
    return with_made_weights(parametrizations.weight_norm)


@network("spectral norm", "three layers with weights of norm one", light=True)
def spectral_norm() -> Problem:
    return with_made_weights(parametrizations.spectral_norm)


@network("old weight norm", "weight norm by a forward pre-hook, as before parametrisations",
         light=True)  # fmt: skip
def old_weight_norm() -> Problem:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are parametrisations now
        return with_made_weights(nn.utils.weight_norm)


@network("pruned network", "half of two weights are masked", light=True)
def pruned_network() -> Problem:
    model = prepared(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)))
    for n in (0, 2):
        prune.l1_unstructured(model[n], "weight", 0.5)
    return problem(model)


@network("symmetric weights", "a parametrisation of one's own", light=True)
def symmetric_weights() -> Problem:
    class Symmetric(nn.Module):
        def forward(self, w: Tensor) -> Tensor:
            return w.triu() + w.triu(1).mT

    model = Net()
    model.first = nn.Linear(4, 4)
    model.head = nn.Linear(4, 3)
    parametrize.register_parametrization(model.first, "weight", Symmetric())
    return problem(prepared(model))


class Blocks(nn.Module):
    """A stem, two blocks that are checkpointed or not, a head."""

    def __init__(self, reentrant: bool | None) -> None:
        super().__init__()
        self.reentrant = reentrant
        self.stem = nn.Linear(4, 4)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(2))
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x)
        for block in self.blocks:
            if self.reentrant is None:
                h = block(h)
            else:
                h = checkpoint(block, h, use_reentrant=self.reentrant)
        return self.head(h)


def checkpointed(reentrant: bool) -> Problem:
    model, twin = prepared(Blocks(reentrant)), Blocks(None).double()
    twin.load_state_dict(model.state_dict())
    return problem(model, twin=twin)


@network("checkpointed", "blocks that run again in the backward pass", light=True)
def checkpointed_blocks() -> Problem:
    return checkpointed(reentrant=False)


@network("checkpointed, reentrant", "the older way, which autograd.grad does not take", light=True,
         refused=r"(?i)checkpoint")  # fmt: skip
def checkpointed_blocks_reentrant() -> Problem:
    return checkpointed(reentrant=True)


@network("compiled", "by torch.compile, and run before")
def compiled() -> Problem:
    twin = prepared(Net())
    model = torch.compile(twin, backend="eager")
    made = problem(model, twin=twin)
    model(made.data[0])
    return made


@network("in inference mode", "the network computes without gradients", light=True,
         refused=r"'?(first|head)'?|gradient|inference")  # fmt: skip
def in_inference_mode() -> Problem:
    class Deployed(Net):
        @torch.inference_mode()
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)

    model, twin = prepared(Deployed()), Net().double()
    twin.load_state_dict(model.state_dict())
    return problem(model, twin=twin)


@network("batch norm without statistics", "it normalises over the batch in evaluation mode, too",
         light=True, refused=r"(?i)'1'.*(batch|depend)")  # fmt: skip
def batch_norm_without_statistics() -> Problem:
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5, track_running_stats=False), nn.Tanh(),
                          nn.Linear(5, 3))  # fmt: skip
    return problem(prepared(model))


@network("batch norm in training mode", "examples depend on each other", light=True,
         refused=r"(?i)'1' normalises over the batch")  # fmt: skip
def batch_norm_in_training_mode() -> Problem:
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(),
                          nn.Linear(12, 4))  # fmt: skip
    return Problem(prepared(model).train(), (images(3, 1, 4, 4), classes()), nn.CrossEntropyLoss())


@network("normalised by hand", "features minus their mean over the batch", light=True,
         refused=r"'(first|head)'|depend on each other")  # fmt: skip
def normalised_by_hand() -> Problem:
    class Centred(Net):
        def forward(self, x: Tensor) -> Tensor:
            h = self.first(x)
            return self.head((h - h.mean(0)).tanh())

    return problem(prepared(Centred()))


@network("unused layer", "a layer that is never called", light=True,
         refused=r"'idle' was not called")  # fmt: skip
def unused_layer() -> Problem:
    model = Net()
    model.idle = nn.Linear(2, 2)
    return problem(prepared(model))


@network("subclass", "a linear layer with a forward of its own, left out", light=True)
def subclass() -> Problem:
    class Doubled(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(2 * x)

    model = Net()
    model.first = Doubled(4, 5)
    return problem(prepared(model))
