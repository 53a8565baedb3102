"""Files that are replaced whole or not at all: whoever reads one sees the old text or the new one.

Everything that writes for a user goes through here: the command line, reports, saved curvature and
the caches. What is written is a file without a name until it is complete, where the system has such
(Linux), else one in a hidden folder. What a process leaves that is killed at the last moment, the
next one that writes there takes away.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # no such locks
    fcntl = None  # type: ignore[assignment]

READABLE = 0o666
"""The mode of a new file, of which the process's mask is taken off."""

TRIES = 1000
"""How often a writer that meets others at one name tries again."""


def write(path: str | os.PathLike[str], text: str) -> Path:
    """Write a text as UTF-8, with `\\n` at line ends; the path. Raises OSError if that cannot be
    done, and then leaves what was there."""
    with replacing(path) as part, open(part, "w", encoding="utf-8", newline="\n") as stream:
        stream.write(text)
    return Path(path)


@contextmanager
def replacing(path: str | os.PathLike[str], *, named: bool = False) -> Iterator[Path]:
    """A path to write to, whose file takes the place of `path` when the block is left.

    A link keeps pointing to its file, a file keeps its mode, and a pipe or a device is written
    into. If the block raises, or the disk is full, nothing has changed. Any number of threads and
    processes may replace one file; the last one wins. Other names of the file (hard links) keep the
    old text. With `named`, the path is one in a folder of its own, for libraries that replace files
    by themselves. Raises OSError.
    """
    target = Path(os.path.realpath(path))
    try:
        known = os.stat(target)
    except FileNotFoundError:
        known = None
    if known is not None and not stat.S_ISREG(known.st_mode):
        yield Path(path)  # and a folder is an error there
        return
    with nullcontext() if named else _nameless(target.parent) as handle:
        if handle is None:
            with _named(target, known) as part:
                yield part
            return
        source = Path(f"/proc/self/fd/{handle}")
        yield source
        _finish(handle, known)
        if not _linked(source, target):
            with _named(target, known) as copy:
                shutil.copyfile(source, copy)


@contextmanager
def _nameless(folder: Path) -> Iterator[int | None]:
    """A file without a name in a folder; None where there is no such thing."""
    handle = None
    if hasattr(os, "O_TMPFILE"):
        with suppress(OSError):
            handle = os.open(folder, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, READABLE)
    if handle is not None and not os.path.exists(f"/proc/self/fd/{handle}"):
        os.close(handle)
        handle = None
    try:
        yield handle
    finally:
        if handle is not None:
            os.close(handle)


def _linked(source: Path, target: Path) -> bool:
    """Give a file without a name that of the target; False where the system does not.

    It first gets a name beside it, the same for all writers of the target: one that was killed in
    between leaves a file that the next one takes away. Of two that meet there, the one whose file
    was taken away tries again, so that its text comes last.
    """
    part = target.with_name(f"{_prefix(target)}.part")
    for _ in range(TRIES):
        try:
            os.link(source, part, follow_symlinks=True)
        except FileExistsError:
            part.unlink(missing_ok=True)
            continue
        except OSError:
            return False
        try:
            os.replace(part, target)
        except FileNotFoundError:
            continue
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return True
    return False


@contextmanager
def _named(target: Path, known: os.stat_result | None) -> Iterator[Path]:
    """A file in a folder of its own beside the target, whose place it then takes. The folder is
    locked as long as somebody writes there; those that no process holds are taken away."""
    for old in target.parent.glob(f"{_prefix(target)}-*"):
        lock = _locked(old)
        if lock is not None:
            shutil.rmtree(old, ignore_errors=True)
            os.close(lock)
    folder, lock = _own_folder(target)
    part = folder / "part"
    try:
        part.touch(READABLE)  # for the mode of a new file
        mode = stat.S_IMODE(part.stat().st_mode)
        yield part
        handle = os.open(part, os.O_RDWR | os.O_CLOEXEC)  # another file than before, perhaps
        try:
            if hasattr(os, "fchmod"):
                os.fchmod(handle, mode)
            _finish(handle, known)
        finally:
            os.close(handle)
        os.replace(part, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _own_folder(target: Path) -> tuple[Path, int | None]:
    """A new folder beside the target, and the handle that locks it (None without such locks)."""
    for _ in range(10):
        folder = target.with_name(f"{_prefix(target)}-{secrets.token_hex(8)}")
        folder.mkdir(mode=0o700)
        lock = _locked(folder)
        if fcntl is None or (lock is not None and folder.exists()):
            break
        if lock is not None:  # another writer took it away before it was locked
            os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)
    else:  # a file system without locks
        folder.mkdir(mode=0o700)
        lock = None
    return folder, lock


def _locked(folder: Path) -> int | None:
    """The handle that locks a folder; None where another process or thread has it, it is gone, or
    there are no locks."""
    if fcntl is None:
        return None
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _prefix(target: Path) -> str:
    """How what is written for a target is called meanwhile; short, since the target's name may be
    as long as names get."""
    return f".diagrammar-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}"


def _finish(handle: int, known: os.stat_result | None) -> None:
    """The mode and, where that is allowed, the group of the file before; all of it on the disk."""
    if known is not None and hasattr(os, "fchmod"):
        with suppress(OSError):
            os.fchown(handle, -1, known.st_gid)
        os.fchmod(handle, stat.S_IMODE(known.st_mode))
    os.fsync(handle)
