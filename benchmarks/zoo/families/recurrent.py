"""Recurrent networks and language models of torch's own layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.zoo.network import Problem, classes, network, prepared


@network("LSTM head", "batch first, the last state", light=True)
def lstm_head() -> Problem:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.lstm = nn.Embedding(7, 3), nn.LSTM(3, 4, batch_first=True)
            self.between, self.head = nn.Linear(4, 4), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            h, _ = self.lstm(self.embedding(x))
            return self.head(self.between(h).tanh()[:, -1])

    return Problem(prepared(Recurrent()), (classes(3, 7, 5), classes(3, 3)), nn.CrossEntropyLoss())


class TimeFirst(nn.Module):
    """A linear layer, a GRU and a linear layer of [t, b, c], as torch's recurrent layers have it by
    default."""

    def __init__(self, last: bool) -> None:
        super().__init__()
        self.into, self.gru, self.mid = nn.Linear(3, 4), nn.GRU(4, 4), nn.Linear(4, 4)
        self.head, self.last = nn.Linear(4, 2), last

    def forward(self, x: Tensor) -> Tensor:
        h, _ = self.gru(self.into(x).tanh())
        h = self.mid(h).tanh()
        return self.head(h[-1] if self.last else h)


@network("time first, last state", "layers see [t, b, c], the output is [b, c]", light=True)
def time_first_last_state() -> Problem:
    x, y = torch.randn(5, 3, 3, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    return Problem(prepared(TimeFirst(last=True)), (x, y), nn.MSELoss(), examples=3, axis=1)


@network("time first, all states", "the output is [t, b, c], too", light=True,
         refused=r"'(into|mid|head)'|output|examples")  # fmt: skip
def time_first_all_states() -> Problem:
    x, y = torch.randn(5, 3, 3, dtype=torch.float64), torch.randn(5, 3, 2, dtype=torch.float64)
    model = prepared(TimeFirst(last=False))
    return Problem(model, (x, y), nn.MSELoss(), examples=3, axis=1, target_axis=1)


@network("cell by cell", "layers that are called at each time step", light=True,
         refused=r"'(into|step|head)' is called (\w+|\d+ times)")  # fmt: skip
def cell_by_cell() -> Problem:
    class Cells(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.into, self.step, self.head = nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            h = x.new_zeros(len(x), 3)
            for t in range(x.shape[1]):
                h = (self.into(x[:, t]) + self.step(h)).tanh()
            return self.head(h)

    x, y = torch.randn(3, 4, 2, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)
    return Problem(prepared(Cells()), (x, y), nn.MSELoss())


class Causal(nn.Module):
    """Embedding, attention over what came before, a feed-forward part, logits [b, t, words]."""

    def __init__(self, words: int = 5, width: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 6), nn.Linear(6, width)
        self.head = nn.Linear(width, words, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embedding(x)
        q, k, v = self.qkv(self.norm(h)).chunk(3, -1)
        h = h + self.out(nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True))
        h = h + self.down(nn.functional.gelu(self.up(self.norm(h))))
        return self.head(h)


class Flat(Causal):
    """Logits [b·t, words], as language models are trained."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).flatten(0, 1)


class ClassesSecond(Causal):
    """Logits [b, words, t]."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).transpose(1, 2)


@network("language model", "logits [b, classes, t]", light=True)
def language_model() -> Problem:
    data = classes(3, 5, 4), classes(3, 5, 4)
    return Problem(prepared(ClassesSecond()), data, nn.CrossEntropyLoss())


@network("language model, flat", "ends in flatten(0, 1), mean loss", light=True)
def flat_language_model() -> Problem:
    data = classes(3, 5, 4), classes(12, 5)
    return Problem(prepared(Flat()), data, nn.CrossEntropyLoss(), examples=3)


@network("language model, flat, summed", "ends in flatten(0, 1), summed loss", light=True)
def flat_summed_language_model() -> Problem:
    data = classes(3, 5, 4), classes(12, 5)
    return Problem(prepared(Flat()), data, nn.CrossEntropyLoss(reduction="sum"), examples=3)


@network("language model, classes last", "logits [b, t, classes], which the loss does not take",
         light=True, refused=r"(?i)logits|labels|classes|output")  # fmt: skip
def classes_last_language_model() -> Problem:
    data = classes(3, 5, 4), classes(3, 5, 4)
    return Problem(prepared(Causal()), data, nn.CrossEntropyLoss())


@network("language model, as long as many", "as many words in a text as in the vocabulary",
         light=True)  # fmt: skip
def square_language_model() -> Problem:
    model = prepared(ClassesSecond(4))
    return Problem(model, (classes(3, 4, 4), classes(3, 4, 4)), nn.CrossEntropyLoss())


@network("padded language model", "labels of padding are ignored, as many in each text",
         light=True)  # fmt: skip
def padded_language_model() -> Problem:
    y = classes(3, 5, 4)
    y[:, 3] = -100
    return Problem(prepared(ClassesSecond()), (classes(3, 5, 4), y), nn.CrossEntropyLoss())
