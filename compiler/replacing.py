"""Files that are replaced whole or not at all: whoever reads one sees the old text or the new one.

Everything that writes for a user goes through here: the command line, reports, saved curvature and
the caches. What is written is a file without a name until it is complete, where the system has such
(Linux), so that a process that is killed leaves nothing behind; elsewhere it has a name of its own.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

READABLE = 0o666
"""The mode of a new file, of which the process's mask is taken off."""


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
    old text. With `named`, the path is one beside the target, for libraries that replace files by
    themselves; a process that is killed then leaves it behind. Raises OSError.
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
        part = _beside(target)
        try:
            os.link(source, part, follow_symlinks=True)
        except OSError:  # a system that gives such files no name, or a folder that is full
            with _named(target, known) as copy:
                shutil.copyfile(source, copy)
            return
        _move(part, target)


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


@contextmanager
def _named(target: Path, known: os.stat_result | None) -> Iterator[Path]:
    """A file of another name that then takes that of the target."""
    part = _beside(target)
    flags = os.O_RDWR | os.O_CLOEXEC
    handle = os.open(part, flags | os.O_CREAT | os.O_EXCL, READABLE)
    try:
        mode = stat.S_IMODE(os.fstat(handle).st_mode)
        os.close(handle)
        yield part
        handle = os.open(part, flags)  # which may be another file by now
        try:
            if hasattr(os, "fchmod"):
                os.fchmod(handle, mode)
            _finish(handle, known)
        finally:
            os.close(handle)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _move(part, target)


def _move(part: Path, target: Path) -> None:
    try:
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _beside(target: Path) -> Path:
    """A free name in the target's folder; short, since the target's may be as long as names get."""
    return target.with_name(f".diagrammar-{secrets.token_hex(8)}.part")


def _finish(handle: int, known: os.stat_result | None) -> None:
    """The mode and, where that is allowed, the group of the file before; all of it on the disk."""
    if known is not None and hasattr(os, "fchmod"):
        with suppress(OSError):
            os.fchown(handle, -1, known.st_gid)
        os.fchmod(handle, stat.S_IMODE(known.st_mode))
    os.fsync(handle)
