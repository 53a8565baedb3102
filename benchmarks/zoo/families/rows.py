"""Networks in which the first axis of a layer's input is not the examples."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.zoo.network import Problem, classes, images, network, prepared

Classes = nn.CrossEntropyLoss


class Frames(nn.Module):
    """A network of each frame of [b, t, c, h, w], frames folded into the batch; means over time."""

    def __init__(self, time_first: bool = False) -> None:
        super().__init__()
        self.time_first = time_first
        self.conv, self.up = nn.Conv2d(2, 3, 3, padding=1), nn.ConvTranspose2d(3, 2, 2, groups=1)
        self.body, self.head = nn.Linear(2, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        if self.time_first:
            x = x.transpose(0, 1)
        h = self.up(self.conv(x.flatten(0, 1)).tanh()).mean((2, 3))
        h = self.body(h).tanh().unflatten(0, x.shape[:2])
        return self.head(h.mean(0 if self.time_first else 1))


@network("video frames", "frames folded into the batch", light=True)
def video_frames() -> Problem:
    return Problem(prepared(Frames()), (images(3, 2, 4, 4)[:, None].repeat(1, 4, 1, 1, 1)
                   * torch.linspace(0.5, 2, 4).double()[:, None, None, None], classes()),
                   Classes())  # fmt: skip


@network("video frames, time first", "[t, b] folded into the batch: examples are interleaved",
         light=True)  # fmt: skip
def video_frames_time_first() -> Problem:
    x = torch.randn(3, 4, 2, 4, 4, dtype=torch.float64)
    return Problem(prepared(Frames(time_first=True)), (x, classes()), Classes())


@network("crops as one image", "one example, its crops the batch of the layers", light=True)
def crops_as_one_image() -> Problem:
    x = torch.randn(1, 4, 2, 4, 4, dtype=torch.float64)
    return Problem(prepared(Frames()), (x, classes(1)), Classes())


@network("as many frames as examples", "three frames of three examples, time first", light=True)
def as_many_frames_as_examples() -> Problem:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.head = nn.Linear(4, 5), nn.Linear(5, 5), nn.Linear(5, 4)

        def forward(self, x: Tensor) -> Tensor:  # [b, t, c]
            h = self.second(self.first(x.transpose(0, 1)).tanh())
            return self.head(h.tanh().mean(0))

    x = torch.randn(3, 3, 4, dtype=torch.float64)
    return Problem(prepared(Net()), (x, classes()), Classes())


@network("windows", "windows of an image folded into the batch, one for each example's", light=True)
def windows() -> Problem:
    class Windows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.project, self.mix, self.head = nn.Linear(2, 4), nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:  # [b, 4, 4, 2]
            w = x.unflatten(1, (2, 2)).unflatten(3, (2, 2)).transpose(2, 3).reshape(-1, 4, 2)
            h = self.mix(self.project(w).tanh()).softmax(1) * w.sum(2, keepdim=True)
            return self.head(h.unflatten(0, (len(x), 4)).mean((1, 2)))

    x = torch.randn(3, 4, 4, 2, dtype=torch.float64)
    return Problem(prepared(Windows()), (x, classes()), Classes())


@network("position network", "positions of batch 1, broadcast over examples", light=True)
def position_network() -> Problem:
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.positions = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 6))
            self.head = nn.Linear(6, 4)
            self.register_buffer("at", torch.linspace(0, 1, 5)[None, :, None])

        def forward(self, x: Tensor) -> Tensor:
            return self.head((x + self.positions(self.at)).tanh().mean(1))

    x = torch.randn(3, 5, 6, dtype=torch.float64)
    return Problem(prepared(Positions()), (x, classes()), Classes())


@network("as many positions as examples", "a table of positions without a batch axis", light=True)
def as_many_positions_as_examples() -> Problem:
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.positions, self.head = nn.Linear(2, 6), nn.Linear(6, 4)
            self.register_buffer("at", torch.rand(3, 2))

        def forward(self, x: Tensor) -> Tensor:
            return self.head((x + self.positions(self.at)).tanh().mean(1))

    x = torch.randn(3, 3, 6, dtype=torch.float64)
    return Problem(prepared(Positions()), (x, classes()), Classes())


@network("hyper network", "a layer makes the weight of another operation", light=True)
def hyper_network() -> Problem:
    class Hyper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.make, self.head = nn.Linear(3, 12), nn.Linear(4, 4)
            self.register_buffer("code", torch.randn(3))

        def forward(self, x: Tensor) -> Tensor:
            weight = self.make(self.code).view(4, 3)
            return self.head((x @ weight.t()).tanh())

    x = torch.randn(3, 3, dtype=torch.float64)
    return Problem(prepared(Hyper()), (x, classes()), Classes())


@network("mixture of experts", "each expert sees a part of the examples", light=True)
def mixture_of_experts() -> Problem:
    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = nn.Linear(4, 2)
            self.experts = nn.ModuleList(nn.Linear(4, 3) for _ in range(2))

        def forward(self, x: Tensor) -> Tensor:
            weights, out = self.gate(x).softmax(1), x.new_zeros(len(x), 3)
            to = (x[:, 0] > 0).long()
            for n, expert in enumerate(self.experts):
                mine = to == n
                out = out.index_put((mine,), expert(x[mine]) * weights[mine, n, None])
            return out

    x = torch.randn(4, 4, dtype=torch.float64)
    x[:, 0] = torch.tensor([1.0, -1.0, 0.5, 2.0])
    y = torch.randn(4, 3, dtype=torch.float64)
    return Problem(prepared(Experts()), (x, y), nn.MSELoss())


@network("experts of tokens", "each expert sees some of the tokens, all examples' in one axis",
         light=True)  # fmt: skip
def experts_of_tokens() -> Problem:
    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.into, self.experts = nn.Linear(3, 4), nn.ModuleList()
            for _ in range(2):
                self.experts.append(nn.Sequential(nn.Linear(4, 5), nn.SiLU(), nn.Linear(5, 4)))
            self.head = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            h = self.into(x).flatten(0, 1)
            out, to = torch.zeros_like(h), (x.flatten(0, 1)[:, 0] > 0).long()
            for n, expert in enumerate(self.experts):
                (mine,) = (to == n).nonzero(as_tuple=True)
                out = out.index_add(0, mine, expert(h[mine]))
            return self.head((h + out).unflatten(0, x.shape[:2]).mean(1))

    x = torch.randn(3, 4, 3, dtype=torch.float64)
    return Problem(prepared(Experts()), (x, classes()), Classes())


@network("graph network", "nodes of all graphs in one axis, summed by graph", light=True)
def graph_network() -> Problem:
    class Graphs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.message, self.update = nn.Linear(3, 4), nn.Linear(7, 5)
            self.head = nn.Linear(5, 4)

        def forward(self, x: Tensor) -> Tensor:  # [b, nodes, features] of dense graphs
            nodes = x.flatten(0, 1)
            messages = self.message(nodes).tanh().unflatten(0, x.shape[:2])
            around = messages.roll(1, 1) + messages.roll(-1, 1)
            h = self.update(torch.cat([nodes, around.flatten(0, 1)], 1)).tanh()
            return self.head(h.unflatten(0, x.shape[:2]).sum(1))

    x = torch.randn(3, 4, 3, dtype=torch.float64)
    return Problem(prepared(Graphs()), (x, classes()), Classes())


@network("groups of the whole batch", "a contrastive loss: all examples look at each other",
         light=True, refused=r"depend on each other|'(first|second)'")  # fmt: skip
def groups_of_the_whole_batch() -> Problem:
    class Contrast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            z = self.second(self.first(x).tanh())
            return z @ z.t()

    x = torch.randn(3, 4, dtype=torch.float64)
    return Problem(prepared(Contrast()), (x, torch.arange(3)), Classes())
