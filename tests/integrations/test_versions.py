"""An integration says what it needs."""

from __future__ import annotations

import pytest

from diagrammar.integrations import versions


@pytest.mark.parametrize("found", ["3.0", "3.0.1", "3.0.2.dev5+g1", "3.0.post1"])
def test_versions_that_fit(found: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(versions, "version", lambda name: found)
    assert versions.need("curvlinops", "curvlinops-for-pytorch", "3.0", "3.1") is None


@pytest.mark.parametrize("found", ["2.9.9", "3.1", "3.1.0.dev1", "4.0"])
def test_versions_that_do_not(found: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(versions, "version", lambda name: found)
    with pytest.raises(ImportError) as error:
        versions.need("curvlinops", "curvlinops-for-pytorch", "3.0", "3.1")
    assert str(error.value) == (
        "diagrammar.integrations.curvlinops needs curvlinops-for-pytorch >= 3.0, < 3.1; "
        f"installed is {found}: pip install 'diagrammar[curvlinops]'"
    )


def test_nothing_installed():
    with pytest.raises(ImportError) as error:
        versions.need("none", "no-such-distribution-here", "1", "2")
    assert str(error.value) == (
        "diagrammar.integrations.none needs no-such-distribution-here >= 1, < 2, which is not "
        "installed: pip install 'diagrammar[none]'"
    )
