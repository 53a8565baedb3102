"""What is right: curvature by its definition, from explicit Jacobians of one example at a time.

Autograd differentiates each entry of one example's output by every parameter and every layer's
output, and the loss twice by the network's output. With J_n and the Hessian H_n of the loss of
example n on a batch of its own, N examples, rows a and gradients s of all positions of an example:

    diagonal      Σ_n diag(J_nᵀ H_n J_n)/N
    Gram matrix   R_nᵀ J_n J_mᵀ R_m, R Rᵀ = H, known up to a rotation of each example's vectors
    expand        A = Σ a aᵀ/N, B = Σ s H sᵀ/(number of rows), which is N·T of them
    reduce        A = Σ_n ā_n ā_nᵀ/N, B = Σ_n (Σ s) H (Σ s)ᵀ/(number of n with rows), which is N
    EKFAC         Σ_n diag(Qᵀ J_nᵀ H_n J_n Q)/N for a basis Q = Q_B ⊗ Q_A

Where experts see a part of the examples, A ⊗ B is the Gauss–Newton matrix so for squared loss.
Nothing here comes from diagrammar.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from benchmarks.zoo.calls import Call, recorded
from benchmarks.zoo.network import Problem, part

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
SAME = 1e-9
"""Up to which two ways to one number count as the same, relative to the largest entry."""
CANCELLED = 1e-20
"""A sum of squares that is less than this of its terms is rounding, whose square is 1e-32."""


def apart(ours: Tensor, right: Tensor, terms: float = 0.0) -> float:
    """The largest error over the largest entry of what is right; infinite for other shapes and
    for what is not finite.

    `terms` is the size of the squares that it is made of, or of the same in other layers. Some are
    zero but for rounding, as that by the bias of attention's keys: below `CANCELLED` of its terms.
    """
    if ours.shape != right.shape or not bool(torch.isfinite(ours).all()):
        return float("inf")
    if not right.numel():
        return 0.0
    error = float((ours - right).abs().max())
    scale = max(float(right.abs().max()), CANCELLED * terms)
    return error / scale if scale else (0.0 if error == 0 else float("inf"))


@dataclass(frozen=True)
class Example:
    """One example by one layer: rows a [g, r, d], a one last with a bias; gradients of the m
    outputs by the layer's output [m, g, r, c], by the weight and bias that it uses [m, g, c, d],
    and by the parameters that are trained, which differ where a weight is pruned; the loss's
    Hessian [m, m]."""

    rows: Tensor
    by_output: Tensor
    by_parameters: Tensor
    by_trained: Tensor
    hessian: Tensor

    @property
    def whole(self) -> bool:
        """Whether the calls that were seen are all of the layer's use."""
        seen = torch.einsum("mgrc,grd->mgcd", self.by_output, self.rows)
        terms = torch.einsum("mgrc,grd->mgcd", self.by_output.abs(), self.rows.abs())
        off = (seen - self.by_parameters).abs().max() if seen.numel() else torch.zeros(())
        return float(off) <= SAME * float(terms.max() if terms.numel() else 0)

    def root(self) -> Tensor:
        """R with R Rᵀ = H."""
        values, basis = torch.linalg.eigh(self.hessian)
        return basis * values.clamp(min=0).sqrt()


@dataclass(frozen=True)
class Layer:
    """What is right for one layer, from all examples."""

    examples: tuple[Example, ...]
    weight_shape: tuple[int, ...]
    transposed: bool
    bias: bool

    @property
    def whole(self) -> bool:
        """Whether there are Kronecker factors: all uses of the weight are calls with it."""
        return all(example.whole for example in self.examples)

    def diagonal(self) -> tuple[Tensor, Tensor | None]:
        """By the weight, in its shape, and by the bias."""
        made = _mean([_form(e.hessian, e.by_trained) for e in self.examples])
        if not self.bias:
            return self._as_weight(made), None
        return self._as_weight(made[..., :-1]), made[..., -1].flatten()

    def _as_weight(self, values: Tensor) -> Tensor:
        """[g, c, d] in the weight's shape."""
        if not self.transposed:
            return values.reshape(self.weight_shape)
        groups, c, _ = values.shape
        inputs, kernel = self.weight_shape[0] // groups, self.weight_shape[2:]
        apart = values.reshape(groups, c, inputs, *kernel)
        return apart.transpose(1, 2).reshape(self.weight_shape)

    @property
    def positions(self) -> float:
        """T, the rows of an example on average."""
        return sum(e.rows.shape[1] for e in self.examples) / len(self.examples)

    def expand(self) -> tuple[Tensor, Tensor]:
        """The factors A and B of KFAC-expand."""
        A = _mean([torch.einsum("grd,gre->gde", e.rows, e.rows) for e in self.examples])
        B = _mean([_product(e.hessian, e.by_output) for e in self.examples])
        return A, B / max(self.positions, 1e-300)

    def reduce(self) -> tuple[Tensor, Tensor]:
        """The factors A and B of KFAC-reduce."""
        means = [e.rows.sum(1) / max(e.rows.shape[1], 1) for e in self.examples]
        A = _mean([torch.einsum("gd,ge->gde", a, a) for a in means])
        sums = [e.by_output.sum(2, keepdim=True) for e in self.examples]
        pairs = zip(self.examples, sums, strict=True)
        B = _mean([_product(e.hessian, s) for e, s in pairs])
        seen = sum(e.rows.shape[1] > 0 for e in self.examples)
        return A, B * len(self.examples) / max(seen, 1)

    def squares(self) -> Tensor:
        """Σ over examples of the squares of gradients and of gradients by rows, without signs."""
        return torch.stack([
            (e.hessian.abs().max() * part.square().sum())
            for e in self.examples for part in (e.by_trained, e.by_parameters, e.by_output)
        ])  # fmt: skip

    def ekfac(self, Q_A: Tensor, Q_B: Tensor) -> Tensor:
        """The diagonal in a basis of eigenvectors, [g, c, d]."""
        parts = []
        for e in self.examples:
            turned = torch.einsum("gcx,mgcd,gdy->mgxy", Q_B, e.by_parameters, Q_A)
            parts.append(_form(e.hessian, turned))
        return _mean(parts)

    def gram(self) -> list[list[Tensor]]:
        """Blocks [n][m] of the Gram matrix, each for all vectors of two examples."""
        rows = [e.root().mT @ e.by_trained.flatten(1) for e in self.examples]
        return [[a @ b.mT for b in rows] for a in rows]


def _mean(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(parts)).mean(0)


def _form(hessian: Tensor, gradients: Tensor) -> Tensor:
    """Σ_ij H_ij J_i J_j, entry by entry."""
    return (
        ((hessian @ gradients.flatten(1)) * gradients.flatten(1)).sum(0).view(gradients.shape[1:])
    )


def _product(hessian: Tensor, gradients: Tensor) -> Tensor:
    """Σ_ij Σ_r H_ij s_i s_jᵀ of gradients [m, g, r, c]: [g, c, c]."""
    weighted = torch.einsum("ij,jgrc->igrc", hessian, gradients)
    return torch.einsum("mgrc,mgre->gce", weighted, gradients)


# -- Gram matrices, whose vectors are known up to a rotation of each example's ---------------------


def invariants(blocks: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """The eigenvalues, in descending order, of the Gram matrix of each set of examples: what no
    rotation of an example's vectors changes."""
    count, found = len(blocks), []
    for size in range(1, count + 1):
        for chosen in combinations(range(count), size):
            whole = torch.cat([torch.cat([blocks[n][m] for m in chosen], 1) for n in chosen])
            found.append(torch.linalg.eigvalsh((whole + whole.mT) / 2).flip(0))
    return found


def gram_apart(
    ours: Sequence[Sequence[Tensor]], right: Sequence[Sequence[Tensor]], terms: float = 0.0
) -> float:
    """The largest error of an invariant, over the largest eigenvalue; `terms` as of `apart`."""
    asymmetry = max(
        float((ours[n][m] - ours[m][n].mT).abs().max())
        for n in range(len(ours))
        for m in range(len(ours))
    )
    worst, scale = asymmetry, CANCELLED * terms
    for a, b in zip(invariants(ours), invariants(right), strict=True):
        length = max(len(a), len(b))  # another number of vectors only adds zeros
        a, b = (nn.functional.pad(v, (0, length - len(v))) for v in (a, b))
        worst = max(worst, float((a - b).abs().max()))
        scale = max(scale, float(b.abs().max()))
    return worst / scale if scale else (0.0 if worst == 0 else float("inf"))


# -- from a network --------------------------------------------------------------------------------


def coupled(problem: Problem) -> bool:
    """Whether an example's output depends on the others in its batch, or fails without them."""
    with torch.no_grad():
        together = problem.network(problem.data[0])
        for n in range(problem.count):
            try:
                alone = problem.network(problem.one(n)[0])
            except (ValueError, RuntimeError):  # of a batch norm that needs more than one value
                return True
            if apart(alone, part(together, n, problem.count, problem.target_axis)) > SAME:
                return True
    return False


def layers_of(problem: Problem, names: Sequence[str]) -> dict[str, Layer]:
    """What is right for the layers of these names."""
    modules = {name: problem.network.get_submodule(name) for name in names}
    before = {p: p.requires_grad for p in problem.network.parameters()}
    for p in before:
        p.requires_grad_(True)
    try:
        found = [_one(problem, n, modules) for n in range(problem.count)]
    finally:
        for p, required in before.items():
            p.requires_grad_(required)
    return {
        name: Layer(
            tuple(examples[name] for examples in found),
            tuple(module.weight.shape),
            isinstance(module, TRANSPOSED),
            module.bias is not None,
        )
        for name, module in modules.items()
    }


def _one(problem: Problem, n: int, modules: Mapping[str, nn.Module]) -> dict[str, Example]:
    """Example n alone through the network."""
    x, y = problem.one(n)
    with recorded(modules) as calls, parametrize.cached():
        f = problem.network(x)
        parameters = {name: _parameters(m, calls[name]) for name, m in modules.items()}
    hessian = torch.autograd.functional.hessian(
        lambda t: problem.loss_of(t.view(f.shape), y), f.detach().flatten()
    )
    gradients = _jacobian(f, parameters, calls)
    return {
        name: _example(module, calls[name], gradients[name], hessian)
        for name, module in modules.items()
    }


def _parameters(module: nn.Module, calls: Sequence[Call]) -> dict[str, list[Tensor]]:
    """The tensors that are the layer's weight, of each call where they are made anew, and bias."""
    weights = {id(call.weight): call.weight for call in calls} or {0: module.weight}
    found = {"weight": list(weights.values()), "bias": [b for b in [module.bias] if b is not None]}
    if hasattr(module, "weight_mask"):  # by torch.nn.utils.prune
        found["trained"] = [module.weight_orig]
    return found


def _example(
    module: nn.Module, calls: Sequence[Call], by: Mapping[Any, Tensor], hessian: Tensor
) -> Example:
    """One layer's part, from its calls and the gradients by its parameters and outputs."""
    groups = getattr(module, "groups", 1)
    parameters, trained = (
        _by_output(gradient, groups, isinstance(module, TRANSPOSED))
        for gradient in (by["weight"], by.get("trained", by["weight"]))
    )
    m, _, outputs, width = parameters.shape
    rows = torch.cat([parameters.new_zeros(groups, 0, width), *(call.rows for call in calls)], 1)
    back = [call.by_row(by[k]) for k, call in enumerate(calls)]
    if module.bias is not None:
        rows = torch.cat([rows, rows.new_ones(*rows.shape[:2], 1)], -1)
        column = by["bias"].reshape(m, groups, outputs, 1)
        parameters, trained = (torch.cat([made, column], -1) for made in (parameters, trained))
    by_row = torch.cat([parameters.new_zeros(m, groups, 0, outputs), *back], 2)
    return Example(rows, by_row, parameters, trained, hessian)


def _by_output(gradient: Tensor, groups: int, transposed: bool) -> Tensor:
    """Gradients by a weight, [m, c_out, …] or, transposed, [m, c_in, c_out/g, …], as [m, g,
    c_out/g, d]."""
    m = len(gradient)
    if not transposed:
        return gradient.reshape(m, groups, gradient.shape[1] // groups, -1)
    inputs, outputs = gradient.shape[1] // groups, gradient.shape[2]
    apart = gradient.reshape(m, groups, inputs, outputs, -1).transpose(2, 3)
    return apart.reshape(m, groups, outputs, -1)


def _jacobian(
    f: Tensor,
    parameters: Mapping[str, Mapping[str, Sequence[Tensor]]],
    calls: Mapping[str, Sequence[Call]],
) -> dict[str, dict[Any, Tensor]]:
    """Gradients of every entry of f, [m, …], by "weight", "bias" and the k-th call's output of
    each layer."""
    wanted = [
        (name, key, tensor)
        for name, by in parameters.items()
        for key, tensors in (
            *by.items(), *((k, [call.output]) for k, call in enumerate(calls[name])),
        )
        for tensor in tensors
    ]  # fmt: skip
    needed = {id(t): t for _, _, t in wanted if t.requires_grad}
    rows: list[list[Tensor]] = [[] for _ in wanted]
    for entry in f.flatten():
        found = torch.autograd.grad(
            entry, list(needed.values()), retain_graph=True, allow_unused=True
        )
        given = dict(zip(needed, found, strict=True))
        for row, (_, _, tensor) in zip(rows, wanted, strict=True):
            gradient = given.get(id(tensor))
            row.append(torch.zeros_like(tensor) if gradient is None else gradient)
    made: dict[str, dict[Any, Tensor]] = {name: {} for name in parameters}
    for row, (name, key, _) in zip(rows, wanted, strict=True):
        stacked = torch.stack(row).detach()
        made[name][key] = made[name][key] + stacked if key in made[name] else stacked
    return made
