"""What .ci/run does where the programs that tests need are there, can be installed, or cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "run"
SYSTEM = ("bash", "dirname", "env", "mktemp", "tail")
THERE = ("chromium", "chromedriver", "pdflatex")


def ran(folder: Path, **programs: str) -> str:
    """What the script prints where there are only these programs, as lines of bash."""
    checkout = folder / "checkout"
    (checkout / ".ci").mkdir(parents=True)
    shutil.copy(SCRIPT, checkout / ".ci")
    path = folder / "bin"
    path.mkdir()
    for name in SYSTEM:
        found = shutil.which(name)
        assert found
        (path / name).symlink_to(found)
    programs = {"make": 'echo "make $* with CI=$CI"', **programs}
    for name, line in programs.items():
        (path / name).write_text(f"#!/usr/bin/env bash\n{line}\n")
        (path / name).chmod(0o755)
    environment = {"PATH": str(path), "HOME": str(folder), "TMPDIR": str(folder)}
    done = subprocess.run(
        [str(path / "bash"), str(checkout / ".ci" / "run")],
        env=environment,
        cwd=os.sep,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


TESTED = "make test with CI=true\n"
ALL = "chromium chromium-driver texlive-latex-base texlive-pictures"


def test_nothing_is_installed_where_everything_is_there(tmp_path: Path) -> None:
    there = dict.fromkeys(THERE, "")
    printed = ran(tmp_path, kpsewhich="echo /tex/tikz.sty", **{"apt-get": "exit 1"}, **there)
    assert printed == f"ci: browser and LaTeX are there\n{TESTED}"


def test_what_is_missing_is_installed(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    apt = f'echo "$*" >> {calls}'
    printed = ran(tmp_path, id="echo 0", chromium="", chromedriver="", **{"apt-get": apt})
    assert printed == f"ci: installing texlive-latex-base texlive-pictures\n{TESTED}"
    update, install = calls.read_text().splitlines()
    assert update.endswith(" update")
    assert install.endswith(
        " install --yes --no-install-recommends texlive-latex-base texlive-pictures"
    )


@pytest.mark.parametrize(
    ("programs", "said"),
    [
        ({}, f"ci: there is no apt-get to install {ALL}: the tests that need them will fail\n"),
        (
            {"apt-get": "exit 1", "id": "echo 1000"},
            f"ci: only root can install {ALL}: the tests that need them will fail\n",
        ),
        (
            {"apt-get": "echo no network; exit 100", "id": "echo 0"},
            f"ci: installing {ALL}\nno network\n"
            f"ci: {ALL} could not be installed: the tests that need them will fail\n",
        ),
    ],
    ids=["no apt", "no root", "no network"],
)
def test_it_says_what_it_cannot_install(
    programs: dict[str, str], said: str, tmp_path: Path
) -> None:
    assert ran(tmp_path, **programs) == said + TESTED
