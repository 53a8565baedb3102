"""Cases for `tests.rule_sweep`: operations with drawn boundaries, hyper-parameters and sizes, and
random relations."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import diagrammar as dg
from diagrammar.ir.diagram import Diagram
from diagrammar.transform.values import resolve_values
from tests.oracle import at
from tests.random_relations import text

ANY = "any relations"

BODIES = {
    "forward": "Y[n, o] = X[n, i] * P[i, o, k] * W[k]",
    "input VJP": "Y[n, i] = V[n, o] * P[i, o, k] * W[k]",
    "weight VJP": "Y[k] = X[n, i] * P[i, o, k] * V[n, o]",
    "unfold": "Y[n, o, k] = X[n, i] * P[i, o, k]",
    "fold": "Y[n, i] = U[n, o, k] * P[i, o, k]",
    "toeplitz": "Y[i, o] = P[i, o, k] * W[k]",
    "expand": "Y[k, k'] = X[n, i] * P[i, o, k] * X[n, i'] * P[i', o, k']",
    "reduce": "Y[k, k'] = X[n, i] * P[i, o, k] * X[n, i'] * P[i', o', k']",
    "window": "Y[i, k] = P[i, o, k]",
    "valid": "Y[o, k] = P[i, o, k]",
    "Jacobian": "Y[n, o, n', i] = delta[n, n'] * P[i, o, k] * W[k] * V[n, o]",
    "one input": "Y[n, k, k'] = X[n, i] * P[i, o, k] * P[i, o, k'] * V[n, o]",
    "two outputs": "Y[k, k', n] = V[n, o] * P[i, o, k] * P[i, o', k'] * V[n, o']",
    "step before": "Y[n, o] = X[n, h] * A[h, i] * P[i, o, k] * W[k]",
    "step behind": "Y[n, q] = X[n, i] * P[i, o, k] * B[o, q] * W[k]",
    "mask": "Y[n, o] = X[n, i] * P[i, o, k] * W[k] * C[o, k]",
    "digits": "Y[n, m] = U[n, o, k] * D[o, k, o', k'] * U[m, o', k']",
    "twice": "Y[n, o] = X[n, i] * P[i, o, k] * P[i, o, k] * W[k]",
    "stacked": "Y[n, q] = X[n, i] * P[i, o, k] * W[k] * Q[o, q, m] * M[m]",
    "map before": "Y[n, o] = X[n, h] * F[h, i] * P[i, o, k] * W[k]",
    "padded means": "Y[n, k] = X[n, i] * P[i, o, k]",
    "padded sums": "Y[n, o, k] = P[i, o, k] * V[n, o]",
    "circles": "Y[n, q] = X[n, i] * P[i, o, k] * W[k] * G[o, q, m] * M[m]",
    "rotated": "Y[n, o] = X[n, u] * R[u, r] * R[i, r] * P[i, o, k] * W[k]",
    "rotated patches": (
        "Y[n, m] = X[n, i] * P[i, o, k] * T[(o k), r] * T[(o' k'), r] * U[m, o', k']"
    ),
    "diagonal": "Y[i, k] = R[i, r] * R[i, r] * P[i, o, k] * V[n, o]",
    "renamed": "Y[n, o] = X[n, u] * E[u, i] * P[i, o, k] * W[k]",
    "two boundaries": "Y[n, q] = X[n, i] * P[i, o, k] * W[k] * H[o, q, m] * M[m]",
    "two mean patches": "Y[n, k, m] = X[n, i] * P[i, o, k] * H[o, q, m]",
    "two masks": "Y[q, m, k] = P[i, o, k] * H[o, q, m]",
    "counts": "Y[i, k] = P[i, o, k] * W[k] * P[i, o', k]",
    "map behind": "Y[n, q] = X[n, i] * P[i, o, k] * W[k] * F[o, q]",
    "two maps": "Y[n, q] = X[n, h] * F[h, i] * X[n, h'] * F[h', i] * P[i, o, k] * N[o, q]",
    "side by side": "Y[n, m, y, z] = X[n, i] * P[i, o, k] * Z[m, o, k, y, z] * S[n, m, y, z]",
    ANY: "",
}

BOUNDARIES = ("zeros", "circular", "reflect", "replicate")

STEPS = {
    "step before": "pattern A[h, i] = [h = 2*i + a]",
    "step behind": "pattern B[o, q] = [o = b*q + c]",
    "mask": "pattern C[o, k] = [o + k >= c]",
    "digits": "pattern D[o, k, o', k'] = [b*o + k = b*o' + k' + c]",
    "map before": "pattern F[h, i] = [h = i + a mod |h|]",
    "circles": "pattern G[o, q, m] = [o = q + m - c mod |o|]",
    "stacked": "pattern Q[o, q, m] = conv(padding=c)",
    "two boundaries": "pattern H[o, q, m] = conv(padding=c, boundary={boundary})",
    "two mean patches": "pattern H[o, q, m] = conv(padding=c, boundary={boundary})",
    "two masks": "pattern H[o, q, m] = conv(padding=c, boundary={boundary})",
    "map behind": "pattern F[o, q] = [o = a - q mod |o|]",
    "two maps": "pattern F[h, i] = [h = i + a mod |h|]\npattern N[o, q] = [o = |o| - 1 - q]",
}

BOUNDED = ("padded means", "padded sums", "circles", "map before", "map behind", "counts")
"""Bodies where a boundary other than zeros is the rule."""
OPEN = 0.1
"""How many cases keep their sizes open while rules are applied."""
CHAINS = ("two boundaries", "two mean patches", "two masks")


@dataclass(frozen=True)
class Case:
    """A diagram, the numbers that are put in for what is still open, and how it was drawn."""

    diagram: Diagram
    said: str
    body: str
    open: Mapping[Any, Any] = field(default_factory=dict)

    def closed(self, diagram: Diagram) -> Diagram:
        """What a rule made of the diagram, at all numbers."""
        return diagram.substitute(self.open) if self.open else diagram


@cache
def template(body: str, boundary: str, second: str) -> Diagram:
    """An operation with its hyper-parameters open."""
    text = f"""
        param s, d, pl, pr, a = 0, b = 1, c = 0
        tensor X[n, {"h" if body in ("step before", "map before", "two maps") else "i"}]
        tensor V[n, o]
        tensor U[n, o, k]
        tensor W[k]
        constant R[u, r] = orthogonal
        constant T[(o k), r] = orthogonal
        constant E[u, i] = identity
        {"tensor Z[m, o, k, y, z]" if body == "side by side" else ""}
        {"tensor S[n, m, y, z]" if body == "side by side" else ""}
        {"" if body == "digits" else "tensor M[m]"}
        pattern P[i, o, k] = conv(stride=s, dilation=d, padding=(pl, pr), boundary={boundary})
        {STEPS.get(body, "").format(boundary=second)}
        {BODIES[body]}
    """
    return dg.parse("\n".join(line.strip() for line in text.splitlines()))["Y"]


def geometry(chosen: random.Random) -> dict[str, int]:
    """K, S, D, I and padding: anything, or near one of the special cases."""
    s, d, k = chosen.randint(1, 4), chosen.choice((1, 1, 1, 2, 3, 4)), chosen.randint(1, 5)
    pl, pr = (0, 0) if chosen.random() < 0.4 else (chosen.randint(0, 4), chosen.randint(0, 4))
    i = chosen.randint(1, 12)
    match chosen.choice(("any", "any", "tiled", "swapped", "padded", "common", "pointwise")):
        case "tiled":
            k, d, pl, pr = s, 1, 0, 0
            i = s * chosen.randint(1, 4) + chosen.choice((0, 0, chosen.randrange(s)))
        case "swapped":
            s, pl, pr = 1, 0, 0
            i = d * k + chosen.choice((0, 0, 0, 1))
        case "padded":
            i, k = chosen.randint(1, 3), chosen.randint(2, 5)
            pl, pr = chosen.randint(0, 5), chosen.randint(0, 5)
        case "common":
            s, d = 2, chosen.choice((2, 4))
            k = chosen.randint(2, 4)
        case "pointwise":
            k = 1
    return {"i": i, "k": k, "s": s, "d": d, "pl": pl, "pr": pr}


def cases(seed: int, wanted: Callable[[], Sequence[str]] = lambda: tuple(BODIES)) -> Iterator[Case]:
    """Random cases without end, of the bodies that are wanted; the same seed draws the same."""
    number = 0
    while True:
        number += 1
        chosen = random.Random(f"{seed}/{number}")
        body = chosen.choice(wanted())
        made = _any(chosen) if body == ANY else _layer(chosen, body)
        if made is not None:
            yield made


def _any(chosen: random.Random) -> Case:
    said = text(chosen)
    return Case(dg.parse(said)["Y"], said, ANY)


def _layer(chosen: random.Random, body: str) -> Case | None:
    """A layer's operation; None where there is no such layer. Of some, the sizes stay open."""
    boundary = second = "zeros"
    if chosen.random() >= (0.1 if body in (*BOUNDED, *CHAINS) else 0.7):
        boundary = chosen.choice(BOUNDARIES)
    if body in CHAINS:
        second = chosen.choice(BOUNDARIES)
    g = geometry(chosen)
    outputs = (g["i"] + g["pl"] + g["pr"] - g["d"] * (g["k"] - 1) - 1) // g["s"] + 1
    if not _allowed(boundary, g):
        return None
    more = {"a": chosen.randint(0, 2), "b": chosen.randint(1, 2), "c": chosen.randint(0, 1)}
    more |= _adapted(chosen, body, g["k"], outputs)
    if body == "step behind" and outputs < more["b"]:
        return None
    if body in (*CHAINS, "stacked") and not _allowed(second, {"i": outputs, "k": 2, **_both(more)}):
        return None
    values = {**g, "n": 2, "m": 2, "h": 2 * g["i"] + 2, "y": 1, "z": 3, **more}
    if body in ("map before", "two maps"):
        values["h"] = g["i"] + chosen.randint(0, 2)
    if body in ("circles", "map behind", "two maps"):
        values["q"] = outputs
    diagram = template(body, boundary, second)
    said = f"{body}, {boundary}, {second}, {values}"
    values = {w: v for w, v in values.items() if _has(diagram, w)}
    fixed = at(diagram, **values)
    if any(isinstance(e, int) and e < 1 for e in fixed.sizes.values()):
        return None
    if chosen.random() >= OPEN:
        return Case(fixed, said, body)
    symbols, _ = resolve_values(diagram, values)
    early = {e: v for e, v in symbols.items() if str(e) in diagram.parameters}
    if chosen.random() < 0.7:
        early |= {e: v for e, v in symbols.items() if str(e) == "k"}
    late = {e: v for e, v in symbols.items() if e not in early}
    return Case(diagram.substitute(early), f"{said}, sizes open", body, late)


def _adapted(chosen: random.Random, body: str, kernel: int, outputs: int) -> dict[str, int]:
    """The further numbers that a body asks for."""
    match body:
        case "step behind":
            b = chosen.randint(1, 2)
            return {"b": b, "c": chosen.randrange(b), "q": outputs // b}
        case "digits":
            b = max(1, kernel + chosen.choice((-1, 0, 0, 1)))
            return {"b": b, "c": 0, "o": outputs}
        case "mask":
            return {"c": chosen.choice((0, 1, 2, 30))}
        case _:
            return {}


def _both(more: Mapping[str, int]) -> dict[str, int]:
    return {"pl": more["c"], "pr": more["c"]}


def _allowed(boundary: str, g: Mapping[str, int]) -> bool:
    """A window fits, and what a boundary asks for: reflection an entry more than it pads, a circle
    as many."""
    widest = max(g["pl"], g["pr"])
    least = {"reflect": widest + 1, "circular": widest}.get(boundary, 0)
    reach = g.get("d", 1) * (g["k"] - 1) + 1
    return g["i"] >= least and g["i"] + g["pl"] + g["pr"] >= reach


def _has(diagram: Diagram, name: str) -> bool:
    wires = {w for o in diagram.operands for w in o.sizes} | set(diagram.sizes)
    inner = {w for term in diagram.terms for w in term.sizes}
    return name in diagram.parameters or name in wires | inner
