"""Rates from measurements: seconds of small programs as a sum of counted work, by non-negative
least squares (Lawson and Hanson, "Solving Least Squares Problems", 1974, chapter 23).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import median

from diagrammar.cost.device import Rates
from diagrammar.program.operations.work import Work

WELL = 1.5
"""Rates are used if they explain the median measurement within this factor."""
FAR = 100.0
"""Rates are used if they are all within this factor of the default, in either direction."""


@dataclass(frozen=True)
class Fit:
    """Rates, and how well they explain what they were fitted to.

    error: the factor by which the median estimate is off. unknown: rates that the measurements do
    not tell, which stand at the default, as much faster or slower as the others are.
    """

    rates: Rates
    error: float
    unknown: tuple[str, ...] = ()
    far: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether the rates may be used."""
        return self.error <= WELL and not self.far

    def __str__(self) -> str:
        said = f"the median of their measurements within {100 * (self.error - 1):.0f} %"
        if self.unknown:
            said += f"; not told apart: {', '.join(self.unknown)}"
        return said + (f"; far from any device known: {', '.join(self.far)}" if self.far else "")


def fit(works: Sequence[Work], seconds: Sequence[float], default: Rates) -> Fit:
    """The rates with the least relative errors of some measurements."""
    import numpy
    from scipy.optimize import nnls

    rows = numpy.array(works, dtype=float) / numpy.array(seconds, dtype=float)[:, None]
    scale = rows.max(0)
    scale[scale == 0] = 1.0
    found = nnls(rows / scale, numpy.ones(len(rows)))[0] / scale
    known = [n for n, rate in enumerate(found) if rate > 0]
    pace = exp(sum(log(found[n] / default[n]) for n in known if default[n]) / max(len(known), 1))
    rates = Rates(*(rate or pace * usual for rate, usual in zip(found, default, strict=True)))
    off = [abs(log(max(float(row @ found), 1e-9))) for row in rows]
    names = Rates._fields
    return Fit(
        rates,
        exp(median(off)),
        tuple(name for n, name in enumerate(names) if n not in known and default[n]),
        tuple(names[n] for n in known if default[n] and abs(log(found[n] / default[n])) > log(FAR)),
    )
