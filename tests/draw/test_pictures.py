"""The pictures of the documentation are those that their command draws."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"


def test_the_pictures_are_as_drawn(tmp_path: Path, update: bool) -> None:
    target = PICTURES if update else tmp_path
    subprocess.run([sys.executable, PICTURES / "draw.py", target], check=True, capture_output=True)
    drawn = {path.name: path.read_text(encoding="utf-8") for path in target.glob("*.svg")}
    assert len(drawn) == 4
    stored = {path.name: path.read_text(encoding="utf-8") for path in PICTURES.glob("*.svg")}
    assert drawn == stored, "python docs/pictures/draw.py draws them anew"


def test_every_picture_is_explained() -> None:
    readme = (PICTURES / "README.md").read_text(encoding="utf-8")
    assert all(f"]({path.name})" in readme for path in PICTURES.glob("*.svg"))
