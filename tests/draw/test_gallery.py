"""The gallery has every shipped operation, as it is defined now, with a picture of it."""

from __future__ import annotations

import re
from types import ModuleType
from xml.etree import ElementTree

import pytest

from diagrammar.language.shipped import drawn
from diagrammar.library import names
from tests.written import DOCS, writer

COMMAND = "python docs/gallery.py writes the gallery anew"
DEFINITION = re.compile(r"^```tn\n(.*?)\n```$", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def gallery() -> ModuleType:
    """The module that writes the page."""
    return writer("gallery")


@pytest.fixture(scope="module")
def page() -> str:
    return (DOCS / "gallery.md").read_text(encoding="utf-8")


def sections(page: str) -> dict[tuple[str, str], str]:
    """The text below each heading `### file name`."""
    parts = re.split(r"^### (\S+) (\S+)\n", page, flags=re.MULTILINE)[1:]
    return {(parts[n], parts[n + 1]): parts[n + 2] for n in range(0, len(parts), 3)}


def test_every_shipped_operation_has_its_section(page: str, gallery: ModuleType) -> None:
    """As defined now, with a derivation and code, which may be those of earlier rules and plans."""
    stored = sections(page)
    assert list(stored) == [(file, name) for file in names() for name in drawn(file)], COMMAND
    for (file, name), text in stored.items():
        assert DEFINITION.findall(text) == [gallery.text(file, name)], f"{file} {name}: {COMMAND}"
        assert "Derivation, as the file sets it" in text
        assert re.search(r"<details><summary>code for .*\n\n```python\n.*\ndef ", text, re.DOTALL)


def test_every_picture_is_there_and_shown(page: str, gallery: ModuleType) -> None:
    shown = re.findall(r"\]\(gallery/(.*?)\)", page)
    assert sorted(shown) == sorted(path.name for path in (DOCS / "gallery").iterdir()), COMMAND
    wanted = []
    for file in names():
        for name, diagram in drawn(file).items():
            wanted.append(f"{file}_{name}.svg")
            wanted += [f"{file}_{name}_dense.svg"] if gallery.dense(diagram) else []
    assert shown == wanted, COMMAND
    for picture in (DOCS / "gallery").iterdir():
        assert ElementTree.parse(picture).getroot().get("role") == "img"


def test_a_section_is_written_as_it_is_stored(page: str, gallery: ModuleType) -> None:
    """All but the code and the derivation, for one operation of each file."""
    for file in names():
        name = next(iter(drawn(file)))
        fresh = "\n".join(gallery.section(file, name))
        stored = sections(page)[file, name]
        assert fresh.split("Derivation")[0].split("\n", 1)[1] == stored.split("Derivation")[0]
        assert fresh.count("```python") == stored.count("```python") == 1


def test_the_links_lead_to_headings(page: str) -> None:
    anchors = {f"{file}-{name}".lower() for file, name in sections(page)}
    assert set(re.findall(r"\]\(#(.*?)\)", page)) == anchors
