"""The page on what there is in Python has what there is."""

from __future__ import annotations

from types import ModuleType

import pytest

import diagrammar as dg
from tests.written import DOCS, writer


@pytest.fixture(scope="module")
def api() -> ModuleType:
    """The module that writes the page."""
    return writer("api")


def test_the_page_is_as_the_docstrings_are(api: ModuleType) -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    assert page == api.page(), "python docs/api.py writes the page anew"


def test_everything_public_is_there(api: ModuleType) -> None:
    shown = {thing for things in api.SECTIONS.values() for thing in things}
    for name in dg.__all__:
        if name not in ("__version__", "layers"):
            assert getattr(dg, name) in shown, name
    assert {getattr(dg.layers, name) for name in dg.layers.__all__} <= shown
