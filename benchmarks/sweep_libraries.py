"""The sweep's cases as other libraries are asked them: einconv, BackPACK, curvlinops.

Each adapter calls what the library documents for one layer, by the module that PyTorch has for the
case; what PyTorch has no module for (four dimensions, unequal padding) is not asked. A library that
raises refuses; one that returns other numbers than the reference is wrong. The libraries are
optional: `pip install 'diagrammar[libraries]'`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.sweep_cases import Case

Ask = Callable[[Case, nn.Module], Any]


class NotAsked(Exception):
    """A case that the library, or PyTorch, has no words for."""


def module_of(c: Case) -> nn.Module:
    """PyTorch's module of a case, with its weight. Raises NotAsked where there is none."""
    layer, unequal = c.layer, not isinstance(c.layer.padding, int | str)
    if layer.dims > 3 or (unequal and any(not isinstance(p, int) for p in layer.padding)):
        raise NotAsked
    g = layer.groups
    kind = "ConvTranspose" if layer.transposed else "Conv"
    hyper = {n: v for n, v in c.hyper.items() if n != "transposed"}
    made: nn.Module = getattr(nn, f"{kind}{layer.dims}d")(
        c.per_group[0] * g,
        c.per_group[1] * g,
        **{"kernel_size": layer.kernel_size, **hyper},
        bias=bool(c.options.get("bias")),
        dtype=c.dtype,
    )
    made.weight.data = c.given["weight"].clone()
    return made


# -- einconv ---------------------------------------------------------------------------------------


def _einconv(name: str) -> Any:
    from importlib import import_module

    return import_module(f"einconv.expressions.convNd_{name}").einsum_expression


def _contracted(expression: tuple[str, list[Tensor], tuple[int, ...]]) -> Tensor:
    equation, operands, shape = expression
    return torch.einsum(equation, *operands).reshape(shape)


def _words(c: Case, module: Any, *names: str) -> dict[str, Any]:
    """Hyper-parameters that einconv's functions take."""
    if c.layer.transposed or c.options or not c.batched:
        raise NotAsked
    if c.layer.padding_mode != "zeros":
        # einconv's functions have no such argument: a refusal of theirs, to be counted
        raise NotImplementedError("no padding modes")
    return {n: getattr(module, n) for n in ("stride", "padding", "dilation", "groups", *names)}


def einconv_forward(c: Case, module: Any) -> Tensor:
    return _contracted(_einconv("forward")(c.given["x"], c.given["weight"], **_words(c, module)))


def einconv_input_vjp(c: Case, module: Any) -> Tensor:
    words, size = _words(c, module), tuple(c.given["x"].shape[2:])
    return _contracted(_einconv("input_vjp")(c.given["weight"], c.given["v"], size, **words))


def einconv_weight_vjp(c: Case, module: Any) -> Tensor:
    words = _words(c, module, "kernel_size")
    return _contracted(_einconv("weight_vjp")(c.given["x"], c.given["v"], **words))


def einconv_unfold(c: Case, module: Any) -> Tensor:
    words = _words(c, module, "kernel_size")
    words.pop("groups")
    return _contracted(_einconv("unfold")(c.given["x"], **words))


def einconv_kfac_expand(c: Case, module: Any) -> Tensor:
    return _contracted(_einconv("kfc")(c.given["x"], **_words(c, module, "kernel_size")))


def einconv_kfac_reduce(c: Case, module: Any) -> Tensor:
    return _contracted(_einconv("kfac_reduce")(c.given["x"], **_words(c, module, "kernel_size")))


# -- BackPACK --------------------------------------------------------------------------------------


def _first_order(c: Case, module: Any, extension: str, saved: str) -> Any:
    """What BackPACK saves at the parameters in the backward pass of ⟨Y, v⟩."""
    import backpack

    if not c.batched:
        raise NotAsked
    layer = backpack.extend(module)
    with backpack.backpack(getattr(backpack.extensions, extension)()):
        (layer(c.given["x"]) * c.given["v"]).sum().backward()
    parts = [getattr(layer.weight, saved)]
    if c.options.get("bias"):
        parts.append(getattr(layer.bias, saved))
    return tuple(parts) if len(parts) == 2 else parts[0]


def backpack_batch_grad(c: Case, module: Any) -> Any:
    return _first_order(c, module, "BatchGrad", "grad_batch")


def backpack_batch_l2(c: Case, module: Any) -> Any:
    made = _first_order(c, module, "BatchL2Grad", "batch_l2")
    return sum(made) if isinstance(made, tuple) else made


def backpack_sum_grad_squared(c: Case, module: Any) -> Any:
    return _first_order(c, module, "SumGradSquared", "sum_grad_squared")


def _second_order(c: Case, module: Any, extension: str, saved: str) -> Any:
    """The same for a squared error, which `squared_error` has the vectors of."""
    import backpack

    layer = backpack.extend(nn.Sequential(module, nn.Flatten()))
    loss = backpack.extend(nn.MSELoss(reduction="sum"))
    with backpack.backpack(getattr(backpack.extensions, extension)()):
        y = layer(c.given["x"])
        loss(y, torch.zeros_like(y)).backward()
    parts = [getattr(module.weight, saved)]
    if c.options.get("bias"):
        parts.append(getattr(module.bias, saved))
    return tuple(parts) if len(parts) == 2 else parts[0]


def squared_error(c: Case) -> Case:
    """The case with the vectors of a summed squared error: √2 times each output."""
    if not c.batched or not c.batch:
        raise NotAsked
    made = replace(c)
    y = c.given["v"]
    entries = y[0].numel()
    eye = 2**0.5 * torch.eye(entries, dtype=y.dtype).reshape(entries, 1, *y.shape[1:])
    made.given["S"] = eye.expand(-1, len(y), *y.shape[1:])
    return made


def backpack_diag_ggn(c: Case, module: Any) -> Any:
    return _second_order(c, module, "DiagGGNExact", "diag_ggn_exact")


def backpack_batch_diag_ggn(c: Case, module: Any) -> Any:
    return _second_order(c, module, "BatchDiagGGNExact", "diag_ggn_exact_batch")


# -- curvlinops ------------------------------------------------------------------------------------


def _patches(c: Case, module: Any, name: str) -> Tensor:
    """The rows that curvlinops' hooks take from a module; they are averaged over groups."""
    from curvlinops import kfac_utils

    if c.layer.transposed or not c.batched or c.options.get("groups"):
        raise NotAsked
    names = ("kernel_size", "stride", "padding", "dilation", "groups")
    words = {n: getattr(module, n) for n in names}
    rows: Tensor = getattr(kfac_utils, name)(c.given["x"], **words)
    if c.options.get("bias"):
        rows = torch.cat([rows, torch.ones_like(rows[..., :1])], -1)
    return rows


def curvlinops_kfac_expand(c: Case, module: Any) -> Tensor:
    rows = _patches(c, module, "extract_patches").flatten(0, 1)
    return (rows.T @ rows / c.batch).expand(c.layer.groups, -1, -1)


def curvlinops_kfac_reduce(c: Case, module: Any) -> Tensor:
    rows = _patches(c, module, "extract_averaged_patches")
    return (rows.T @ rows / c.batch).expand(c.layer.groups, -1, -1)


LIBRARIES: dict[str, dict[str, Ask]] = {
    "einconv": {
        "forward": einconv_forward,
        "input_vjp": einconv_input_vjp,
        "weight_vjp": einconv_weight_vjp,
        "unfold": einconv_unfold,
        "kfac_expand": einconv_kfac_expand,
        "kfac_reduce": einconv_kfac_reduce,
    },
    "backpack": {
        "batch_grad": backpack_batch_grad,
        "batch_l2": backpack_batch_l2,
        "sum_grad_squared": backpack_sum_grad_squared,
        "diag_ggn": backpack_diag_ggn,
        "batch_diag_ggn": backpack_batch_diag_ggn,
    },
    "curvlinops": {
        "kfac_expand": curvlinops_kfac_expand,
        "kfac_reduce": curvlinops_kfac_reduce,
    },
}
"""What each library is asked, by our name of the method."""


def asked(library: str, c: Case) -> tuple[Case, Any]:
    """The case as the library sees it, and its answer. Raises NotAsked, or what the library
    raises."""
    ask = LIBRARIES[library].get(c.method)
    if ask is None or not c.batch:
        raise NotAsked
    module = module_of(c)
    if library == "backpack" and c.method.endswith("ggn"):
        c = squared_error(c)
    return c, ask(c, module)
