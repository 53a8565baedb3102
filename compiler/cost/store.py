"""What was measured on a machine, on disk: a versioned JSON file in the user's cache directory.

Nothing is executed when it is read; a file that is damaged, of another version, or no file at all
(a pipe, a device) counts as empty, and an entry that is older than a year counts as missing. It is
replaced as a whole, so that a reader never sees half of it, and under a lock, so that what others
store at the same time stays. A folder may be shared: the file keeps its mode and its link.
`DIAGRAMMAR_CACHE` names another folder.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import uniform
from typing import Any

from diagrammar.replacing import write

try:
    import fcntl
except ImportError:  # no such locks: the last of two writers wins
    fcntl = None  # type: ignore[assignment]

VERSION = 4
AGE = 365 * 86_400
"""Seconds after which an entry counts as missing: libraries, drivers and machines change."""
AHEAD = 86_400
"""Seconds by which the clock of another machine may be ahead of ours."""
ENTRIES = 10_000
"""The most entries of a file; the oldest go first."""
LARGEST = 2**26
"""The most bytes of a file that is read."""
PATIENCE = 60.0
"""Seconds that a writer waits for others before it goes without storing."""


def folder() -> Path:
    """Where choices are kept."""
    given = os.environ.get("DIAGRAMMAR_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "diagrammar"
    try:
        return Path.home() / ".cache" / "diagrammar"
    except RuntimeError:  # a user without a home, as in some containers
        return Path(tempfile.gettempdir()) / "diagrammar"


class Store:
    """Entries by key, each with the time (`at`, in seconds since 1970) when it was stored; `path`
    is `folder()/plans.json` unless given."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or folder() / "plans.json"

    def entries(self) -> dict[str, dict[str, Any]]:
        """All that is stored and not too old; nothing if the file is missing or damaged."""
        try:
            data = json.loads(_read(self.path))
        except (OSError, ValueError, RecursionError, MemoryError):
            return {}
        if not isinstance(data, dict) or data.get("version") != VERSION:
            return {}
        found = data.get("plans")
        now = time.time()
        return {
            key: entry
            for key, entry in (found.items() if isinstance(found, dict) else ())
            if isinstance(entry, dict) and _is_recent(entry.get("at"), now)
        }

    def get(self, key: str) -> dict[str, Any] | None:
        """What was stored under a key."""
        return self.entries().get(key)

    def put(self, key: str, value: Mapping[str, Any]) -> bool:
        """Store under a key, beside what others store; False where the disk does not allow it, or
        others do not come to an end."""
        entry = {**value, "at": time.time()}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            target = Path(os.path.realpath(self.path))
            with _locked(target.parent):
                plans = {**self.entries(), key: entry}
                for old in sorted(plans, key=lambda name: plans[name]["at"])[:-ENTRIES]:
                    del plans[old]
                data = {"version": VERSION, "plans": plans}
                write(target, json.dumps(data, indent=1, sort_keys=True))
        except OSError:
            return False
        return True

    def forget(self) -> None:
        """Remove the file; a link to it stays. Raises OSError where that is not allowed."""
        target = Path(os.path.realpath(self.path))
        (target if target.is_file() else self.path).unlink(missing_ok=True)


def _is_recent(at: object, now: float) -> bool:
    """Whether a time is within the last year."""
    return isinstance(at, int | float) and now - AGE <= at <= now + AHEAD


def _read(path: Path) -> str:
    """The text of a file. Raises OSError for what is none, or too large to be ours."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    with open(handle, "rb") as stream:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode) or about.st_size > LARGEST:
            raise OSError(f"{path} is no store")
        return stream.read().decode("utf-8")


@contextmanager
def _locked(where: Path) -> Iterator[None]:
    """Alone among all that store in a folder. The system opens the lock when a process ends,
    however it ends; no file is left, and nobody needs a right to write it. Raises OSError after
    `PATIENCE` seconds."""
    if fcntl is None:
        yield
        return
    handle = os.open(where, os.O_RDONLY | os.O_CLOEXEC)
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise
                time.sleep(uniform(1e-3, 5e-3))  # no longer for whoever waits longer
            except OSError:  # a file system without locks: the last of two writers wins
                break
        yield
    finally:
        os.close(handle)
