"""The notebooks run, and what is stored in them is what they print."""

from __future__ import annotations

import re
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.hanging import HANG

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
COMMAND = "python notebooks/run.py stores the outputs anew"


def kinds(notebook: Any) -> list[tuple[int, list[str]]]:
    """For each cell with outputs, what kinds of output it has."""
    return [
        (at, [kind for output in cell.outputs for kind in sorted(output.get("data", ["text"]))])
        for at, cell in enumerate(notebook.cells)
        if cell.get("outputs")
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_runs_and_shows_what_is_stored(path: Path) -> None:
    stored = nbformat.read(path, as_version=4)
    nbformat.validate(stored)
    fresh = nbformat.read(path, as_version=4)
    options = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(
        fresh, timeout=HANG, kernel_name="python3", coalesce_streams=True, resources=options
    ).execute()
    assert kinds(fresh) == kinds(stored), COMMAND
    assert all(
        output.output_type != "error" for c in stored.cells for output in c.get("outputs", ())
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_is_small_and_the_same_everywhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text) < 300_000
    folders = (str(Path.home()), tempfile.gettempdir(), "/home")
    assert not re.search(r"\bat 0x[0-9a-f]+", text)
    assert not [folder for folder in folders if f"{folder}/" in text]


def test_each_notebook_leads_to_the_next() -> None:
    assert len(NOTEBOOKS) >= 4
    for path, following in pairwise(NOTEBOOKS):
        assert f"]({following.name})" in path.read_text(encoding="utf-8")
