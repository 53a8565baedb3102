"""How libraries split the product A ⊗ B of a layer's Kronecker factors between the two.

A library's factor is ours times a number. With N examples, T positions, V vectors, rows a and
vectors s of the summed loss, our factors are

    expand: A = Σ a aᴴ/N, B = Σ s sᴴ/(N·T)      reduce: A = Σ ā āᴴ/N, B = Σ (Σ_o s)(Σ_o s)ᴴ/N

The numbers are derived in docs/operations/kfac.md from the public versions of late 2026.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True)
class Counts:
    """N examples, T positions, `n_data` examples in the whole data set, V vectors; KFAC-reduce or
    not."""

    n: int
    t: int
    n_data: int
    v: int
    reduce: bool

    @property
    def shared(self) -> int:
        """Positions that share a weight as rows of their own: T for expand, 1 for reduce."""
        return 1 if self.reduce else self.t

    @property
    def part(self) -> float:
        """The fraction N/`n_data` of the data set."""
        return self.n / self.n_data if self.n_data else 0.0


Number = Callable[[Counts], float]


@dataclass(frozen=True)
class Preset:
    """The numbers that A and B at the default scale are multiplied by; `b` is None where a library
    has no B.

    `reduces`: the library has KFAC-reduce. `sums`: its B for KFAC-expand equals its B for
    KFAC-reduce.
    """

    a: Number
    b: Number | None
    reduces: bool = True
    sums: bool = False


SCALES: dict[str, Preset] = {
    "default": Preset(lambda s: 1, lambda s: 1),
    # A = A₀/(N·T), B = G₀/N, N the data set's size
    "curvlinops": Preset(lambda s: s.part / s.shared, lambda s: s.part * s.shared),
    # as above, but for a loss with reduction="sum": B = G₀
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
    """Find a preset by name, for `kind` "expand" or "reduce". Raises ValueError for an unknown
    name, and for a library without KFAC-reduce."""
    if name not in SCALES:
        raise ValueError(f"unknown scale {name!r}; there are {', '.join(SCALES)}")
    preset = SCALES[name]
    if kind == "reduce" and not preset.reduces:
        raise ValueError(f"{name} has no KFAC-reduce; use scale='default', or kfac_expand")
    return preset


def input_scale(name: str, kind: str, sizes: Counts) -> float:
    """The number that the input's factor at the default scale is multiplied by."""
    return scale_of(name, kind).a(sizes)


def output_scale(name: str, kind: str, sizes: Counts) -> float:
    """The number that the output's factor at the default scale is multiplied by. Raises ValueError
    for a library without that factor."""
    number = scale_of(name, kind).b
    if number is None:
        raise ValueError(f"{name} has no output factor; use scale='default'")
    return number(sizes)
