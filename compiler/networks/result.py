"""The result of `dg.curvature`: sums over examples, their means, saving, merging.

Parts of a data set are merged by adding sums and numbers of examples: on one machine by `+`, on
many by an all-reduce. Means could not be merged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diagrammar.networks.identity import difference
from diagrammar.replacing import replacing
from diagrammar.services import verb

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import ProcessGroup

GRAM = "gram"
BASIS = "basis."
Bases = Mapping[str, "tuple[Tensor, Tensor]"]


@dataclass(frozen=True)
class Curvature:
    """Curvature of a network, layer by layer, from `examples` examples.

    `sums[layer][quantity]` is a sum over examples, in float32 at least: "kfac_expand.A" and ".B",
    "kfac_reduce.A" and ".B", "ekfac.diagonal", "diag_ggn.weight" and ".bias"; "kfac_expand.rows"
    and "kfac_reduce.rows" count the terms in ".B": rows with their positions, and examples that
    have rows. `options` are the arguments of `dg.curvature`. Gram matrices are no sums; they are in
    `grams` and cannot be merged. `bases` has the eigenvectors that EKFAC's diagonal refers to.
    `identity` describes loss and network: the loss with its options, each module in words, each
    parameter and buffer by a digest.

    Results are by the weight that a layer uses, also where `torch.nn.utils.parametrizations`
    compute it. Only diagonals and Gram matrices of a pruned layer are by the parameter, zero where
    it is masked.
    """

    sums: Mapping[str, Mapping[str, Tensor]]
    examples: int
    options: Mapping[str, Any]
    grams: Mapping[str, Tensor]
    bases: Bases = field(default_factory=dict)
    identity: Mapping[str, Any] = field(default_factory=dict)

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers."""
        return tuple(self.sums or self.grams)

    def __repr__(self) -> str:
        what = ", ".join(self.options.get("what", ()))
        return f"<Curvature {what}: {len(self.layers)} layers, {self.examples} examples>"

    def _mean(self, layer: str, quantity: str) -> Tensor:
        """The mean of a sum. Raises KeyError for a layer or quantity that was not computed."""
        if layer not in self.layers:
            raise KeyError(f"no layer {layer!r}; there are {', '.join(self.layers)}")
        if quantity not in self.sums.get(layer, {}):
            kind = quantity.partition(".")[0]
            raise KeyError(f"{kind} was not computed for {layer!r}; ask for what=({kind!r}, …)")
        return self.sums[layer][quantity] / max(self._count(layer, quantity), 1)

    def _count(self, layer: str, quantity: str) -> int:
        """The number that a sum is divided by for its mean: examples, or the rows that it has terms
        for."""
        kind, _, part = quantity.partition(".")
        rows = self.sums[layer].get(f"{kind}.rows") if part == "B" else None
        return self.examples if rows is None else int(rows)

    def factors(self, layer: str, kind: str = "kfac_expand") -> tuple[Tensor, Tensor]:
        """The Kronecker factors A [g, d, d] and B [g, c_out/g, c_out/g]: A ⊗ B approximates the
        mean over examples of the Gauss–Newton matrix of one example's loss."""
        return self._mean(layer, f"{kind}.A"), self._mean(layer, f"{kind}.B")

    def eigenvectors(self, layer: str) -> tuple[Tensor, Tensor]:
        """The eigenvectors of the Kronecker factors A and B as columns, [g, d, d] and [g, c_out/g,
        c_out/g]: of KFAC-expand where that was computed, else of KFAC-reduce. Raises ValueError
        where neither was."""
        from torch.linalg import eigh

        kinds = [k for k in ("kfac_expand", "kfac_reduce") if k in self.options.get("what", ())]
        if not kinds:
            raise ValueError("there are no Kronecker factors in the basis")
        if layer not in self.layers:
            raise ValueError(f"layer {layer!r} is not in the basis")
        A, B = self.factors(layer, kinds[0])
        return eigh(A).eigenvectors, eigh(B).eigenvectors

    def ekfac(self, layer: str) -> tuple[Tensor, Tensor, Tensor]:
        """EKFAC's diagonal Λ [g, c_out/g, d] and the eigenvectors Q_A [g, d, d] and Q_B [g,
        c_out/g, c_out/g]: (Q_B ⊗ Q_A) Λ (Q_B ⊗ Q_A)ᵀ approximates the mean over examples of the
        Gauss–Newton matrix of one example's loss. Of all diagonals in that basis, Λ is the
        nearest."""
        return self._mean(layer, "ekfac.diagonal"), *self.bases[layer]

    def diagonal(self, layer: str) -> tuple[Tensor, Tensor | None]:
        """The mean over examples of the Gauss–Newton diagonal, as weight and bias (None
        without)."""
        bias = "diag_ggn.bias" in self.sums.get(layer, {})
        by_weight = self._mean(layer, "diag_ggn.weight")
        return by_weight, self._mean(layer, "diag_ggn.bias") if bias else None

    def gram(self, layer: str | None = None) -> Tensor:
        """Inner products of examples' gradients, [v, n, v, n] for v vectors and n examples: by one
        layer's parameters, or by the parameters of all layers."""
        if not self.grams:
            raise KeyError(f"{GRAM} was not computed; ask for what=({GRAM!r}, …)")
        if layer is not None:
            return self.grams[layer]
        first, *rest = self.grams.values()
        return sum(rest, start=first)

    # -- merging -----------------------------------------------------------------------------------

    def __add__(self, other: Curvature) -> Curvature:
        """The curvature of both data sets. Raises ValueError where loss, network, layers, shapes or
        options differ, and where an older version saved only one of the two."""
        problem = difference(self.header(), other.header())
        if problem:
            raise ValueError(f"these cannot be added: {problem}")
        if not _same(self.bases, other.bases):
            raise ValueError("these cannot be added: their bases differ")
        devices = {
            v.device.type for r in (self, other) for q in r.sums.values() for v in q.values()
        }
        if len(devices) > 1:
            raise ValueError(f"these cannot be added: they are on {' and '.join(sorted(devices))}")
        sums = {
            layer: {q: value + other.sums[layer][q] for q, value in quantities.items()}
            for layer, quantities in self.sums.items()
        }
        several = other if self.identity.get("loss", {}).get("reduction") == "any" else self
        return Curvature(
            sums, self.examples + other.examples, self.options, {}, self.bases, several.identity
        )

    def header(self) -> dict[str, Any]:
        """The data that must agree for two results to be added."""
        if self.grams:
            raise ValueError(
                "Gram matrices of parts of a data set cannot be merged: they need every pair of "
                "examples; compute them on one process"
            )
        shapes = {
            f"{layer}/{q}": [str(value.dtype).removeprefix("torch."), list(value.shape)]
            for layer, quantities in self.sums.items()
            for q, value in quantities.items()
        }
        return {"options": dict(self.options), **self.identity, "shapes": shapes}

    def all_reduced(self, group: ProcessGroup | None = None) -> Curvature:
        """The sum over all processes of a group (None: all), each of which must call this.

        First everything that `+` compares is compared; then each sum is all-reduced; last, all
        processes tell each other that they are done. A process without examples takes part with
        zeros. Raises RuntimeError on every remaining process where one differs, fails or is gone.
        """
        return verb(Curvature.all_reduced)(self, group)

    # -- files -------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write a safetensors file (`pip install 'diagrammar[save]'`), completely or not at all.
        Raises OSError where that fails."""
        tensors = {f"{name}": value.contiguous() for name, value in self._named()}
        about = {"examples": self.examples, "options": dict(self.options)}
        about["identity"] = dict(self.identity)
        said = {"diagrammar": json.dumps(about)}
        with replacing(path, named=True) as part:
            if part == Path(path):  # a pipe or a device takes bytes only
                part.write_bytes(_safetensors().save(tensors, said))
            else:
                _safetensors().save_file(tensors, str(part), said)

    def _named(self) -> Iterator[tuple[str, Tensor]]:
        for layer, quantities in self.sums.items():
            yield from ((f"{layer}/{q}", value) for q, value in quantities.items())
        yield from ((f"{layer}/{GRAM}", value) for layer, value in self.grams.items())
        for layer, basis in self.bases.items():
            yield from zip((f"{layer}/{BASIS}A", f"{layer}/{BASIS}B"), basis, strict=True)

    @staticmethod
    def load(path: str | Path, device: str = "cpu") -> Curvature:
        """Read a file of `save`. Raises ValueError for other files. A result of a version without
        `identity` can only be added to a result of that kind."""
        from safetensors import safe_open

        _safetensors()
        sums: dict[str, dict[str, Tensor]] = {}
        grams: dict[str, Tensor] = {}
        bases: dict[str, dict[str, Tensor]] = {}
        with safe_open(str(path), framework="pt", device=device) as file:
            text = (file.metadata() or {}).get("diagrammar")
            if text is None:
                raise ValueError(f"{path} was not written by Curvature.save")
            for name in file.keys():  # noqa: SIM118  # no mapping
                layer, _, quantity = name.rpartition("/")
                if quantity == GRAM:
                    grams[layer] = file.get_tensor(name)
                elif quantity.startswith(BASIS):
                    bases.setdefault(layer, {})[quantity] = file.get_tensor(name)
                else:
                    sums.setdefault(layer, {})[quantity] = file.get_tensor(name)
        about = json.loads(text)
        order = about["options"].get("layers", [])
        sums = {layer: sums[layer] for layer in order if layer in sums}
        pairs = {n: (both[f"{BASIS}A"], both[f"{BASIS}B"]) for n, both in bases.items()}
        identity = about.get("identity", {})
        return Curvature(sums, about["examples"], about["options"], grams, pairs, identity)


def _same(first: Bases, second: Bases) -> bool:
    """Whether two results refer to the same eigenvectors."""
    if first.keys() != second.keys():
        return False
    pairs = (zip(first[name], second[name], strict=True) for name in first)
    return all(a.shape == b.shape and bool((a == b).all()) for pair in pairs for a, b in pair)


def _safetensors() -> Any:
    try:
        from safetensors import torch
    except ImportError:
        raise ImportError("saving needs safetensors: pip install 'diagrammar[save]'") from None
    return torch
