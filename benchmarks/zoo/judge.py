"""The verdict on one network and one quantity: right, refused in true words, or a failure."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import diagrammar as dg
from benchmarks.zoo import reference
from benchmarks.zoo.network import Problem
from benchmarks.zoo.reference import Layer, apart, gram_apart

TOLERANCE = 1e-8
QUANTITIES = ("kfac_expand", "kfac_reduce", "ekfac", "diag_ggn", "gram")
OURS = (str(Path(dg.__file__).resolve().parent), "diagrammar")
RAW = (AttributeError, IndexError, AssertionError, UnboundLocalError, ZeroDivisionError)
"""Exceptions that are never words for a user."""
SUPPORTED = (
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *reference.TRANSPOSED,
)


@dataclass(frozen=True)
class Verdict:
    """What came of one quantity: `error` of numbers, or the words of a refusal, and `failure`, why
    that is not good enough."""

    quantity: str
    layers: int = 0
    error: float | None = None
    worst: str = ""
    refusal: str = ""
    failure: str = ""

    @property
    def good(self) -> bool:
        """Right, or refused in true words."""
        return not self.failure


def verdicts(
    problem: Problem, refused: str | None, quantities: Sequence[str] = QUANTITIES
) -> Iterator[Verdict]:
    """One verdict a quantity. `refused` is a pattern of the true reasons for a refusal."""
    expected = Expected(problem)
    for quantity in quantities:
        yield verdict(problem, expected, quantity, refused)


class Expected:
    """What is right for a problem, worked out when it is first asked for."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._layers: dict[str, Layer] | None = None
        self.coupled: bool | None = None

    def layers(self) -> dict[str, Layer]:
        """By name. Raises ValueError where the network has no curvature example by example."""
        if self._layers is None:
            problem = self.problem
            output = problem.network(problem.data[0])
            if not isinstance(output, Tensor):
                raise ValueError(f"the output is a {type(output).__name__}, which has no reference")
            if reference.coupled(problem):
                raise ValueError("examples depend on each other: there is no number for each")
            self._layers = reference.layers_of(problem, expected_layers(problem))
        return self._layers


def expected_layers(problem: Problem) -> list[str]:
    """The names of the layers that a result must have: those asked for, or all convolutions and
    linear layers with torch's own forward whose weight is trained."""
    if "layers" in problem.options:
        return list(problem.options["layers"])
    return [
        name
        for name, module in problem.network.named_modules()
        if isinstance(module, SUPPORTED) and "forward" not in vars(module)
        if any(type(module).forward is kind.forward for kind in SUPPORTED)
        if any(p.requires_grad for n, p in module.named_parameters() if "weight" in n)
    ]


def verdict(problem: Problem, expected: Expected, quantity: str, refused: str | None) -> Verdict:
    """Ask `dg.curvature` for a quantity, and judge the answer."""
    try:
        made = computed(problem, quantity)
    except Exception as error:  # whatever comes is judged
        return _of_error(quantity, error, refused)
    try:
        right = expected.layers()
    except Exception as reason:  # of the network or its loss: where they fail, so must we
        return Verdict(quantity, failure=f"no error, but {type(reason).__name__}: {reason}")
    try:
        return compared(made, right, quantity, problem)
    except Exception as error:  # a result that cannot be read is wrong
        text = f"unreadable: {type(error).__name__}: {error}"
        return Verdict(quantity, failure=text)


def computed(problem: Problem, quantity: str) -> Any:
    """The result of `dg.curvature`, of its second pass for EKFAC."""
    options = {"skip_others": True, **problem.options}
    given = (problem.model, problem.batches, problem.loss)
    if quantity == "ekfac":
        basis = dg.curvature(*given, "kfac_expand", **options)
        return dg.curvature(*given, "ekfac", basis=basis, **options)
    return dg.curvature(*given, quantity, **options)


def _of_error(quantity: str, error: Exception, refused: str | None) -> Verdict:
    """A refusal, if it was raised in words of diagrammar's own that are true."""
    text = " ".join(str(error).split())
    said = f"{type(error).__name__}: {text}"
    last = traceback.extract_tb(error.__traceback__)[-1]
    inside = any(part in last.filename for part in OURS)
    raised = (last.line or "").startswith("raise")  # not by a function of PyTorch that was called
    if isinstance(error, RAW) or not inside or not raised:
        where = f"{Path(last.filename).name}:{last.lineno}"
        return Verdict(quantity, refusal=said, failure=f"raw: {said} ({where})")
    if refused is None or not re.search(refused, text):
        return Verdict(quantity, refusal=said, failure=f"not a true reason: {said}")
    return Verdict(quantity, refusal=said)


def compared(made: Any, right: dict[str, Layer], quantity: str, problem: Problem) -> Verdict:
    """Every layer's numbers beside those that are right."""
    missing, more = set(right) - set(made.layers), set(made.layers) - set(right)
    if missing or more:
        named = ", ".join(sorted(missing or more))
        return Verdict(quantity, failure=f"{'no' if missing else 'superfluous'} layers {named}")
    if made.examples != problem.count:
        return Verdict(
            quantity, failure=f"{made.examples} examples, where there are {problem.count}"
        )
    worst, where, partial, terms = 0.0, "", [], largest(right.values())
    for name, layer in right.items():
        if not layer.whole and quantity not in ("diag_ggn", "gram"):
            partial.append(name)
            continue
        error = _ERRORS[quantity](made, name, layer, terms)
        if error > worst:
            worst, where = error, name
    failure = ""
    if partial:
        failure = f"no error, but {partial[0]!r} is used beside its calls and has no factors"
    elif worst == float("inf"):
        failure = f"another shape, or not finite, at {where!r}"
    elif worst > TOLERANCE:
        failure = f"wrong by {worst:.1e}, most at {where!r}"
    elif quantity == "gram" and len(right) > 1:
        worst = max(worst, of_all(made, right, problem.count))
        failure = "" if worst <= TOLERANCE else f"wrong by {worst:.1e}, of all layers together"
    return Verdict(quantity, len(right), worst, where, failure=failure)


# -- one layer -------------------------------------------------------------------------------------


def largest(layers: Iterable[Layer]) -> float:
    """The largest square that a layer's results are made of, beside which another is rounding."""
    return max(float(layer.squares().max()) for layer in layers)


def _of_expand(made: Any, name: str, layer: Layer, terms: float) -> float:
    pairs = zip(made.factors(name, "kfac_expand"), layer.expand(), strict=True)
    return max(apart(ours, right, terms) for ours, right in pairs)


def _of_reduce(made: Any, name: str, layer: Layer, terms: float) -> float:
    pairs = zip(made.factors(name, "kfac_reduce"), layer.reduce(), strict=True)
    return max(apart(ours, right, terms) for ours, right in pairs)


def _of_ekfac(made: Any, name: str, layer: Layer, terms: float) -> float:
    """The diagonal in the result's own basis, and whether that is one of eigenvectors of A, B."""
    values, *basis = made.ekfac(name)
    worst = apart(values, layer.ekfac(*basis), terms)
    for Q, factor in zip(basis, layer.expand(), strict=True):
        one = torch.eye(Q.shape[-1], dtype=Q.dtype).expand_as(Q)
        turned = Q.mT @ factor @ Q
        off = turned - torch.diag_embed(turned.diagonal(dim1=-2, dim2=-1))
        scale = max(float(factor.abs().max()), reference.CANCELLED * terms)
        worst = max(worst, apart(Q.mT @ Q, one), float(off.abs().max()) / scale if scale else 0.0)
    return worst


def _of_diagonal(made: Any, name: str, layer: Layer, terms: float) -> float:
    pairs = zip(made.diagonal(name), layer.diagonal(), strict=True)
    return max(_optional(ours, right, terms) for ours, right in pairs)


def _optional(ours: Tensor | None, right: Tensor | None, terms: float) -> float:
    if ours is None or right is None:
        return 0.0 if ours is right else float("inf")
    return apart(ours, right, terms)


def _of_gram(made: Any, name: str, layer: Layer, terms: float) -> float:
    blocks = _blocks(made.gram(name), len(layer.examples))
    return gram_apart(blocks, layer.gram(), terms) if blocks else float("inf")


def of_all(made: Any, right: dict[str, Layer], count: int) -> float:
    """The error of the Gram matrix by all layers together."""
    blocks = _blocks(made.gram(), count)
    total: list[list[Tensor]] = []
    for layer in right.values():
        found = layer.gram()
        pairs = [zip(a, b, strict=True) for a, b in zip(total, found, strict=True)] if total else []
        total = [[a + b for a, b in row] for row in pairs] if total else found
    return gram_apart(blocks, total) if blocks else float("inf")


def _blocks(gram: Tensor, count: int) -> list[list[Tensor]]:
    """The blocks [n][m] of [v, n, v, n]; none where it has another number of examples."""
    if gram.ndim != 4 or gram.shape[1] != count or gram.shape[3] != count:
        return []
    return [[gram[:, n, :, m] for m in range(count)] for n in range(count)]


_ERRORS = {
    "kfac_expand": _of_expand,
    "kfac_reduce": _of_reduce,
    "ekfac": _of_ekfac,
    "diag_ggn": _of_diagonal,
    "gram": _of_gram,
}
