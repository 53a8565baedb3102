"""A device: what it is, the seconds of each kind of counted work, and the facts of its libraries.

`Device.seconds` is the only place where work becomes time: the search, the choice among candidates,
printed plans and pictures ask it.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from operator import mul
from pathlib import Path
from typing import Any, NamedTuple

from diagrammar.program.operations.work import Library, Work


class Rates(NamedTuple):
    """Seconds for one of each count of `Work`."""

    products: float
    library: float
    depthwise: float
    streamed: float
    strided: float
    reordered: float
    fresh: float
    views: float
    calls: float
    library_calls: float


@dataclass(frozen=True)
class Device:
    """Rates of a device, and what is known of its libraries.

    source: where the rates come from, in words for a printed plan. measured: they are of this
    device, and plans may be settled by its clock.
    """

    kind: str
    rates: Rates
    library: Library
    source: str = ""
    measured: bool = False

    def seconds(self, work: Work) -> float:
        """How long counted work takes."""
        return float(sum(map(mul, self.rates, work)))

    def with_rates(self, **rates: float) -> Device:
        """The device with other rates."""
        return replace(self, rates=self.rates._replace(**rates))


@dataclass(frozen=True)
class Model:
    """A kind of device, as a backend knows it.

    rates: what counts where none are measured. library: what is known of its libraries now, for
    the threads and instruction set at hand; shipped: the same, whatever those are. name: the device
    at hand, in words; rates are stored under it. wait: returns when all that was asked is done.
    """

    rates: Rates
    shipped: Library
    library: Callable[[], Library]
    name: Callable[[], str]
    there: Callable[[], bool] = lambda: True
    wait: Callable[[], None] | None = None


DEVICES: dict[str, Model] = {}
"""Kinds of devices by torch's word for them; one that is not here is planned for as a CPU."""


def model(kind: str) -> Model:
    """The kind of device."""
    return DEVICES.get(kind) or DEVICES["cpu"]


def read(rates: Mapping[str, Any] | None) -> Rates | None:
    """Stored rates; None where one is missing or cannot have been measured."""
    found: list[Any] = [(rates or {}).get(name) for name in Rates._fields]
    return Rates(*map(float, found)) if all(map(_may_be, found)) else None


def _may_be(rate: object) -> bool:
    """Whether a rate can have been measured: less than a second, or no time at all."""
    return isinstance(rate, int | float) and not isinstance(rate, bool) and 0 <= rate < 1


@cache
def processor() -> str:
    """The processor's name; on Linux from the kernel, which knows more than Python."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
