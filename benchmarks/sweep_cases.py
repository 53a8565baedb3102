"""Random layers and operations for the sweep: one number is one case, whatever else was drawn.

A case is a layer's hyper-parameters, operands, a method and its options; `expected` is what the
references of `tests.reference_layers` say.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from math import prod
from random import Random
from typing import Any

import torch
from torch import Tensor

from benchmarks.memory import Arrays, patches
from tests.reference_layer import Layer
from tests.reference_layers import METHODS

DIMS = (1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 4, 5)
"""How often each number of dimensions is drawn."""
LARGEST = {1: 9, 2: 7, 3: 5, 4: 3, 5: 3}
"""The largest spatial size."""
ENTRIES = {"input_jacobian": 300, "toeplitz": 300, "kfra_vjp": 150, "weight_jacobian": 300}
"""The most input entries of an example where a result is quadratic in them."""
LAYOUTS = ("plain", "plain", "plain", "strided", "channels last", "requires grad")
TAKES = {
    "forward": "x weight", "input_vjp": "v weight", "weight_vjp": "x v", "bias_vjp": "v",
    "input_jvp": "x_tangent weight", "weight_jvp": "x weight_tangent", "input_jacobian": "weight",
    "weight_jacobian": "x", "unfold": "x", "fold": "u", "averaged_patches": "x",
    "toeplitz": "weight", "kfac_expand": "x", "kfac_reduce": "x", "kfac_expand_grad": "S",
    "kfac_reduce_grad": "S", "ekfac_diag": "x S Q_A Q_B", "batch_grad": "x v", "batch_l2": "x v",
    "sum_grad_squared": "x v", "grad_variance": "x v", "diag_ggn": "x S", "batch_diag_ggn": "x S",
    "blockdiag_ggn": "x S", "gram": "x S", "hessian_diag_vjp": "h weight",
    "hessian_diag_weight": "x h", "kfra_vjp": "G weight", "kfra_factor": "G",
}  # fmt: skip
"""The operands of each method, in order."""
SIZED = (
    "input_vjp", "input_jacobian", "fold", "toeplitz", "hessian_diag_vjp", "kfra_vjp",
)  # fmt: skip
"""Methods that are given the input's size."""
PER_EXAMPLE = {
    "forward": 0, "input_vjp": 0, "input_jvp": 0, "weight_jvp": 0, "weight_jacobian": 0,
    "unfold": 0, "fold": 0, "averaged_patches": 0, "batch_grad": 0, "batch_l2": 0,
    "batch_diag_ggn": 0, "hessian_diag_vjp": 0,
}  # fmt: skip
"""The batch axis of results that lose it when operands come unbatched; `gram` loses two."""
WITH_BIAS = (
    "forward", "kfac_expand", "kfac_reduce", "ekfac_diag", "batch_grad", "batch_l2",
    "sum_grad_squared", "grad_variance", "diag_ggn", "batch_diag_ggn", "blockdiag_ggn", "gram",
    "hessian_diag_weight",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A method with options on a layer of hyper-parameters, for operands of some sizes."""

    number: int
    seed: int
    method: str
    options: dict[str, Any]
    layer: Layer
    batch: int
    per_group: tuple[int, int]
    size: tuple[int, ...]
    vectors: int
    batched: bool
    layout: str
    dtype: torch.dtype = torch.float64

    @property
    def hyper(self) -> dict[str, Any]:
        """The hyper-parameters, defaults left out."""
        values = {f.name: getattr(self.layer, f.name) for f in fields(self.layer)}
        defaults = {f.name: f.default for f in fields(self.layer)}
        return {n: v for n, v in values.items() if v != defaults[n]}

    def __str__(self) -> str:
        hyper = ", ".join(f"{n}={v!r}" for n, v in self.hyper.items())
        shapes = ", ".join(f"{n}{list(self.given[n].shape)}" for n in TAKES[self.method].split())
        options = "".join(f", {n}={v!r}" for n, v in self.options.items())
        return (
            f"Conv({hyper}).{self.method}({shapes}{options})  "
            f"# {self.layout}, {'batched' if self.batched else 'unbatched'}"
        )

    @cached_property
    def given(self) -> dict[str, Tensor]:
        """All operands, batched, contiguous."""
        random = torch.Generator().manual_seed(self.seed * 1_000_003 + self.number)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, dtype=self.dtype, generator=random)

        layer, g = self.layer, self.layer.groups
        c_in, c_out = (n * g for n in self.per_group)
        first, second = (c_in, c_out) if layer.transposed else (c_out, c_in)
        out = layer.output_size(self.size)
        b, n = self.batch, self.vectors
        weight = (first, second // g, *layer.kernel_size)
        taps, o = prod(layer.kernel_size), prod(out)
        d = c_in // g * taps + bool(self.options.get("bias"))
        given = {
            "x": draw(b, c_in, *self.size), "weight": draw(*weight), "bias": draw(c_out),
            "v": draw(b, c_out, *out), "h": draw(b, c_out, *out), "S": draw(n, b, c_out, *out),
            "x_tangent": draw(b, c_in, *self.size), "weight_tangent": draw(*weight),
            "u": draw(b, c_in * taps, o),
        }  # fmt: skip
        if self.method == "ekfac_diag":
            given["Q_A"] = torch.linalg.qr(draw(g, d, d))[0]
            given["Q_B"] = torch.linalg.qr(draw(g, c_out // g, c_out // g))[0]
        if self.method in ("kfra_vjp", "kfra_factor"):
            given["G"] = draw(c_out * o, c_out * o)
        if self.options.get("two"):
            given["x2"] = draw(b + 1, c_in, *self.size)
            given["S2"] = draw(n + 1, b + 1, c_out, *out)
        return given

    def call(self, conv: Any) -> Any:
        """The method of a layer on this case's operands, as they are laid out."""
        given = {n: self._laid_out(n) for n in TAKES[self.method].split()}
        arguments = list(given.values())
        options = {n: v for n, v in self.options.items() if n != "two"}
        if self.method == "ekfac_diag":
            options = {}  # the size of Q_A says that a bias is joint
        if self.options.get("two"):
            arguments += [self._laid_out("x2"), self._laid_out("S2")]
        if self.method == "forward":
            arguments += [self.given["bias"]] if options.pop("bias", False) else []
        if self.method in SIZED:
            arguments.append(self.given["x"].shape)
        if self.method in ("weight_jacobian", "kfra_factor"):
            options["channels"] = self.given["v"].shape[1]
        return getattr(conv, self.method)(*arguments, **options)

    def _laid_out(self, name: str) -> Tensor:
        x = self.given[name]
        lead = {"S": 1, "S2": 1}.get(name, 0)
        if not self.batched and name in ("x", "v", "h", "S", "x_tangent", "u", "x2", "S2"):
            x = x.select(lead, 0)
        match self.layout:
            case "strided":
                return torch.stack([x, x], -1)[..., 0]
            case "channels last" if x.ndim == 4 and self.layer.dims == 2 and self.batched:
                return x.contiguous(memory_format=torch.channels_last)
            case "channels last" if x.ndim == 5 and self.layer.dims == 3 and self.batched:
                return x.contiguous(memory_format=torch.channels_last_3d)
            case "requires grad":
                return x.detach().clone().requires_grad_()
        return x

    def arrays(self, held: int) -> Arrays:
        """What extra memory is compared with, operands and result having `held` entries; an empty
        batch counts as one example."""
        given, layer = self.given, self.layer
        i, o = given["x"].shape[1:], given["v"].shape[1:]
        batches = max(sum(given[x].shape[0] for x in ("x", "x2") if x in given), 1)
        vectors = sum(given[n].shape[:2].numel() for n in ("S", "S2") if n in given)
        sides = zip(i[1:], layer.sides(), strict=True)
        return Arrays(
            held,
            batches * i[0] * prod(size + left + right for size, (left, right) in sides),
            batches * i[0] * patches(o[1:], layer.kernel_size, layer.each(layer.dilation)),
            prod(o) * prod(i) // layer.groups,
            max(vectors, batches) * given["weight"].numel(),
            layer.padding_mode != "zeros",
        )

    def expected(self) -> Any:
        """What the reference says."""
        made = METHODS[self.method](self.layer, self.given, self.options)
        if self.batched:
            return made
        if self.method == "gram":
            return made.select(3, 0).select(1, 0)
        if self.method not in PER_EXAMPLE:
            return made
        if isinstance(made, tuple):
            return tuple(part.select(0, 0) for part in made)
        return made.select(0, 0)


def case(seed: int, number: int, method: str | None = None) -> Case:
    """The case of a number."""
    random = Random(f"{seed} {number}")
    method = method or random.choice(tuple(TAKES))
    while True:
        drawn = _drawn(random, seed, number, method)
        if drawn is not None:
            return drawn


def _drawn(random: Random, seed: int, number: int, method: str) -> Case | None:
    """A case, or None where the draws do not fit together."""
    dims = random.choice(DIMS)
    transposed = random.random() < 0.25
    kernel = tuple(random.choice((1, 2, 3, 3) if dims < 4 else (1, 2, 2)) for _ in range(dims))
    stride, dilation = _number(random, dims, (1, 1, 2, 3)), _number(random, dims, (1, 1, 2, 3))
    groups = random.choice((1, 1, 1, 2, 3))
    per_group = (random.choice((1, 1, 2, 3)), random.choice((1, 2, 3)))
    if random.random() < 0.15:
        groups, per_group = random.choice((2, 3, 4)), (1, random.choice((1, 2)))
    size = tuple(random.randint(1, LARGEST[dims]) for _ in range(dims))
    mode = random.choice(("zeros", "zeros", "circular", "reflect", "replicate"))
    mode = "zeros" if transposed else mode
    padding = _padding(random, dims, transposed)
    if padding == "same":
        stride = 1
    more: Any = 0
    if transposed and random.random() < 0.5:
        least = [
            max(s, d) for s, d in zip(_each(stride, dims), _each(dilation, dims), strict=False)
        ]
        more = tuple(random.randrange(n) for n in least)
    layer = Layer(kernel, stride, padding, dilation, groups, mode, transposed, more)
    if not _fits(layer, size):
        return None
    vectors = random.choice((1, 1, 2, 3))
    batch = random.choice((0, 1, 2, 2, 3, 3)) if random.random() < 0.25 else random.choice((1, 2))
    batched = batch != 1 or random.random() < 0.6
    made = Case(
        number, seed, method, _options(random, method), layer, batch, per_group, size, vectors,
        batched, random.choice(LAYOUTS),
    )  # fmt: skip
    return made if _small(made) else None


def _options(random: Random, method: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if method in WITH_BIAS and random.random() < 0.5:
        options["bias"] = True
    if method.startswith("kfac") and random.random() < 0.3:
        options["groups"] = "average_rows"
    if method == "blockdiag_ggn" and random.random() < 0.5:
        options["per"] = "channel"
    if method == "gram" and random.random() < 0.5:
        options["two"] = True
    if method == "kfra_factor" and random.random() < 0.5:
        options["positions"] = "same"
    return options


def _number(random: Random, dims: int, choices: tuple[int, ...]) -> int | tuple[int, ...]:
    if random.random() < 0.4:
        return random.choice(choices)
    return tuple(random.choice(choices) for _ in range(dims))


def _each(value: int | tuple[int, ...], dims: int) -> tuple[int, ...]:
    return (value,) * dims if isinstance(value, int) else value


def _padding(random: Random, dims: int, transposed: bool) -> Any:
    kind = random.random()
    if kind < 0.15 and not transposed:
        return "same"
    if kind < 0.2 and not transposed:
        return "valid"
    if kind < 0.5:
        return random.choice((0, 0, 1, 2))
    if kind < 0.8:
        return tuple(random.choice((0, 1, 1, 2)) for _ in range(dims))
    return tuple((random.randint(0, 2), random.randint(0, 2)) for _ in range(dims))


def _fits(layer: Layer, size: tuple[int, ...]) -> bool:
    """Whether PyTorch takes the padding, and there is an output."""
    if any(o < 1 for o in layer.output_size(size)):
        return False
    if layer.padding_mode in ("circular", "reflect"):
        slack = layer.padding_mode == "reflect"
        return all(max(pair) <= i - slack for pair, i in zip(layer.sides(), size, strict=True))
    return True


def _small(made: Case) -> bool:
    """Whether the reference, which is quadratic in places, is quick."""
    layer, g = made.layer, made.layer.groups
    into, out = made.per_group[0] * g * prod(made.size), made.per_group[1] * g
    out *= prod(layer.output_size(made.size))
    weights = prod(made.per_group) * g * prod(layer.kernel_size)
    most = ENTRIES.get(made.method, 1500)
    return into <= most and out <= most and weights <= 600
