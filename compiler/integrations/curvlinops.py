"""curvlinops' KFAC and EKFAC with the factors of `diagrammar.layers`.

    from diagrammar.integrations.curvlinops import KFACLinearOperator  # was: from curvlinops

Everything else stays: losses, Fisher types, scales, joint or separate bias, progress bar, inverse,
state dictionaries. New are Conv1d and Conv3d, transposed convolutions, padding modes, `'same'` with
even kernels, and the option `groups`. "exact" (the default) has a pair of factors for each group,
which is exact where the loss's Hessian does not couple groups; "average_rows" does the same as
curvlinops.

Some layers are not simply W [c_out, d], because they have groups or are transposed. curvlinops sees
these layers as *parts*: one layer W for each group, `name[0]`, `name[1]`, …. `_split` cuts the
parts' parameters out of the real ones, and `_joined` puts them together again; their positions come
after the real parameters'. So curvlinops' own code computes traces, determinants, inverses,
eigenvectors and state dictionaries.

Made for curvlinops 3.0: hooks are the methods that its KFACLinearOperator registers at modules.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from diagrammar.integrations.versions import need, offers

LIBRARY = "curvlinops", "curvlinops-for-pytorch"
need(*LIBRARY, "3.0", "3.1")
KFAC = (
    "_accumulate_gradient_covariance", "_compute_loss_and_backward",
    "_hook_accumulate_input_covariance", "_matmat", "_set_or_add_", "compute_kronecker_factors",
    "load_state_dict", "state_dict",
    "_register_tensor_hook_on_output_to_accumulate_gradient_covariance",
)  # fmt: skip
EKFAC = (
    *KFAC, "_accumulate_corrected_eigenvalues", "_compute_eigenvectors",
    "compute_eigenvalue_correction",
    "_register_tensor_hook_on_output_to_accumulate_corrected_eigenvalues",
)  # fmt: skip
NAMES = (
    *(f"curvlinops:KFACLinearOperator.{name}" for name in KFAC),
    *(f"curvlinops:EKFACLinearOperator.{name}" for name in EKFAC),
    "curvlinops:KFACInverseLinearOperator._matmat",
)
"""Methods that this module calls or overrides."""
offers(*LIBRARY, NAMES)

import curvlinops  # noqa: E402
from torch import Tensor, eye, nn, stack, unflatten  # noqa: E402

from diagrammar.integrations.curvlinops_layers import TRANSPOSED, SplitLayer  # noqa: E402
from diagrammar.integrations.hooks import check_unchanged  # noqa: E402
from diagrammar.layers import Linear  # noqa: E402
from diagrammar.layers.modules import arguments  # noqa: E402
from diagrammar.layers.shared import parts_of  # noqa: E402
from diagrammar.networks.anchor import anchored, new_anchor  # noqa: E402

__all__ = [
    "EKFACLinearOperator",
    "KFACInverseLinearOperator",
    "KFACLinearOperator",
    "replaced",
]

MODULES = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)
GROUPS = ("exact", "average_rows")

Mixed: Any = object
"""Stands for the class of curvlinops that stands behind `_Backend` in the bases; it has no type
annotations."""


class _Backend(Mixed):
    """Replaces how curvlinops' KFAC and EKFAC process inputs and gradients."""

    _SUPPORTED_MODULES = MODULES
    _by_module = False
    _anchor: Tensor | None = None
    _params: list[Any]

    def __init__(
        self, *args: Any, backend: str = "diagrammar", groups: str = "exact", **kwargs: Any
    ) -> None:
        if backend != "diagrammar":
            raise ValueError(
                f"backend must be 'diagrammar', not {backend!r}; for curvlinops' own, take the "
                "class from curvlinops"
            )
        self._groups = _checked(groups)
        self._layers: dict[str, SplitLayer] | None = None
        super().__init__(*args, **kwargs)

    # -- parts -------------------------------------------------------------------------------------

    @property
    def _mapping(self) -> dict[str, dict[str, int]]:
        """Layers with the positions of their parameters: parts, or whole modules while hooks
        run."""
        if self._by_module:
            return self._modules
        positions: dict[str, dict[str, int]] = {}
        for name, params in self._modules.items():
            parts = self._layer(name).parts
            positions.update(parts if parts else {name: params})
        return positions

    @_mapping.setter
    def _mapping(self, modules: dict[str, dict[str, int]]) -> None:
        self._modules = modules

    def _layer(self, name: str) -> SplitLayer:
        """The layer of a module, with its parts."""
        if self._layers is None:
            layers, position = {}, len(self._params)
            for module_name, params in self._modules.items():
                module = self._model_func.get_submodule(module_name)
                layer = SplitLayer.of(module_name, module, params, self._groups, position)
                position += len(layer.parts) * len(params)
                layers[module_name] = layer
            self._layers = layers
        return self._layers[name]

    def _names(self, name: str) -> list[str]:
        """The names of a module's parts, or its own."""
        parts = self._layer(name).parts
        return [part for part, _ in parts] if parts else [name]

    def _split(self, tensors: list[Tensor]) -> list[Tensor]:
        """Add the parts' tensors to parameter-shaped tensors."""
        results = list(tensors)
        for name, params in self._modules.items():
            layer = self._layer(name)
            if layer.parts:
                taken = [layer.split(p, tensors[position]) for p, position in params.items()]
                results += [tensor for part in zip(*taken, strict=True) for tensor in part]
        return results

    def _joined(self, tensors: list[Tensor]) -> list[Tensor]:
        """Put together the tensors that `_split` cut, and drop the parts' tensors."""
        results = tensors[: len(self._params)]
        for name, params in self._modules.items():
            layer = self._layer(name)
            for parameter, position in params.items() if layer.parts else ():
                parts = [tensors[places[parameter]] for _, places in layer.parts]
                results[position] = layer.joined(parameter, parts)
        return results

    @contextmanager
    def _modules_shown(self) -> Iterator[None]:
        """A context in which `_mapping` has whole modules."""
        self._by_module = True
        try:
            yield
        finally:
            self._by_module = False

    def _matmat(self, M: list[Tensor]) -> list[Tensor]:
        return self._joined(super()._matmat(self._split(M)))

    # -- factors -----------------------------------------------------------------------------------

    def compute_kronecker_factors(self) -> None:
        """Compute and cache the Kronecker factors."""
        with self._modules_shown():
            super().compute_kronecker_factors()

    def _joint(self, name: str) -> bool:
        """Whether weight and bias of a layer share factors."""
        separate: bool = self._separate_weight_and_bias
        return not separate and self._modules[name].keys() >= {"weight", "bias"}

    def _add(self, store: dict[str, Any], name: str, factors: Tensor) -> None:
        """Add the factors of a layer's groups to the factors of its parts."""
        for part, factor in zip(self._names(name), factors, strict=True):
            self._set_or_add_(store, part, factor)

    def _hook_accumulate_input_covariance(
        self, module: nn.Module, inputs: tuple[Tensor, ...], module_name: str
    ) -> None:
        """Add a layer's input factors, at curvlinops' scale."""
        if len(inputs) != 1:
            raise ValueError("Modules with multiple inputs are not supported.")
        layer = self._layer(module_name)
        x = layer.rows_of(inputs[0].detach())
        options = {"scale": "curvlinops", "n_data": self._N_data}
        options["bias"] = self._joint(module_name)
        expands = self._expands()
        factor = layer.conv.kfac_expand if expands else layer.conv.kfac_reduce
        parts = parts_of(layer.conv, x) if expands else (x,)
        for part in parts:
            self._add(self._input_covariances, module_name, factor(part, **options))

    def _accumulate_gradient_covariance(
        self, grad_output: Tensor, module: nn.Module, module_name: str
    ) -> None:
        """Add a layer's output factors, at curvlinops' scale."""
        layer, g = self._layer(module_name), grad_output.detach().unsqueeze(0)
        factor = layer.conv.kfac_expand_grad if self._expands() else layer.conv.kfac_reduce_grad
        factors = factor(g, scale="curvlinops-sum").mul_(self._correction(g.shape[1]))
        self._add(self._gradient_covariances, module_name, factors)

    def _expands(self) -> bool:
        """Whether this is KFAC-expand."""
        kind: str = self._kfac_approx
        return kind == "expand"

    def _correction(self, batch: int) -> float:
        """The number that turns products of the loss's gradients into their share of the data set's
        factor."""
        samples: int = self._mc_samples
        if self._loss_func.reduction == "sum":
            return 1 / samples
        terms, data = self._num_per_example_loss_terms, self._N_data
        part: float = (batch * terms) ** 2 / (data * samples * terms)
        return part

    def _compute_loss_and_backward(self, output: Tensor, y: Tensor) -> None:
        """Run curvlinops' backward passes by the anchor; without any, set identities for the
        parts."""
        if self._fisher_type != "forward-only":
            with self._anchor_shown():
                super()._compute_loss_and_backward(output, y)
            return
        super()._compute_loss_and_backward(output, y)
        store: dict[str, Tensor] = self._gradient_covariances
        for name in self._modules:  # an identity for each part, in place of the module's
            layer, whole = self._layer(name), store.pop(name)
            rows = _outputs(self._model_func, name) // layer.groups
            for part in self._names(name):
                store[part] = eye(rows, dtype=whole.dtype, device=whole.device)

    # -- backward passes ---------------------------------------------------------------------------

    def _register_tensor_hook_on_output_to_accumulate_gradient_covariance(
        self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, module_name: str
    ) -> Tensor:
        return self._anchored("gradient_covariance", module, inputs, output, module_name)

    def _register_tensor_hook_on_output_to_accumulate_corrected_eigenvalues(
        self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, module_name: str
    ) -> Tensor:
        return self._anchored("corrected_eigenvalues", module, inputs, output, module_name)

    def _anchored(
        self, what: str, module: nn.Module, inputs: Any, output: Tensor, name: str
    ) -> Tensor:
        """The output of a layer with curvlinops' hook. It depends on an anchor, by which backward
        passes differentiate in place of the parameters."""
        check_unchanged(name, module, inputs[0], output, own=1)
        if self._anchor is None:
            self._anchor = new_anchor(output)
        output = anchored(output, self._anchor)
        register = f"_register_tensor_hook_on_output_to_accumulate_{what}"
        getattr(super(), register)(module, inputs, output, name)
        return output

    @contextmanager
    def _anchor_shown(self) -> Iterator[None]:
        """A context in which backward passes differentiate by the anchor only."""
        params = self._params
        self._params = [self._anchor] if self._anchor is not None else params
        try:
            yield
        finally:
            self._params, self._anchor = params, None

    # -- state -------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the linear operator."""
        return {**super().state_dict(), "groups": self._groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state of the linear operator."""
        self._groups, self._layers = _checked(state_dict.get("groups", "average_rows")), None
        super().load_state_dict(state_dict)


class KFACLinearOperator(_Backend, curvlinops.KFACLinearOperator):
    """curvlinops.KFACLinearOperator with `backend="diagrammar"` and `groups`.

    Raises the same errors as curvlinops, and ValueError for another backend or option `groups`.
    """


class EKFACLinearOperator(_Backend, curvlinops.EKFACLinearOperator):
    """curvlinops.EKFACLinearOperator with `backend="diagrammar"` and `groups`."""

    def compute_eigenvalue_correction(self) -> None:
        """Compute and cache the corrected eigenvalues."""
        if not (self._input_covariances_eigenvectors or self._gradient_covariances_eigenvectors):
            self._compute_eigenvectors()
        with self._modules_shown():
            super().compute_eigenvalue_correction()

    def _accumulate_corrected_eigenvalues(
        self, grad_output: Tensor, module: nn.Module, module_name: str
    ) -> None:
        """Add the diagonals in the eigenbasis: one for joint weight and bias, else one for each."""
        layer, names = self._layer(module_name), self._names(module_name)
        g = grad_output.detach()
        correction = self._correction(len(g))
        params, joint = self._modules[module_name], self._joint(module_name)
        Q_B = stack([self._gradient_covariances_eigenvectors[n] for n in names])
        diagonals: dict[str, Tensor] = {}
        if "weight" in params:
            Q_A = stack([self._input_covariances_eigenvectors[n] for n in names])
            x = layer.rows_of(self._cached_activations[module_name])
            diagonals["weight"] = layer.conv.ekfac_diag(x, g.unsqueeze(0), Q_A, Q_B) * correction
        if "bias" in params and not joint:
            diagonals["bias"] = _rotated_bias(layer, g, Q_B) * correction
        for n, part in enumerate(names):
            if joint:
                self._set_or_add_(self._corrected_eigenvalues, part, diagonals["weight"][n])
                continue
            store = self._corrected_eigenvalues.setdefault(part, {})
            places = layer.parts[n][1] if layer.parts else params
            for parameter, values in diagonals.items():
                self._set_or_add_(store, places[parameter], values[n])


class KFACInverseLinearOperator(curvlinops.KFACInverseLinearOperator):
    """curvlinops.KFACInverseLinearOperator, also for operators of this module.

    curvlinops' own class handles them where no layer has groups or is transposed; elsewhere it
    fails with an IndexError.
    """

    def _matmat(self, X: list[Tensor]) -> list[Tensor]:
        ours = isinstance(self._A, _Backend)
        product: list[Tensor] = super()._matmat(self._A._split(X) if ours else X)
        return self._A._joined(product) if ours else product


@contextmanager
def replaced() -> Iterator[None]:
    """A context in which `curvlinops.KFACLinearOperator`, `EKFACLinearOperator` and
    `KFACInverseLinearOperator` are the classes of this module.

    This is for code that cannot be edited; names that were imported before keep their old classes.
    """
    classes = (KFACLinearOperator, EKFACLinearOperator, KFACInverseLinearOperator)
    before = [(cls, getattr(curvlinops, cls.__name__)) for cls in classes]
    places = [(import_module(theirs.__module__), cls, theirs) for cls, theirs in before]
    places += [(curvlinops, cls, theirs) for cls, theirs in before]
    try:
        for place, cls, _ in places:
            setattr(place, cls.__name__, cls)
        yield
    finally:
        for place, cls, theirs in places:
            setattr(place, cls.__name__, theirs)


def _checked(groups: str) -> str:
    """Return the option `groups`. Raises ValueError for another value."""
    if groups not in GROUPS:
        raise ValueError(f"groups must be 'exact' or 'average_rows', not {groups!r}")
    return groups


def _outputs(model: nn.Module, name: str) -> int:
    """The output channels of a module."""
    module = model.get_submodule(name)
    return arguments(module)[1].channels or 0


def _rotated_bias(layer: SplitLayer, g: Tensor, Q_B: Tensor) -> Tensor:
    """The bias's diagonal in the eigenbasis, Σ (Q_Bᵀ Σ_o s)²: [g, c_out/g]."""
    if isinstance(layer.conv, Linear):
        sums = g.reshape(len(g), -1, g.shape[-1]).sum(1)
    else:
        sums = g.flatten(2).sum(2)
    by_group = unflatten(sums, 1, (layer.groups, -1)).movedim(1, 0)
    return (by_group @ Q_B).square().sum(1)
