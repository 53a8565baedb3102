"""What can go wrong with files: the scenes of `benchmarks.soak`, each with its own count of losses.

A scene gets an empty folder, a seeded source of chance and a number of rounds, and says what it
saw. Writers are processes of their own, which say on a pipe what they have stored for good.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from diagrammar.backends.torch.library import RATES
from diagrammar.cost import device as devices
from diagrammar.cost.store import Store
from diagrammar.plan.measure import digest, key, seconds
from diagrammar.replacing import write

ENTRY = {"seconds": {"a": 1.5, "b": 2.5}}
STORING = """
import sys
from pathlib import Path
from diagrammar.cost.store import Store
print("ready", flush=True)
for n in range(int(sys.argv[3])):
    name = f"{sys.argv[2]}.{n}"
    if Store(Path(sys.argv[1])).put(name, {"seconds": {"a": 1.5, "b": 2.5}}):
        print(name, flush=True)
"""
WRITING = """
import sys
from pathlib import Path
from diagrammar.replacing import write
print("ready", flush=True)
n = 0
while True:
    write(Path(sys.argv[1]), f"{sys.argv[2]}.{n}\\n" * 20_000)
    n += 1
"""
SAVING = """
import sys, torch
from diagrammar.networks.result import Curvature
print("ready", flush=True)
n = 0
while True:
    sums = {"layer": {"kfac_expand.A": torch.full((300, 300), float(n))}}
    about = {"layers": ["layer"], "what": ["kfac_expand"]}
    Curvature(sums, 1, about, {}).save(sys.argv[1])
    n += 1
"""


@dataclass(frozen=True)
class Seen:
    """What a scene counted: tries, entries or files that were lost or half there, files that were
    left behind, and what else was wrong; `note` says what was not tried."""

    tries: int
    lost: int = 0
    litter: int = 0
    wrong: int = 0
    note: str = ""

    @property
    def good(self) -> bool:
        """Nothing lost, left or wrong."""
        return not (self.lost or self.litter or self.wrong)


Scene = Callable[[Path, Random, int], Seen]


def _started(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _killed(process: subprocess.Popen[str], after: float) -> list[str]:
    """Kill a process some seconds after it is ready; what it had said by then, line by line."""
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(after)
    process.kill()
    said = process.stdout.read().splitlines(keepends=True)
    process.wait()
    return [line.strip() for line in said if line.endswith("\n")]


def _left(folder: Path, *ours: str) -> int:
    return len(set(os.listdir(folder)) - set(ours))


def writers(folder: Path, chance: Random, rounds: int) -> Seen:
    """Twenty processes store at the same time."""
    path, each = folder / "plans.json", max(1, rounds // 20)
    started = [_started(STORING, path, f"writer{n}", each) for n in range(20)]
    said = [process.communicate()[0].splitlines() for process in started]
    kept = Store(path).entries()
    expected = {f"writer{n}.{m}" for n in range(20) for m in range(each)}
    wrong = sum(process.returncode != 0 for process in started)
    told = {name for lines in said for name in lines[1:]}
    lost = len(told - kept.keys()) + len(expected - told)
    return Seen(len(expected), lost, _left(folder, path.name), wrong)


def killed_stores(folder: Path, chance: Random, rounds: int) -> Seen:
    """Processes are killed while they store, with others beside them."""
    path, told, wrong = folder / "plans.json", set(), 0
    for n in range(rounds):
        pair = [_started(STORING, path, f"round{n}.{m}", 10**6) for m in range(2)]
        told |= {line for p in pair for line in _killed(p, chance.uniform(0.0, 0.15))}
        try:
            wrong += json.loads(path.read_text())["version"] != 4
        except FileNotFoundError:
            wrong += bool(told)
        except ValueError:
            wrong += 1
    lost = int(not Store(path).put("last", ENTRY))  # which takes away what others left
    kept = Store(path).entries()
    return Seen(rounds * 2, lost + len(told - kept.keys()), _left(folder, path.name), wrong)


def killed_outputs(folder: Path, chance: Random, rounds: int) -> Seen:
    """Processes are killed while they write one file, which must be whole at any time."""
    path, lost = folder / "ops.py", 0
    for n in range(rounds):
        _killed(_started(WRITING, path, f"round{n}"), chance.uniform(0.0, 0.1))
        if path.exists():
            lines = path.read_text().splitlines()
            lost += len(lines) != 20_000 or len(set(lines)) != 1
    write(path, "")  # which takes away what the last one left
    return Seen(rounds, lost, _left(folder, path.name))


def killed_saves(folder: Path, chance: Random, rounds: int) -> Seen:
    """Processes are killed while they save curvature, which must be whole at any time."""
    from diagrammar.networks.result import Curvature

    path, lost = folder / "curvature.safetensors", 0
    for _ in range(rounds):
        _killed(_started(SAVING, path), chance.uniform(0.0, 0.2))
        if path.exists():
            try:
                made = Curvature.load(path).sums["layer"]["kfac_expand.A"]
                lost += bool((made != made[0, 0]).any())
            except Exception:  # whatever a damaged file raises
                lost += 1
    Curvature({}, 0, {}, {}).save(path)  # which takes away what the last one left
    return Seen(rounds, lost, _left(folder, path.name))


@contextmanager
def _limited(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes, as on a disk with so many left."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


def full_disks(folder: Path, chance: Random, rounds: int) -> Seen:
    """The disk ends at a random byte of what is written; what was there stays."""
    path, out = folder / "plans.json", folder / "ops.py"
    store, lost, wrong = Store(path), 0, 0
    stored = {str(n) for n in range(20) if store.put(str(n), ENTRY)}
    write(out, "before\n")
    for n in range(rounds):
        with _limited(chance.randrange(path.stat().st_size + 400)):
            if store.put(f"more{n}", ENTRY):
                stored.add(f"more{n}")
            text = "x" * chance.randrange(10_000)
            try:
                write(out, text)
            except OSError:
                text = ""
        if text:
            lost += out.read_text() != text
            write(out, "before\n")
        elif text == "" and out.stat().st_size:
            lost += out.read_text() != "before\n"
        else:
            write(out, "before\n")
        lost += len(stored - store.entries().keys())
    wrong += not _refused("/dev/full")
    return Seen(rounds, lost, _left(folder, path.name, out.name), wrong)


def _refused(device: str) -> bool:
    """Whether writing to a full device is an error."""
    if not os.path.exists(device):
        return True
    try:
        write(device, "x" * 10)
    except OSError:
        return True
    return False


def small_disk(folder: Path, chance: Random, rounds: int) -> Seen:
    """A file system of 64 KiB in memory, filled by entries until none fits."""
    mounted = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        made = subprocess.run(mounted, capture_output=True, check=False).returncode == 0
    except OSError:
        made = False
    if not made:
        return Seen(0, note="no right to mount a file system here")
    try:
        store, out = Store(folder / "plans.json"), folder / "ops.py"
        stored, lost = set(), 0
        write(out, "before\n" * 100)
        for n in range(rounds):
            if store.put(f"{n}", {**ENTRY, "more": "x" * chance.randrange(20_000)}):
                stored.add(str(n))
            with suppress(OSError):
                write(out, "before\n" * 100)
            lost += out.read_text() != "before\n" * 100
            lost += len(stored - store.entries().keys())
        full = len(stored) < rounds
        return Seen(rounds, lost, _left(folder, "plans.json", "ops.py"), int(not full))
    finally:
        subprocess.run(["umount", str(folder)], check=False)


def damaged(folder: Path, chance: Random, rounds: int) -> Seen:
    """Stores are cut, overwritten and refilled at random places: what is read is missing or can
    be true, and the next entry is stored."""
    path, wrong, lost = folder / "plans.json", 0, 0
    rates = RATES._asdict()
    name = key(["A", "B"], {})
    for _ in range(rounds):
        path.unlink(missing_ok=True)
        store = Store(path)
        store.put("rates", rates)
        store.put(name, {"seconds": {digest("A"): 1.5, digest("B"): 2.5}})
        path.write_bytes(_damage(path.read_bytes(), chance))
        now = [0.0]

        def ticking(now: list[float] = now) -> None:
            now[0] += 1.0

        try:
            read = devices.read(store.get("rates"))
            wrong += read is not None and not all(0 <= rate < 1 for rate in read)
            taken = seconds(
                ["A", "B"], {}, lambda: [ticking, ticking], store, lambda now=now: now[0]
            )
            wrong += not all(0 < t < 1e6 for t in taken)
            lost += not store.put("next", ENTRY) or "next" not in store.entries()
        except Exception:  # any at all is a fault
            wrong += 1
    return Seen(rounds, lost, _left(folder, path.name), wrong)


PIECES = (
    *(b"NaN", b"-1", b"0", b"0.0", b"-0.0", b"1e999", b"-Infinity", b"Infinity", b"null", b"true"),
    *(b"9" * 400, b'"x"', b"{}", b"[]", b"[" * 3000, b"\xff\xfe", b"\0", b"", b"}", b","),
)


def _damage(data: bytes, chance: Random) -> bytes:
    """The bytes after one of some accidents."""
    at = chance.randrange(len(data))
    match chance.randrange(5):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
        case 2:
            return data[:at] + bytes(chance.randrange(64)) + data[at + chance.randrange(64) :]
        case _:  # a number becomes something else
            digits = [n for n, c in enumerate(data) if c in b"123456789" and data[n - 1] in b" "]
            start = chance.choice(digits or [at])
            stop = start
            while stop < len(data) and data[stop] in b"0123456789.e-":
                stop += 1
            return data[:start] + chance.choice(PIECES) + data[stop:]


SCENES: dict[str, tuple[Scene, int, str]] = {
    "20 writers": (writers, 400, "entries"),
    "killed while storing": (killed_stores, 60, "kills"),
    "killed while writing": (killed_outputs, 60, "kills"),
    "killed while saving": (killed_saves, 20, "kills"),
    "full disk": (full_disks, 400, "limits"),
    "small disk": (small_disk, 200, "entries"),
    "damaged": (damaged, 600, "accidents"),
}
"""Each scene with its rounds of one turn, and what its tries are."""
