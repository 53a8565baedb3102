"""Execute the notebooks and store their outputs: run.py [NOTEBOOK…], all by default.

Kept small and the same from run to run: no timings, counts in order, no run-time metadata.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

HERE = Path(__file__).parent


def execute(path: Path) -> NotebookNode:
    """A notebook with the outputs of running it now, in its folder; raises what a cell raises."""
    notebook = nbformat.read(path, as_version=4)
    options = {"metadata": {"path": str(HERE)}}
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", coalesce_streams=True, resources=options
    ).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    notebook.metadata.pop("language_info", None)
    return notebook


def main(names: list[str]) -> None:
    """Execute and store."""
    for path in [Path(name) for name in names] or sorted(HERE.glob("*.ipynb")):
        notebook = execute(path)
        nbformat.write(notebook, path)
        print(path)


if __name__ == "__main__":
    main(sys.argv[1:])
