"""Environments of the matrix: lower bounds, pinned and newest versions, Pythons, single extras.

Bounds and extras are read from pyproject.toml, so a row cannot test another bound than the stated
one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNNER = ("pytest", "hypothesis", "numpy")
"""What an extra is tested with beside itself."""

PLAIN = (
    "tests/test_architecture.py",
    "tests/test_docs.py",
    "tests/cli",
    "tests/test_function.py",
    "tests/networks/test_curvature.py",
    "tests/networks/test_ekfac.py",
)
"""Files that a plain installation is put to: pages, docstrings, commands, functions, networks."""

ABOUT = {
    "notebook": ("tests/draw/test_notebook.py",),
    "save": ("tests/networks/test_curvature.py", "tests/networks/test_ekfac.py"),
    "curvlinops": ("tests/integrations",),
    "backpack": ("tests/integrations",),
    "singd": ("tests/integrations",),
    "zoo": ("tests/networks/test_zoo.py",),
    "libraries": ("tests/integrations", "tests/networks/test_curvature.py"),
}
"""Files that are about an extra. One without an entry is put to the plain ones."""


@dataclass(frozen=True)
class Row:
    """One environment.

    constraints: lines of a constraints file. install: what pip installs beside the package and its
    extras. tests: files and folders. newest: pip takes the newest of everything.
    """

    name: str
    python: Path
    extras: tuple[str, ...]
    constraints: tuple[str, ...]
    install: tuple[str, ...] = ()
    tests: tuple[str, ...] = ("tests",)

    @property
    def folder(self) -> str:
        """Its name as that of a folder."""
        return re.sub(r"\W+", "-", self.name)


def project() -> dict[str, list[str]]:
    """Requirements of the package, under the name "", and of its extras."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"": found["dependencies"], **found["optional-dependencies"]}


def pinned() -> tuple[str, ...]:
    """The versions of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def lowest(*extras: str) -> tuple[str, ...]:
    """The least version of each requirement that the package, or an extra, admits."""
    entries = [entry for name in ("", *extras) for entry in project()[name]]
    found = dict(re.findall(r"^([\w.-]+)>=([\w.]+)", "\n".join(sorted(entries)), re.MULTILINE))
    return tuple(f"{name}=={version}" for name, version in found.items())


def torch_alone(constraints: tuple[str, ...], version: str) -> tuple[str, ...]:
    """Pinned versions with another torch, and whatever torchvision goes with it."""
    kept = (line for line in constraints if line.split("==")[0] not in ("torch", "torchvision"))
    return (*kept, version)


def pythons() -> dict[str, Path]:
    """Interpreters from 3.11 on, by version: those on the path, then pyenv's."""
    places = [shutil.which(f"python3.{minor}") for minor in range(11, 20)]
    places.append(shutil.which("python3"))
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    places += sorted(map(str, root.glob("versions/3.*/bin/python")))
    found: dict[str, Path] = {}
    for place in filter(None, places):
        code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([place, "-c", code], capture_output=True, text=True)
        version = done.stdout.strip()
        if not done.returncode and tuple(map(int, version.split("."))) >= (3, 11):
            found.setdefault(version, Path(place))
    return dict(sorted(found.items(), key=lambda item: int(item[0].split(".")[1])))


def rows() -> list[Row]:
    """All rows that this machine's interpreters allow, the most telling first."""
    found = pythons()
    python = next(iter(found.values()))
    torch = next(line for line in lowest() if line.startswith("torch=="))
    made = [Row("lowest versions", python, ("dev",), lowest("dev"))]
    made += [Row(f"Python {v}", p, ("dev",), pinned()) for v, p in reversed(found.items())]
    made += [Row("newest versions", python, ("dev",), ())]
    made += [Row("oldest torch", python, ("dev",), torch_alone(pinned(), torch))]
    made += [Row("no extra", python, (), pinned(), RUNNER, PLAIN)]
    for extra in project():
        if extra and extra != "dev":
            tests = ABOUT.get(extra, PLAIN)
            made.append(Row(f"extra {extra}", python, (extra,), pinned(), RUNNER, tests))
    return made
