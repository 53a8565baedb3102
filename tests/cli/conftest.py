"""A folder in which command lines run."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

import diagrammar as dg
from diagrammar.__main__ import main
from tests.cli.command_lines import BAD, GOOD, Result, Run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in a folder that holds good.tn, bad.tn and the shipped conv2d.tn."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "good.tn").write_text(GOOD)
    (tmp_path / "bad.tn").write_text(BAD)
    (tmp_path / "conv2d.tn").write_text(dg.shipped("conv2d").source.text)

    def run(line: str) -> Result:
        status = main(shlex.split(line))
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return run
