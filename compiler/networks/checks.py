"""Check a network's first batch: the recorded calls of layers must explain the network's gradients.

The check does not depend on the quantities that are computed, and is cheap:

- one example alone has the same output, and its layers the same inputs, as in the batch;
- for one backward pass with a random cotangent v, by the anchor and by the layers' own weights,
  autograd's gradients equal `weight_vjp` and `bias_vjp` of recorded inputs and output gradients;
- backward passes for v with each example's part times a power of two tell to which example each row
  of a layer belongs, and whether it belongs to one example at all.

It finds layers whose first axis is not the examples, weights that are used elsewhere, examples that
depend on one another, and layers that compute something else than torch's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

from diagrammar.networks.collect import Collector, uncalled
from diagrammar.networks.examples import LOW, is_close, tolerance
from diagrammar.networks.rows import (
    SEVERAL,
    UNKNOWN,
    Ragged,
    Regular,
    Shared,
    digits,
    flat,
    owners_of,
    rule_of,
)
from diagrammar.networks.site import Site, precise, together

if TYPE_CHECKING:
    from torch import Tensor

Visit = Callable[[Site, "Tensor"], None]
Backward = Callable[["Tensor", Visit], None]
MODES = ("first", "every", "off")


def needs_rows(site: Site, examples: int) -> bool:
    """Whether it is unknown in this batch to which examples a layer's rows belong."""
    if site.layout is None or isinstance(site.layout, Ragged) or not site.settled:
        return True
    return not site.layout.fits(site.lead(site.x), examples)


def find_rows(sites: Sequence[Site], v: Tensor, rows: int, backward: Backward) -> None:
    """Find to which examples the rows of layers belong, and set each site's layout.

    This takes a backward pass for the cotangent v [N·rows, …], and some for v with examples' parts
    scaled. `backward` takes a cotangent, and a function of each layer and its gradient. Raises
    NotImplementedError for a layer whose rows go into several examples.
    """
    from torch import float16

    examples = len(v) // rows
    base = 4 if v.dtype == float16 else 32
    chosen = {id(site) for site in sites}

    def look(site: Site, grad: Tensor) -> None:
        if id(site) in chosen:
            site.norms.append(norms(site, grad))

    passes = digits(examples, base) if examples > 1 else []
    if passes and not all(site.norms for site in sites):
        for site in sites:
            site.norms = []
        backward(v, look)
    for digit in passes:
        backward(v * powers(digit, rows, v), look)
    for site in sites:
        settle(site, base, examples, passes=1 + len(passes))
        site.norms = []


def powers(digit: Tensor, rows: int, v: Tensor) -> Tensor:
    """Two to the power of each example's digit, in the shape of v [N·rows, …]."""
    factor = (2.0**digit).repeat_interleave(rows).to(v)
    return factor.view(-1, *(1,) * (v.ndim - 1))


def norms(site: Site, grad: Tensor) -> Tensor:
    """The norm of each row's gradient: [*lead], in float64."""
    from torch import float64
    from torch.linalg import vector_norm

    grad = site.batched(grad)
    dims = site.rows_of(grad)
    scale = grad.abs().max().clamp(min=1e-300) if grad.numel() else 1
    relative: Tensor = vector_norm((grad / scale).flatten(dims), dim=-1, dtype=float64)
    return relative * scale


def settle(site: Site, base: int, examples: int, passes: int) -> None:
    """Decide to which examples a layer's rows belong, from row norms of `passes` backward
    passes."""
    from torch import full, int64

    lead = site.lead(site.x)
    owners = full(lead, 0 if examples == 1 else UNKNOWN, dtype=int64)
    if examples > 1 and len(site.norms) == passes:  # fewer norms: no output depends on the layer
        owners = owners_of(site.norms, base, examples, 1e-6 if is_double(site.x) else 0.01)
    if bool((owners == SEVERAL).any()):
        share(site, lead, examples)
        return
    layouts = [rule for rule in rule_of(owners, examples) if fits_alone(site, rule, examples)]
    site.settled = examples > 1 and len(layouts) == 1
    site.layout = layouts[0] if layouts else Ragged(flat(owners, owners.ndim), examples)


def is_double(x: Tensor) -> bool:
    """Whether numbers have the precision of float64."""
    from torch import finfo

    return (x.is_floating_point() or x.is_complex()) and finfo(x.dtype).eps < 1e-10


def fits_alone(site: Site, rule: Regular, examples: int) -> bool:
    """Whether a layout gives the last example the rows that it has when it is alone."""
    if site.alone is None:
        return True
    rows = rule.grouped(site.x, site.rows_of(site.x), examples)[-1]
    alone = flat(site.alone, site.rows_of(site.alone))
    return rows.shape == alone.shape and is_close(alone, rows)


def share(site: Site, lead: tuple[int, ...], examples: int) -> None:
    """Lay the rows of a layer out as shared by all examples, if an example alone has the same rows.
    Raises NotImplementedError otherwise."""
    if site.alone is not None and is_close(site.alone, site.x):
        site.layout, site.settled = Shared(lead), True
        return
    why = (
        "time may stand first, or statistics of the batch may couple examples"
        if site.alone is not None
        else "and one example alone could not be looked at"
    )
    raise NotImplementedError(
        f"layer {site.name!r}: rows of its input {tuple(site.x.shape)} go into several of the "
        f"{examples} examples' outputs ({why}), so that examples have no gradients of their own "
        f"there; leave it out: exclude=[{site.name!r}]"
    )


# -- the network's own gradients -------------------------------------------------------------------


def check_gradients(
    collector: Collector,
    backward: Callable[[Visit, list[Tensor]], list[Tensor | None]],
) -> None:
    """Compare autograd's gradients by layers' weights and biases with gradients from the recorded
    calls, for one cotangent.

    `backward` takes a function of each layer and its gradient, and the parameters to differentiate
    by. Raises NotImplementedError for a layer where they differ, RuntimeError where a weight is
    used, but by a function and not by its layer.
    """
    from torch.backends import mkldnn

    seen: dict[tuple[str, str], Seen] = {}

    def look(site: Site, grad: Tensor) -> None:
        site.check_input()
        site.norms = [norms(site, grad)]
        seen[site.name, "weight"] = by_weight(site, grad)
        if site.bias:
            seen[site.name, "bias"] = by_bias(site, grad)

    wanted = {
        (site.name, name): value
        for site in collector.called()
        for name, value in (("weight", site.seen.weight), ("bias", site.seen.bias))
        if value is not None and value.requires_grad
    }
    others = [(s.name, p) for s in collector.sites if not s.calls for p in s.module.parameters()]
    both = backward(look, [*wanted.values(), *(p for _, p in others)])
    theirs, of_others = both[: len(wanted)], both[len(wanted) :]
    used = [name for (name, _), g in zip(others, of_others, strict=True) if g is not None]
    if used:
        raise RuntimeError(uncalled(list(dict.fromkeys(used))))
    if any(
        seen[k].differs(reference) for k, reference in zip(wanted, theirs, strict=True) if k in seen
    ):
        with mkldnn.flags(enabled=False):  # some of oneDNN's weight gradients are wrong
            theirs = backward(lambda site, grad: None, list(wanted.values()))
    for key, reference in zip(wanted, theirs, strict=True):
        if key in seen:
            seen[key].check(*key, reference)


@dataclass(frozen=True)
class Seen:
    """A gradient from the recorded call of a layer, and the rounding error that it may have."""

    gradient: Tensor
    error: float

    def apart(self, reference: Tensor | None) -> float:
        """The largest difference to autograd's gradient; 0 where either is not finite."""
        if not self.gradient.numel():
            return 0.0
        apart = (
            self.gradient
            if reference is None
            else reference.to(self.gradient.dtype) - self.gradient
        )
        largest = float(apart.abs().max())
        return largest if isfinite(largest) else 0.0

    def differs(self, reference: Tensor | None) -> bool:
        """Whether the difference is larger than rounding."""
        return self.apart(reference) > self.error

    def check(self, layer: str, name: str, reference: Tensor | None) -> None:
        """Raise NotImplementedError where autograd's gradient differs."""
        if not self.differs(reference):
            return
        largest = float(self.gradient.abs().max()) or 1.0
        raise NotImplementedError(
            f"layer {layer!r}: the network's gradient by its {name} is not what its one call "
            f"gives; they differ by {self.apart(reference) / largest:.2g} of the largest entry. "
            f"The {name} is used elsewhere, too (by a function such as F.linear, or another "
            "module), or the layer computes something else than torch's own; leave it out: "
            f"exclude=[{layer!r}]"
        )


def by_weight(site: Site, grad: Tensor) -> Seen:
    """The gradient by the weight. Its entry for channels i and o is at most ‖a_i‖·‖s_o‖; its
    rounding error is a small part of that."""
    x, s = together(site.x, site.batched(grad.detach()))
    gradient = site.layer.weight_vjp(x, s).reshape(site.seen.weight.shape)
    return Seen(
        gradient, rounding(site, grad) * largest_channel(site, x) * largest_channel(site, s)
    )


def by_bias(site: Site, grad: Tensor) -> Seen:
    """The gradient by the bias."""
    s = precise(site.batched(grad.detach()))
    error = rounding(site, grad) * largest_channel(site, s) * site.output_positions() ** 0.5
    return Seen(site.layer.bias_vjp(s), error)


def rounding(site: Site, grad: Tensor) -> float:
    """The relative error of sums that counts as rounding, from the lowest precision of the
    dtypes."""
    worst = max(tolerance(t) for t in (site.x, grad, site.seen.weight))
    return worst / 2 if worst == LOW else worst / 50


def largest_channel(site: Site, x: Tensor) -> float:
    """The largest norm of a channel of an input or output gradient."""
    channels = x.movedim(-1, 0) if site.is_linear else x.movedim(1, 0)
    return float(channels.flatten(1).abs().square().sum(1).max().sqrt()) if x.numel() else 0.0
