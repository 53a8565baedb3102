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


def test_what_a_library_offers(monkeypatch: pytest.MonkeyPatch):
    """A development version may have the number of a release."""
    monkeypatch.setattr(versions, "version", lambda name: "3.0.2.dev9")
    names = ["json:JSONDecoder.decode", "json:loads", "json.tool:main"]
    assert versions.offers("some", "some-library", names) is None
    for wrong, shown in (
        ("json:JSONDecoder.hook", "json.JSONDecoder.hook"),
        ("json:Decoder.hook", "json.Decoder.hook"),
        ("json.nothing:main", "json.nothing.main"),
    ):
        with pytest.raises(ImportError) as error:
            versions.offers("some", "some-library", [*names, wrong, "json:more"])
        assert str(error.value) == (
            f"diagrammar.integrations.some uses {shown} and 1 more, which the some-library "
            "3.0.2.dev9 that is installed does not have; a release has it: pip install "
            "--force-reinstall 'diagrammar[some]'"
        )


def test_nothing_installed():
    with pytest.raises(ImportError) as error:
        versions.need("none", "no-such-distribution-here", "1", "2")
    assert str(error.value) == (
        "diagrammar.integrations.none needs no-such-distribution-here >= 1, < 2, which is not "
        "installed: pip install 'diagrammar[none]'"
    )
