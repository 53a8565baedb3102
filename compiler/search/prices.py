"""Seconds of what the search does, before it is known how values lie."""

from __future__ import annotations

from diagrammar.cost.device import Device
from diagrammar.program.operations.work import ITEM, Library, Work, copied, moved, multiplied


class Prices:
    """The seconds of moves on a device. Seconds are linear in work, and products are asked for
    most: what a multiplication, an entry and a call of one take is asked once."""

    def __init__(self, device: Device) -> None:
        self.device = device
        nothing, one = multiplied(0, 0, 0, self.library), multiplied(1, 0, 0, self.library)
        entry = multiplied(0, 1, 0, self.library)
        start = self.seconds(nothing)
        self._call = start + self.seconds(Work(calls=1))  # one side is often brought in order
        self._multiplied, self._touched = (self.seconds(w) - start for w in (one, entry))
        self._fresh, self._largest = self.seconds(Work(fresh=ITEM)), self.library.page / ITEM

    @property
    def library(self) -> Library:
        """What is known of the device's libraries."""
        return self.device.library

    def seconds(self, work: Work) -> float:
        """How long counted work takes."""
        return self.device.seconds(work)

    def contraction(self, swept: int, read: int, written: int) -> float:
        """A product of matrices with `swept` multiplications that reads and writes entries."""
        result = self._fresh if written > self._largest else self._touched
        return swept * self._multiplied + read * self._touched + written * result + self._call

    def copy(self, entries: int) -> float:
        """Something that reads and writes entries in another order."""
        return self.seconds(copied(entries, self.library))

    def summed(self, entries: int) -> float:
        """A sum that reads entries in another order than they lie in."""
        return self.seconds(moved(2 * entries, 0, self.library, scattered=True))
