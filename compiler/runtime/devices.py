"""The device that plans are made for: its rates, measured once and stored, and its libraries.

The first plan for a processor, its threads and instruction set, or a GPU, measures the rates in
half a second and stores them in `rates.json` beside the measured plans; later processes read them.
`DIAGRAMMAR_CALIBRATE=off` measures nothing and reads nothing: plans are then the same on every
machine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import diagrammar.backends.torch.cuda  # which registers GPUs  # noqa: F401
from diagrammar.backends.torch.probes import probes, seconds
from diagrammar.cost.calibrate import Fit, fit
from diagrammar.cost.device import Device, model, read
from diagrammar.cost.pricing import work
from diagrammar.cost.store import Store, folder

SWITCH = "DIAGRAMMAR_CALIBRATE"
"""The variable of the environment that forbids measuring."""
_measured: dict[str, dict[str, Any]] = {}
"""What this process has measured, where the disk does not take it."""


def rates_store(path: Path | None = None) -> Store:
    """Where rates are kept: `rates.json` beside the measured plans."""
    return Store(path or folder() / "rates.json")


def default(kind: str = "cpu", source: str = "shipped rates") -> Device:
    """A device that is the same everywhere, with the rates that are shipped: a CPU is one thread
    with AVX-512."""
    known = model(kind)
    return Device(kind, known.rates, known.shipped, source)


def device(kind: str = "cpu", store: Store | None = None, *, measure: bool = True) -> Device:
    """The device with its own rates; with the shipped ones where measuring is forbidden, not asked
    for, or explains its own measurements badly."""
    if os.environ.get(SWITCH) == "off":
        return default(kind, f"shipped rates, {SWITCH}=off")
    store, key = store or rates_store(), model(kind).name()
    entry = _measured.get(key) or _read(store, key)
    if entry is None or (read(entry) is None and "bad" not in entry):
        if not measure or not _may_measure(kind):
            said = "shipped rates: none measured here"
            return _unmeasured(kind, said)
        entry = calibrated(kind, store)
    return from_entry(kind, entry)


def from_entry(kind: str, entry: Mapping[str, Any]) -> Device:
    """The device with stored rates."""
    rates = read(entry)
    if rates is None:
        said = f"shipped rates: measured ones are not used, {entry.get('bad')}"
        return _unmeasured(kind, said)
    return Device(
        kind,
        rates,
        model(kind).library(),
        f"rates measured here, {entry.get('fit', '')}",
        measured=True,
    )


def _unmeasured(kind: str, said: str) -> Device:
    """The device at hand with shipped rates."""
    known = model(kind)
    return Device(kind, known.rates, known.library(), said)


def calibrated(kind: str, store: Store | None = None) -> dict[str, Any]:
    """Measure the rates and store them; what is stored."""
    found = measured(kind)
    entry: dict[str, Any] = {"bad": str(found)}
    if found.good:
        entry = {**found.rates._asdict(), "fit": str(found)}
    key = model(kind).name()
    if not (store or rates_store()).put(key, entry):
        _measured[key] = entry
    return entry


def measured(kind: str) -> Fit:
    """The rates of the device, with PyTorch's present threads on a CPU. In a thread of its own:
    modes that the caller is in, such as a default device or fake tensors, are a thread's."""
    import torch

    threads = torch.get_num_threads()

    def run() -> Fit:
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        programs, known = list(probes()), model(kind)
        library, taken = known.library(), seconds(programs, kind, known.wait)
        return fit([work(p, library) for p in programs], taken, known.rates)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result()


def _may_measure(kind: str) -> bool:
    """Whether the device can run something now."""
    import torch

    return not torch.compiler.is_compiling() and model(kind).there()


def _read(store: Store, key: str) -> Mapping[str, Any] | None:
    """A stored entry; the file is read again when it has changed."""
    try:
        changed = store.path.stat().st_mtime_ns
    except OSError:  # there is none, or none that may be read
        return None
    return _stored(store.path, changed, key)


@cache
def _stored(path: Path, _changed: int, key: str) -> Mapping[str, Any] | None:
    return Store(path).get(key)
