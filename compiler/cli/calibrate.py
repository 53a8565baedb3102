"""`diagrammar calibrate`: measure the rates of the cost model on this machine, and store them."""

from __future__ import annotations

import sys

from diagrammar.cli.inputs import Misuse
from diagrammar.cost.device import Rates, model, read
from diagrammar.runtime import devices

UNITS = {
    "products": "multiplications of matrices",
    "library": "multiplications of convolutions",
    "depthwise": "the same with one channel a group",
    "streamed": "bytes in order",
    "strided": "bytes in another order",
    "reordered": "bytes for a convolution",
    "fresh": "bytes on new pages",
    "views": "views",
    "calls": "calls",
    "library_calls": "convolution calls",
}
"""What each rate counts."""


def run(kind: str, threads: int, *, show: bool, forget: bool) -> int:
    """Measure and store rates, or show or forget the stored ones; the exit status."""
    import torch
    from rich.console import Console

    if kind == "cuda" and not torch.cuda.is_available():
        raise Misuse("torch finds no GPU", "leave --device out to calibrate the processor")
    if threads:
        torch.set_num_threads(threads)
    store = devices.rates_store()
    if forget:
        store.forget()
        print(f"forgotten: {store.path}")
        return 0
    if show:
        entry = store.get(model(kind).name()) or {}
    else:
        with Console(stderr=True).status("measuring", spinner="dots"):
            entry = devices.calibrated(kind, store)
        if store.get(model(kind).name()) is None:
            raise Misuse(f"cannot write '{store.path}'", "set DIAGRAMMAR_CACHE to another folder")
    found = devices.from_entry(kind, entry)
    said = found.source if entry else "shipped rates: not calibrated"
    _table(kind, said, read(entry))
    if not show:
        print(f"stored: {store.path}")
    return 0


def _table(kind: str, said: str, measured: Rates | None) -> None:
    """The rates that plans use, beside those that are shipped, in units a second."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table(title=f"{model(kind).name()}\n{said}", title_justify="left")
    for title in ("a second", "here", "shipped"):
        table.add_column(title, justify="left" if title == "a second" else "right")
    shipped = model(kind).rates
    for rate, what in UNITS.items():
        values = (getattr(measured, rate) if measured else None, getattr(shipped, rate))
        table.add_row(what, *(f"{1 / v:.3g}" if v else "—" for v in values))
    console.print(table)
