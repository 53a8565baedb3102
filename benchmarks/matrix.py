"""The test suite on the versions that pyproject.toml admits: `make matrix`.

A row is an environment of its own: the lower bounds of all dependencies, each Python that is found,
the newest of everything, the oldest torch among pinned versions, and each extra alone. Test files
run one by one, and what one said is kept below out/matrix, so an interrupted run goes on where it
was. A change of sources, tests or bounds begins anew; with `--older`, what older ones said counts
where a file passed, and the table says so. An environment is removed when its row is done. The
first run loads several builds of torch, some with libraries for GPUs: 20 GB in all, 6 GB at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any
from xml.etree import ElementTree

import typer
from rich.progress import Progress

from benchmarks import results
from benchmarks.matrix_rows import ROOT, Row, rows
from benchmarks.progress import tracked
from benchmarks.results import Sheet

FOLDER = ROOT / "out" / "matrix"
SOURCES = ("backends", "compiler", "grammar", "tests", "pyproject.toml", "constraints.txt")
SHOWN = ("torch", "numpy", "sympy", "networkx", "typer", "lark", "rich")
"""Distributions whose versions the table has."""


@dataclass
class Found:
    """What a row has said so far: for each file its counts and the sources that it ran on."""

    name: str
    python: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    installed: str = ""
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    todo: int = 0
    """Files that have not run."""

    @property
    def counts(self) -> Counter[str]:
        """Passed, failed and skipped tests of all files."""
        kinds = ("passed", "failed", "skipped")
        return Counter({k: sum(counts[k] for counts in self.files.values()) for k in kinds})

    @property
    def failures(self) -> list[str]:
        """The tests that failed."""
        return [name for counts in self.files.values() for name in counts["failures"]]


def tracked_files() -> list[str]:
    """What git knows or would know of the working tree."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True)
    return sorted(name for name in done.stdout.split("\0") if (ROOT / name).is_file())


def state() -> str:
    """A digest of all that a row depends on."""
    digest = hashlib.sha256()
    for name in tracked_files():
        if name.startswith(SOURCES):
            digest.update(name.encode() + b"\0" + (ROOT / name).read_bytes())
    return digest.hexdigest()[:12]


class Environment:
    """A row's folder: a copy of the sources, an interpreter with its packages, what was found."""

    def __init__(self, row: Row, current: str, *, older: bool) -> None:
        self.row, self.current = row, current
        self.folder = FOLDER / row.folder
        self.source, self.venv = self.folder / "source", self.folder / "venv"
        self.python = self.venv / "bin" / "python"
        self.found = self._stored(older=older)

    def _stored(self, *, older: bool) -> Found:
        """What was found, without the files that are to run again."""
        path = self.folder / "found.json"
        if not path.exists():
            return Found(self.row.name)
        found = Found(**json.loads(path.read_text(encoding="utf-8")))
        for name, counts in list(found.files.items()):
            if counts["state"] != self.current and (counts["failed"] or not older):
                del found.files[name]
        return found

    def store(self) -> None:
        """Keep what was found."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self.found), indent=1, ensure_ascii=False)
        (self.folder / "found.json").write_text(text, encoding="utf-8")

    def run(self, command: list[str], log: str) -> int:
        """The exit status of a command within the copy; what it prints goes to a log."""
        hidden = ("CI", "PYTHONPATH", "VIRTUAL_ENV")
        kept = {name: value for name, value in os.environ.items() if name not in hidden}
        with (self.folder / log).open("w", encoding="utf-8") as output:
            return subprocess.run(
                command,
                cwd=self.source,
                env={**kept, "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            ).returncode

    def copy(self) -> None:
        """The working tree as it is, without what git ignores."""
        shutil.rmtree(self.source, ignore_errors=True)
        for name in tracked_files():
            (self.source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, self.source / name)

    def install(self) -> bool:
        """Whether pip could install the row; the reason why not goes into what was found."""
        self.copy()
        extras = f"[{','.join(self.row.extras)}]" if self.row.extras else ""
        limits = self.folder / "constraints.txt"
        limits.write_text("\n".join(self.row.constraints), encoding="utf-8")
        if not self.python.exists():
            self.run([str(self.row.python), "-m", "venv", str(self.venv)], "venv.log")
        command = [str(self.python), "-m", "pip", "install", "--constraint", str(limits)]
        command += ["--config-settings", "editable_mode=strict"]
        status = self.run([*command, *self.row.install, "--editable", f".{extras}"], "pip.log")
        lines = (self.folder / "pip.log").read_text(encoding="utf-8").splitlines()
        errors = [line for line in lines if line.startswith("ERROR")]
        self.found.installed = "yes" if not status else "; ".join(errors[:2]) or "no"
        code = (
            "import json, platform\nfrom importlib.metadata import distributions\n"
            "print(json.dumps([platform.python_version(), "
            "{d.metadata['Name'].lower(): d.version for d in distributions()}]))"
        )
        self.run([str(self.python), "-c", code], "versions.log")
        if not status:
            text = (self.folder / "versions.log").read_text(encoding="utf-8")
            self.found.python, self.found.versions = json.loads(text)
        self.store()
        return not status

    def files(self) -> list[str]:
        """The test files of the row, those in folders last."""
        inside = [name for name in tracked_files() if Path(name).name.startswith("test_")]
        wanted = self.row.tests
        found = [n for n in inside if any(n == w or n.startswith(f"{w}/") for w in wanted)]
        return sorted(found, key=lambda name: (name.count("/"), name))

    def test(self, file: str) -> None:
        """Run one file and add what it said."""
        report = self.folder / "junit.xml"
        report.unlink(missing_ok=True)
        command = [
            str(self.python),
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            f"--junitxml={report}",
        ]
        log = f"{file.replace('/', '.')}.log"
        status = self.run([*command, file], log)
        counts = Counter[str]()
        failures: list[str] = []
        reasons = Counter[str]()
        for case in ElementTree.parse(report).iter("testcase") if report.exists() else ():
            name = f"{file}::{case.get('name')}"
            skip = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                counts["failed"] += 1
                failures.append(name)
            elif skip is not None:
                counts["skipped"] += 1
                reasons[skip.get("message") or ""] += 1
            else:
                counts["passed"] += 1
        if status not in (0, 1, 5) or not report.exists():
            counts["failed"] += 1
            failures.append(f"{file} ended with status {status}")
        kinds = {kind: counts[kind] for kind in ("passed", "failed", "skipped")}
        more = {"failures": failures, "reasons": dict(reasons), "state": self.current}
        self.found.files[file] = {**kinds, **more}

    def remove(self) -> None:
        """Free the disk: what was found and the logs stay."""
        shutil.rmtree(self.venv, ignore_errors=True)
        shutil.rmtree(self.source, ignore_errors=True)

    def complete(self, progress: Progress, *, keep: bool) -> None:
        """Install the row where it is not done, and run the files that are left."""
        left = [file for file in self.files() if file not in self.found.files]
        self.found.todo = len(left)
        task = progress.add_task(self.row.name, total=len(left))
        if left and self.install():
            for file in left:
                self.test(file)
                self.found.todo -= 1
                self.store()
                progress.advance(task)
        progress.update(task, visible=False)
        if not keep:
            self.remove()


def sheet(found: list[Found], current: str) -> Sheet:
    """A line for each row."""

    def line(row: Found) -> tuple[str, ...]:
        counts = row.counts
        versions = (row.versions.get(name, "") for name in SHOWN)
        tests = (f"{counts[kind]:,}" for kind in ("passed", "failed", "skipped"))
        holds = "no: pip" if row.installed != "yes" else "NO" if counts["failed"] else "yes"
        if row.todo:
            holds = f"{holds.replace('yes', 'so far')}, {row.todo} files to run"
        return (row.name, row.python, *versions, *tests, holds)

    bad = frozenset(n for n, r in enumerate(found) if r.counts["failed"] or r.installed != "yes")
    notes = [f"{row.name}: {name}" for row in found for name in row.failures]
    notes += [f"{row.name}: {row.installed}" for row in found if row.installed != "yes"]
    old = [row for row in found if any(c["state"] != current for c in row.files.values())]
    if old:
        rows = ", ".join(row.name for row in old)
        notes.append(f"Some files last ran, and passed, on older sources: {rows}.")
    return Sheet(
        "the test suite on the versions that are admitted",
        ("row", "Python", *SHOWN, "passed", "failed", "skipped", "holds"),
        tuple(map(line, found)),
        notes=tuple(notes),
        bad=bad,
    )


def main(
    only: Annotated[list[str] | None, typer.Option("--row", help="Only these rows.")] = None,
    keep: Annotated[
        bool, typer.Option(help="Keep the environments of rows that are done.")
    ] = False,
    older: Annotated[bool, typer.Option(help="Files that passed on older sources count.")] = False,
    show: Annotated[bool, typer.Option(help="Run nothing: what was found so far.")] = False,
    save: Annotated[bool, typer.Option(help="Write results/matrix.md and .json.")] = False,
) -> None:
    """Run the test suite in every environment that is not done. Status 1 where one fails."""
    console, current = results.console(), state()
    chosen = [row for row in rows() if not only or row.name in only]
    found = []
    with tracked(console) as progress:
        for row in progress.track(chosen, description="environments"):
            environment = Environment(row, current, older=older)
            if not show:
                environment.complete(progress, keep=keep)
            found.append(environment.found)
    table = sheet([row for row in found if row.files or row.installed], current)
    console.print(table.rich())
    if save:
        command = "python -m benchmarks.matrix --save"
        console.print("written:", *results.save("matrix", command, [table], map(asdict, found)))
    sys.exit(1 if table.bad else 0)


if __name__ == "__main__":
    typer.run(main)
