"""Which rates the cost model uses: those measured on this device, or the defaults.

Nothing is measured here. `diagrammar calibrate` measures the rates of a device once and stores them
(`cost.calibrate`); later processes find them by the device's name, its threads and torch's version.
Without, plans are the same on every machine.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from diagrammar.cost.calibrate import BOUND
from diagrammar.cost.cost import DEFAULT, Machine
from diagrammar.cost.store import Store, folder

CUDA = Machine(
    call=1.5e-6,
    launch=6e-6,
    library=2e-5,
    image=0.0,
    weight=4e-12,
    byte=1 / 1.5e12,
    scattered=1 / 5e11,
    reorder=1 / 1e12,
    fresh=0.0,
    product=1 / 2e13,
    entry=1e-12,
    matrix=1e-9,
    convolution=1 / 1.5e13,
    depthwise=1 / 1e12,
    slow=1.0,
    depthwise_weight=1 / 2e10,
    wide=1.0,
)
"""A current data-centre GPU in float32, from data sheets; not measured."""


SLACK = 1.001
"""What a rate at a bound may be beyond it by rounding."""


def rates_store(path: Path | None = None) -> Store:
    """Where rates are kept: `rates.json` beside the measured plans."""
    return Store(path or folder() / "rates.json")


def machine(kind: str = "cpu", store: Store | None = None) -> Machine:
    """The rates for `"cpu"` or `"cuda"`: measured ones where there are some."""
    default = CUDA if kind == "cuda" else DEFAULT
    kept = store or rates_store()
    try:
        changed = kept.path.stat().st_mtime_ns
    except OSError:  # there are none, or none that may be read
        return default
    return read(_stored(kept.path, changed, name(kind)), default)


@cache
def _stored(path: Path, _changed: int, key: str) -> Mapping[str, Any] | None:
    return Store(path).get(key)


def read(rates: Mapping[str, Any] | None, default: Machine) -> Machine:
    """Stored rates; the defaults for what is missing, unknown or cannot have been measured: no
    number, zero, or beyond the bounds of `cost.calibrate`."""
    known = {f.name for f in fields(Machine)} - {"dense_pattern", "library_discount", "itemsize"}
    good = {
        n: v
        for n, v in (rates or {}).items()
        if n in known and _may_be(v, getattr(default, n), free=n == "fresh")
    }
    return replace(default, **good)


def _may_be(rate: object, usual: float, *, free: bool) -> bool:
    """Whether a stored rate can be what `calibrate` found where the default is the `usual` one; of
    those that count something, only an integer. `free`: whether it may be as low as zero."""
    if isinstance(rate, bool) or not isinstance(
        rate, int if isinstance(usual, int) else int | float
    ):
        return False
    if not usual:
        return 0 <= rate < 1
    least = 0 if free else usual / (BOUND * SLACK)
    return least <= rate <= usual * BOUND * SLACK


def written(rates: Machine) -> dict[str, float]:
    """Rates as they are stored."""
    return asdict(rates)


def name(kind: str) -> str:
    """A device as rates are stored for it: what it is, its threads, torch's version."""
    import torch

    if kind == "cuda":
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    capability = torch.backends.cpu.get_cpu_capability()
    threads = torch.get_num_threads()
    said = f"{processor()} {capability}, {os.cpu_count()} cores, {threads} threads"
    return f"{said}, torch {torch.__version__}"


@cache
def processor() -> str:
    """The processor's name; on Linux from the kernel, which knows more than Python."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
