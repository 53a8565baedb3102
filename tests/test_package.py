"""The distribution: a wheel holds every file, installs one name, and works elsewhere."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import diagrammar as dg
from tests.hanging import HANG

ROOT = Path(__file__).parents[1]
SOURCES = {
    "compiler": "diagrammar",
    "grammar": "diagrammar/grammar",
    "backends": "diagrammar/backends",
}
SUFFIXES = (".py", ".tn", ".lark", ".typed")

SMOKE = """
import pathlib
import diagrammar as dg
import torch

assert pathlib.Path(dg.__file__).is_relative_to({target!r}), dg.__file__
spec = dg.shipped("conv2d")
x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
w = torch.randn(4, 3, 3, 3, dtype=torch.float64)
bias = torch.zeros(4, dtype=torch.float64)
found = spec["Y"].compile()(X=x, W=w, bias=bias)
assert torch.allclose(found, torch.nn.functional.conv2d(x, w, padding=1))
for bare in ("compiler", "grammar", "backends"):
    try:
        __import__(bare)
    except ModuleNotFoundError:
        continue
    raise AssertionError(f"{{bare}} can be imported")
print("works")
"""


def files() -> set[str]:
    """What a wheel should hold: every source file of the three folders, by its place there."""
    return {
        f"{package}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, package in SOURCES.items()
        for path in (ROOT / folder).rglob("*")
        if path.suffix in SUFFIXES
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that is built from a copy: nothing that an earlier build left can get into it."""
    copy = tmp_path_factory.mktemp("source")
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in SOURCES:
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        "wheels",
        ".",
    ]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=HANG)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = (copy / "wheels").glob("*.whl")
    return made


def test_the_wheel_holds_every_file_and_nothing_else(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    own = {name for name in names if not name.split("/")[0].endswith(".dist-info")}
    assert own == files()
    assert {name.split("/")[0] for name in names} == {
        *("diagrammar", f"diagrammar-{dg.__version__}.dist-info")
    }
    assert {"diagrammar/py.typed", "diagrammar/grammar/diagram.lark"} <= names
    assert "diagrammar/library/conv2d.tn" in names


def test_the_wheel_says_what_it_is(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        info = f"diagrammar-{dg.__version__}.dist-info"
        entry_points = archive.read(f"{info}/entry_points.txt").decode()
        metadata = archive.read(f"{info}/METADATA").decode()
        assert f"{info}/licenses/LICENSE" in archive.namelist()
    assert entry_points == (
        "[console_scripts]\ndiagrammar = diagrammar.__main__:main\n\n"
        "[pygments.lexers]\ndiagrammar = diagrammar.grammar.highlight:DiagramLexer\n"
    )
    assert "License-Expression: Apache-2.0\n" in metadata
    assert "Requires-Python: >=3.11\n" in metadata


def test_the_wheel_works_away_from_the_repository(wheel: Path, tmp_path: Path):
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True, timeout=HANG)
    environment = {"PYTHONPATH": str(target), "PATH": "/usr/bin:/bin"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=HANG
        )

    smoke = run("-c", SMOKE.format(target=str(target)))
    assert smoke.stdout == "works\n", smoke.stderr
    (tmp_path / "y.tn").write_text("tensor X[b, i]\nY[b] = X[b, i]\n")
    assert run("-m", "diagrammar", "check", "y.tn").stdout.startswith("y.tn: 1 definition\n")
    script = run(str(target / "bin" / "diagrammar"), "--version")
    assert script.stdout == f"diagrammar {dg.__version__}\n", script.stderr


def test_the_package_list_is_complete():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = set(project["tool"]["setuptools"]["packages"])
    assert listed == {name.rpartition("/")[0].replace("/", ".") for name in files()}


def test_the_version_is_stated_once_in_each_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["version"] == dg.__version__


def test_everything_that_is_imported_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {_name(entry) for entry in project["dependencies"]}
    pinned = {
        _name(line)
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    development = {_name(entry) for entry in project["optional-dependencies"]["dev"]}
    zoo = {_name(entry) for entry in project["optional-dependencies"]["zoo"]}
    assert declared | development | zoo <= pinned
    assert pinned <= _with_what_they_need(declared | development | zoo)


def _with_what_they_need(names: set[str]) -> set[str]:
    """Distributions and, of those that are installed, all that they depend on without extras."""
    found: set[str] = set()
    new = set(names)
    while new:
        found |= new
        needed = set()
        for name in new:
            with contextlib.suppress(metadata.PackageNotFoundError):
                entries = metadata.requires(name) or []
                needed |= {_name(entry) for entry in entries if "extra ==" not in entry}
        new = needed - found
    return found


def _name(requirement: str) -> str:
    """The normal form of a distribution's name."""
    name = re.split(r"[^\w.-]", requirement.strip())[0]
    return re.sub(r"[-_.]+", "-", name).lower()
