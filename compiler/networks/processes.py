"""Processes that wait for each other, and learn at once of each other's failures.

They have two means. The process group's *store* holds plain text: the data of each process, and the
first failure. Each process looks there between batches and while it waits, so that no process waits
in a collective that another will never join. A *ping* finds a process that is gone and can write
nothing: once a second a byte goes to the next process, by gloo, which fails at once where the
connection is closed. Tensors are communicated only after all processes have said that they are
ready.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from time import monotonic, sleep
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup, Work

Judge = Callable[[list[dict[str, Any]]], "str | None"]

HEAR, PING = 0.02, 1.0
"""Seconds between two looks into the store, and between two pings."""
GRACE = 3.0
"""Seconds that the first process, which may hold the store, waits until others have read it."""
TAG = 0x6467
"""The tag of pings among a group's messages."""

_SENT: WeakKeyDictionary[Any, list[Any]] = WeakKeyDictionary()
"""Pings of each group that no process has received yet, left by a call that failed. They must be
kept: a connection breaks when the next call of the other side asks for a message that is freed."""


class Processes:
    """The processes of a group while they make one result; a context manager.

    An exception inside it becomes an error of all: RuntimeError with the process, the type and the
    text. The process that raised it raises its own exception.
    """

    def __init__(self, group: ProcessGroup | None) -> None:
        from torch import distributed, zeros
        from torch.distributed import distributed_c10d

        if not (distributed.is_available() and distributed.is_initialized()):
            raise RuntimeError("torch.distributed is not initialised: init_process_group first")
        self.rank, self.size = distributed.get_rank(group), distributed.get_world_size(group)
        if self.rank < 0:
            raise RuntimeError("this process does not belong to the group")
        whole: Any = group or distributed.group.WORLD
        self.group, self.members = whole, distributed.get_process_group_ranks(whole)
        root: Any = distributed_c10d._get_default_store()
        self.timeout: float = _timeout(whole, root).total_seconds()
        shared = distributed_c10d.PrefixStore(f"diagrammar/{whole.group_name}", root)
        call = shared.add(f"calls/{self.rank}", 1)  # each call has its own keys
        self.store = distributed_c10d.PrefixStore(f"{call}", shared)
        self.common: str | None = None  # the words of a failure that all processes raise
        self._line = whole if _is_gloo(whole) else None
        self._own_line = False
        self._byte, self._last = zeros(1), zeros(1) + 1
        self._sent = _SENT.setdefault(whole, [])
        self._next_look = self._next_ping = 0.0

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._tell(error)
        if self._own_line:
            from torch import distributed

            distributed.destroy_process_group(self._line)

    # -- agreeing ----------------------------------------------------------------------------------

    def agree(self, stage: str, data: Mapping[str, Any], judge: Judge) -> list[dict[str, Any]]:
        """The data of all processes, once all have sent theirs and `judge` finds no fault in it.

        Raises RuntimeError on all with the judge's words.
        """
        keys = [f"{stage}/{rank}" for rank in range(self.size)]
        self.store.set(keys[self.rank], json.dumps(data, default=repr))
        everybody = f"{stage}/all"

        def late() -> str:
            missing = [r for r, key in enumerate(keys) if not self.store.check([key])] or [0]
            return _late(stage, missing, self.timeout)

        if self.rank == 0:
            self.wait(lambda: self.store.check(keys), late)
            headers = [json.loads(self.store.get(key)) for key in keys]
            problem = judge(headers)
            if problem is not None:
                raise self._in_common(problem)
            self.store.set(everybody, json.dumps(headers))
            for key in keys:
                self.store.delete_key(key)
        self.wait(lambda: self.store.check([everybody]), late)
        if self._line is None:
            self._open_line()
        heard: list[dict[str, Any]] = json.loads(self.store.get(everybody))
        return heard

    def wait(self, done: Callable[[], bool], late: Callable[[], str]) -> None:
        """Wait until `done`. Raises RuntimeError as soon as another process fails, and after the
        group's time-out."""
        began, pause = monotonic(), 1e-4
        while not self._ask(done):
            self.listen()
            if monotonic() - began > self.timeout:
                raise self._in_common(late())
            sleep(pause)
            pause = min(2 * pause, HEAR)

    def communicate(self, works: Iterable[Work]) -> None:
        """Wait for collectives that all processes have begun."""
        try:
            for work in works:
                self.wait(work.is_completed, lambda: _late("sums", [], self.timeout))
                work.wait()
        except RuntimeError as error:
            if self.common is None:
                self._reason(f"the sums could not be communicated: {_first_line(error)}", error)
            raise

    # -- hearing -----------------------------------------------------------------------------------

    def listening(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Yield the batches; before each, look at the other processes."""
        for batch in batches:
            self.listen()
            yield batch

    def listen(self) -> None:
        """Raise RuntimeError where another process has failed or is gone."""
        now = monotonic()
        if now < self._next_look:
            return
        self._next_look = now + HEAR
        if self._ask(lambda: self.store.check(["failed"])):
            raise self._in_common(self.store.get("failed").decode())
        if now >= self._next_ping and self.size > 1 and self._line is not None:
            self._next_ping = now + PING
            self._ping(self._byte)

    def _ping(self, byte: Any) -> None:
        """Send a byte to the next process. Raises RuntimeError where that process is gone."""

        from torch.distributed import isend

        following = (self.rank + 1) % self.size
        try:
            work = isend(byte, self.members[following], self._line, TAG)
        except RuntimeError as error:
            self._reason(f"process {following} is gone: it was killed, or has ended", error)
        self._sent.append((work, byte))

    def end_pings(self) -> None:
        """Receive the bytes from the process before, so that no message stays in the group."""
        from torch import zeros
        from torch.distributed import recv

        if self._line is None or self._own_line or self.size == 1:
            return
        self._ping(self._last)
        byte = zeros(1)
        try:
            while not byte.item():
                recv(byte, self.members[self.rank - 1], self._line, TAG)
            for work, _ in self._sent:
                work.wait()
            self._sent.clear()
        except RuntimeError as error:
            self._reason(f"a process next to {self.rank} is gone", error)

    def _open_line(self) -> None:
        """Make a group of gloo for pings, where this group cannot send a byte between
        processors."""
        from torch import distributed

        if self.size == 1 or not distributed.is_gloo_available():
            return
        self._line = distributed.new_group(
            self.members, timedelta(seconds=self.timeout), "gloo", use_local_synchronization=True
        )
        self._own_line = True

    # -- telling -----------------------------------------------------------------------------------

    def _tell(self, error: BaseException) -> None:
        """Write the failure into the store, if it is the first."""
        text = self.common or f"process {self.rank}: {type(error).__name__}: {error}".strip(": ")
        try:
            if not self.store.check(["failed"]):
                self.store.set("failed", text)
            heard = self.store.add("heard", 1)
            end = monotonic() + GRACE
            while self.members[self.rank] == 0 and heard < self.size and monotonic() < end:
                sleep(HEAR)  # the store ends with its process
                heard = self.store.add("heard", 0)
        except RuntimeError:  # the store is gone, which the others notice themselves
            pass

    def _ask(self, question: Callable[[], bool]) -> bool:
        """Ask the store. Raises RuntimeError where the process that holds it is gone."""
        from torch.distributed import DistNetworkError

        try:
            return question()
        except DistNetworkError as error:
            self.common = "the process that holds the group's store, process 0, is gone"
            raise RuntimeError(f"{self.common}; its own output may say why") from error

    def _reason(self, otherwise: str, error: BaseException) -> NoReturn:
        """Raise the failure that another process wrote, or the words `otherwise` for all."""
        end = monotonic() + 10 * HEAR  # another process may be about to write it
        while monotonic() < end:
            if self._ask(lambda: self.store.check(["failed"])):
                raise self._in_common(self.store.get("failed").decode()) from error
            sleep(HEAR)
        raise self._in_common(otherwise) from error

    def _in_common(self, text: str) -> RuntimeError:
        """Make an error whose words all processes have in common."""
        self.common = text
        return RuntimeError(text)


def _late(stage: str, missing: list[int], timeout: float) -> str:
    """The words for processes that are late."""
    who = f"process{'es' * (len(missing) > 1)} {', '.join(map(str, missing))}" if missing else ""
    after = f"after {timeout:g} s, the group's time-out (init_process_group has it)"
    if stage == "start":
        return (
            f"{who} did not come to dg.curvature {after}: does every process call it, as often as "
            "the others and with distributed=True or the same group, and do none of them wait?"
        )
    if missing:
        return f"{who} did not finish its part of the data {after}: are parts of like size?"
    return f"the sums are not communicated {after}"


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def _is_gloo(group: Any) -> bool:
    """Whether a group sends tensors on the processor by gloo."""
    from torch import device

    try:
        return "gloo" in group._get_backend(device("cpu")).name()
    except RuntimeError:  # no backend for the processor
        return False


def _timeout(group: Any, store: Any) -> timedelta:
    """The time-out of a group, which only its backends know; else the store's."""
    for device in group._device_types:
        options = getattr(group._get_backend(device), "options", None)
        own = getattr(options, "_timeout", None)
        if isinstance(own, timedelta):
            return own
    default: timedelta = store.timeout
    return default
