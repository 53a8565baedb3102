"""`diagrammar calibrate`: measure the rates of the cost model on this machine, and store them."""

from __future__ import annotations

import sys

from diagrammar.cli.inputs import Misuse
from diagrammar.cost import device as devices
from diagrammar.cost.calibrate import calibrate
from diagrammar.cost.cost import DEFAULT


def run(device: str, threads: int, *, show: bool, forget: bool) -> int:
    """Measure and store rates, or show or forget the stored ones; the exit status."""
    import torch
    from rich.console import Console
    from rich.table import Table

    if device == "cuda" and not torch.cuda.is_available():
        raise Misuse("torch finds no GPU", "leave --device out to calibrate the processor")
    if threads:
        torch.set_num_threads(threads)
    store = devices.rates_store()
    default = devices.CUDA if device == "cuda" else DEFAULT
    name = devices.name(device)
    if forget:
        store.forget()
        print(f"forgotten: {store.path}")
        return 0
    if show:
        known = store.get(name)
        rates = devices.read(known, default)
        title = name if known else f"{name}: defaults, not calibrated"
    else:
        with Console(stderr=True).status("measuring", spinner="dots") as status:
            rates = calibrate(default, device, lambda rate: status.update(f"measuring {rate}"))
        title = name
        if not store.put(name, devices.written(rates)):
            raise Misuse(f"cannot write '{store.path}'", "set DIAGRAMMAR_CACHE to another folder")
    table = Table(title=title, title_justify="left")
    table.add_column("rate")
    table.add_column("here", justify="right")
    table.add_column("default", justify="right")
    for rate, value in devices.written(rates).items():
        if rate not in ("dense_pattern", "library_discount", "itemsize"):
            table.add_row(rate, f"{value:.3g}", f"{getattr(default, rate):.3g}")
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    if not show:
        print(f"stored: {store.path}")
    return 0
