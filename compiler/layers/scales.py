"""How libraries split the product A ⊗ B of a layer's Kronecker factors between the two.

A factor of theirs is one of ours times a number. With N examples, T positions, V vectors, rows a
and vectors s of the summed loss, ours are

    expand: A = Σ a aᴴ/N, B = Σ s sᴴ/(N·T)      reduce: A = Σ ā āᴴ/N, B = Σ (Σ_o s)(Σ_o s)ᴴ/N

Derived in docs/operations/kfac.md from the public versions of late 2026.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True)
class Counts:
    """N examples of `n_data` in the whole data set, T positions, V vectors; `reduce` or not."""

    n: int
    t: int
    n_data: int
    v: int
    reduce: bool

    @property
    def shared(self) -> int:
        """The positions that share a weight as rows of their own: T for expand, one for reduce."""
        return 1 if self.reduce else self.t

    @property
    def part(self) -> float:
        """N over the size of the data set."""
        return self.n / self.n_data if self.n_data else 0.0


Number = Callable[[Counts], float]


@dataclass(frozen=True)
class Preset:
    """What A and B at the default scale are multiplied by; `b` None where a library has none.

    `reduces`: whether it has KFAC-reduce. `sums`: its B for KFAC-expand is that of KFAC-reduce.
    """

    a: Number
    b: Number | None
    reduces: bool = True
    sums: bool = False


SCALES: dict[str, Preset] = {
    "default": Preset(lambda s: 1, lambda s: 1),
    # A = A₀/(N·T), B = G₀/N, N the data set's size
    "curvlinops": Preset(lambda s: s.part / s.shared, lambda s: s.part * s.shared),
    # the same for a loss with reduction="sum": B = G₀
    "curvlinops-sum": Preset(lambda s: s.part / s.shared, lambda s: s.n * s.shared),
    "singd": Preset(lambda s: 1 / s.shared, lambda s: s.shared),
    # A = A₀/N, B = Σ (Σ_o s)(Σ_o s)ᴴ/N
    "backpack": Preset(lambda s: 1, lambda s: 1, reduces=False, sums=True),
    # A = √V·A₀/N, B = G₀/(N·T·√V)
    "nngeometry": Preset(lambda s: s.part * sqrt(s.v), lambda s: s.part / sqrt(s.v), reduces=False),
    # A = A₀/(N·T³), B = G₀/(N³·T³), from gradients of the mean loss
    "kfac-pytorch": Preset(
        lambda s: 1 / s.t**3, lambda s: 1 / (s.n * s.t) ** 2 if s.n else 0.0, reduces=False
    ),
    # A = A₀/(N·T), B = G₀/(N·T); the block is T times their product
    "kfac-jax": Preset(lambda s: 1 / s.t, lambda s: 1, reduces=False),
    "einconv": Preset(lambda s: 1, None),
}


def scale_of(name: str, kind: str) -> Preset:
    """A preset by name, for `kind` "expand" or "reduce". Raises ValueError where a library has
    none."""
    if name not in SCALES:
        raise ValueError(f"unknown scale {name!r}; there are {', '.join(SCALES)}")
    found = SCALES[name]
    if kind == "reduce" and not found.reduces:
        raise ValueError(f"{name} has no KFAC-reduce; use scale='default', or kfac_expand")
    return found


def input_scale(name: str, kind: str, sizes: Counts) -> float:
    """What the input's factor at the default scale is multiplied by."""
    return scale_of(name, kind).a(sizes)


def output_scale(name: str, kind: str, sizes: Counts) -> float:
    """What the output's factor at the default scale is multiplied by. Raises ValueError where a
    library has none."""
    found = scale_of(name, kind).b
    if found is None:
        raise ValueError(f"{name} has no output factor; use scale='default'")
    return found(sizes)
