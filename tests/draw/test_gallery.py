"""The gallery has every shipped operation, as it is defined now, with a picture of it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import diagrammar as dg
from diagrammar.draw import render
from diagrammar.library import names

DOCS = Path(__file__).parents[2] / "docs"
COMMAND = "python docs/gallery.py writes the gallery anew"


def sections(page: str) -> dict[tuple[str, str], str]:
    """The text below each heading `### file name`."""
    parts = re.split(r"^### (\S+) (\S+)\n", page, flags=re.MULTILINE)[1:]
    return {(parts[n], parts[n + 1]): parts[n + 2] for n in range(0, len(parts), 3)}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gallery")
    subprocess.run([sys.executable, DOCS / "gallery.py", folder], check=True)
    return folder


def test_every_shipped_operation_has_its_section(fresh: Path) -> None:
    """Definitions and derivations as they are now; the code may be that of an earlier planner."""
    stored, now = (sections((d / "gallery.md").read_text("utf-8")) for d in (DOCS, fresh))
    assert list(now) == [(file, name) for file in names() for name in dg.shipped(file)]
    assert list(stored) == list(now), COMMAND

    def without_code(text: str) -> str:
        return re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)

    for key, text in now.items():
        assert without_code(stored[key]) == without_code(text), f"{key}: {COMMAND}"
        assert "```python\n" in stored[key]


def test_every_picture_is_there_and_shown(fresh: Path) -> None:
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"\]\(gallery/(.*?)\)", page))
    assert shown == {path.name for path in (DOCS / "gallery").iterdir()}, COMMAND
    assert shown == {path.name for path in (fresh / "gallery").iterdir()}, COMMAND
    drawn = (DOCS / "gallery" / "conv2d_A_expand.svg").read_text(encoding="utf-8")
    assert drawn == render(dg.shipped("conv2d")["A_expand"], "svg"), COMMAND


def test_the_links_lead_to_headings() -> None:
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    anchors = {f"{file}-{name}".lower() for file, name in sections(page)}
    assert set(re.findall(r"\]\(#(.*?)\)", page)) == anchors
