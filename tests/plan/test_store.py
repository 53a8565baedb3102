"""The store of measurements: many writers, shared folders, damaged files, entries of any age."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from diagrammar.cost import store as module
from diagrammar.cost.store import AGE, VERSION, Store
from diagrammar.plan.measure import digest, key, seconds

WRITER = """
import sys
from pathlib import Path
from diagrammar.cost.store import Store
for n in range(int(sys.argv[2])):
    assert Store(Path(sys.argv[1])).put(f"{sys.argv[3]}.{n}", {"n": n})
"""
HOLDER = """
import fcntl, os, signal, sys
handle = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(handle, fcntl.LOCK_EX)
print("held", flush=True)
signal.pause()
"""


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_writers_side_by_side_keep_all_entries(tmp_path: Path) -> None:
    path = tmp_path / "plans.json"
    writers = [python(WRITER, path, 10, name) for name in "abcd"]
    assert [writer.wait() for writer in writers] == [0] * 4
    assert set(Store(path).entries()) == {f"{name}.{n}" for name in "abcd" for n in range(10)}
    assert os.listdir(tmp_path) == ["plans.json"]


def test_who_holds_the_lock_for_too_long_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "plans.json")
    holder = python(HOLDER, tmp_path)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        monkeypatch.setattr(module, "PATIENCE", 0.05)
        assert not store.put("k", {"n": 1})
    finally:
        holder.kill()
        holder.wait()
    monkeypatch.undo()
    assert store.put("k", {"n": 1})  # whoever is killed lets go


def test_a_shared_folder_stays_shared(tmp_path: Path) -> None:
    """The file is a link to one of a group; its mode stays, and the link; no lock is left."""
    shared, own = tmp_path / "shared", tmp_path / "own"
    shared.mkdir()
    own.mkdir()
    (shared / "plans.json").write_text("{}")
    (shared / "plans.json").chmod(0o664)
    (own / "plans.json").symlink_to(shared / "plans.json")
    assert Store(own / "plans.json").put("k", {"n": 1})
    assert (own / "plans.json").is_symlink()
    assert stat.S_IMODE((shared / "plans.json").stat().st_mode) == 0o664
    assert "k" in Store(shared / "plans.json").entries()
    assert os.listdir(shared) == os.listdir(own) == ["plans.json"]
    Store(own / "plans.json").forget()
    assert os.listdir(shared) == []
    assert Store(own / "plans.json").put("k", {"n": 2})
    assert os.listdir(shared) == ["plans.json"]


def test_a_new_file_can_be_read_by_whom_the_mask_allows(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        assert Store(tmp_path / "plans.json").put("k", {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "plans.json").stat().st_mode) == 0o664


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("at", "counts"),
    [
        *((NOW, True), (NOW - AGE + 60, True), (NOW + 60, True), (int(NOW), True)),
        *((NOW - AGE - 60, False), (NOW + 2 * 86_400, False), (0, False), (-1, False)),
        *((None, False), ("now", False), (True, False), (10**400, False)),
        *((float("nan"), False), (float("inf"), False), (-float("inf"), False)),
    ],
)
def test_entries_expire(
    at: Any, counts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW)
    path = tmp_path / "plans.json"
    path.write_text(json.dumps({"version": VERSION, "plans": {"k": {"n": 1, "at": at}}}))
    assert (Store(path).get("k") is not None) == counts
    assert Store(path).put("other", {})
    assert ("k" in path.read_text()) == counts  # and leave the file
    path.write_text(json.dumps({"version": VERSION, "plans": {"k": {"n": 1}}}))
    assert Store(path).get("k") is None


def test_the_oldest_entries_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENTRIES", 3)
    store = Store(tmp_path / "plans.json")
    for n in range(5):
        monkeypatch.setattr(time, "time", lambda n=n: NOW + n)
        assert store.put(str(n), {})
    assert sorted(store.entries()) == ["2", "3", "4"]


@pytest.mark.parametrize("what", ["pipe", "device", "folder", "socket", "large", "link to itself"])
def test_what_is_no_file_of_ours_is_empty_and_harmless(what: str, tmp_path: Path) -> None:
    path = tmp_path / "plans.json"
    match what:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case "socket":
            import socket

            with socket.socket(socket.AF_UNIX) as made:
                made.bind(str(path))
        case "large":
            with open(path, "wb") as file:
                file.truncate(module.LARGEST + 1)
        case _:
            path.symlink_to(path)
    assert Store(path).get("k") is None
    assert Store(path).entries() == {}


TIMES = [0.0, -0.0, -1.0, float("nan"), float("inf"), -float("inf"), 1e300, 1, True, None, "1", [1]]


@pytest.mark.parametrize("bad", TIMES)
def test_a_time_that_cannot_be_is_measured_again(bad: Any, tmp_path: Path) -> None:
    store = Store(tmp_path / "plans.json")
    store.put(key(["A", "B"], {}), {"seconds": {digest("A"): bad, digest("B"): 1.0}})
    now, called = [0.0], []

    def taking(name: str, duration: float) -> Callable[[], None]:
        def call() -> None:
            called.append(name)
            now[0] += duration

        return call

    def calls() -> list[Callable[[], None]]:
        return [taking("A", 2.0), taking("B", 3.0)]

    assert seconds(["A", "B"], {}, calls, store, lambda: now[0]) == [2.0, 3.0]
    assert called
    called.clear()
    assert seconds(["A", "B"], {}, calls, store, lambda: now[0]) == [2.0, 3.0]
    assert called == []


def test_a_clock_that_stands_still_stores_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "plans.json")
    calls = [lambda: None, lambda: None]
    assert seconds(["A", "B"], {}, lambda: calls, store, lambda: 1.0) == [0.0, 0.0]
    assert store.entries() == {}
