"""The report in a browser: slider, keys, links, hovering, and that it asks for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import diagrammar as dg
from diagrammar.draw import render
from tests.draw.browser import BROWSER, DRIVER, Page, chromium

pytestmark = pytest.mark.skipif(
    BROWSER is None or DRIVER is None, reason="chromium and chromedriver are not installed"
)
SOURCE = "def a_reduce(X):\n    rows = X.sum(0)\n    P1 = windows(3)\n    return rows @ P1"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("report")
    path = folder / "steps.html"
    simplified = dg.shipped("conv2d")["A_reduce"].simplify()
    path.write_text(render(simplified, "html", plan="a plan", source=SOURCE), encoding="utf-8")
    with chromium() as window:
        window.open(path)
        yield window


@pytest.fixture(autouse=True)
def _start(page: Page) -> None:
    page.run("location.hash = ''; document.activeElement.blur();")
    page.press("Home")


def shown(page: Page) -> list[int]:
    """The steps that can be seen."""
    found = page.run(
        "return [...document.querySelectorAll('section.step')]"
        ".map((s, n) => s.getClientRects().length ? n : -1).filter(n => n >= 0)"
    )
    return list(found)


def test_one_step_is_shown_and_the_arrow_keys_go_through_them(page: Page) -> None:
    assert shown(page) == [0]
    page.press("ArrowLeft")
    assert shown(page) == [0]
    for number in range(1, 5):
        page.press("ArrowRight")
        assert shown(page) == [number]
    page.press("ArrowRight")
    assert shown(page) == [4]
    page.press("Home")
    assert shown(page) == [0]
    page.press("End")
    assert shown(page) == [4]


def test_the_slider_and_the_buttons_do_the_same(page: Page) -> None:
    page.run(
        "const s = document.getElementById('slider'); s.value = 3;"
        "s.dispatchEvent(new Event('input'));"
    )
    assert shown(page) == [3]
    assert page.run("return document.getElementById('now').textContent") == "3 / 4"
    page.click("#on")
    assert shown(page) == [4]
    assert page.run("return document.getElementById('on').disabled") is True
    page.click("#back")
    assert shown(page) == [3]
    assert page.run("return document.getElementById('slider').value") == "3"


def test_the_keys_work_on_the_slider_itself(page: Page) -> None:
    page.run("document.getElementById('slider').focus()")
    page.press("ArrowRight")
    assert shown(page) == [1]


def test_a_link_leads_to_its_step(page: Page) -> None:
    page.click("nav summary")
    page.click("nav a[href='#step-2']")
    assert shown(page) == [2]
    page.click("nav summary")


def test_a_node_and_the_lines_that_name_it_point_at_each_other(page: Page) -> None:
    linked = (
        "return [...document.querySelectorAll('.source .linked')].map(s => s.textContent.trim())"
    )
    nodes = "return document.querySelectorAll('.dg-node.linked').length"
    page.hover("#step-0 .dg-node[data-name=X]")
    assert page.run(linked) == ["def a_reduce(X):", "rows = X.sum(0)"]
    page.run("document.querySelector('.source').scrollIntoView()")
    page.hover(".source span[data-names=P1]")
    assert page.run(linked) == ["P1 = windows(3)", "return rows @ P1"]
    assert page.run(nodes) > 0


def test_the_touched_node_is_marked(page: Page) -> None:
    page.press("ArrowRight")
    marked = page.run(
        "return [...document.querySelectorAll('#step-1 .dg-touched')].map(n => n.dataset.name)"
    )
    assert marked == ["P1"]


def test_nothing_is_requested_and_nothing_complains(page: Page) -> None:
    assert page.run("return performance.getEntriesByType('resource').length") == 0
    assert page.log() == []


def test_labels_are_not_wider_than_the_layout_thinks(page: Page) -> None:
    """Each text against the width that the layout gave it, in this browser's font."""
    wide = page.run(
        "const out = []; for (const node of document.querySelectorAll('#step-0 .dg-node')) {"
        " const box = node.querySelector('.dg-shape').getBBox();"
        " for (const text of node.querySelectorAll('text'))"
        "  if (text.getBBox().width > box.width) out.push(text.textContent); } return out"
    )
    assert wide == []


@pytest.mark.parametrize("dark", [False, True])
def test_light_and_dark_follow_the_reader(dark: bool, tmp_path: Path) -> None:
    path = tmp_path / "picture.html"
    path.write_text(render(dg.shipped("conv2d")["Y"], "html"), encoding="utf-8")
    with chromium(dark=dark) as window:
        window.open(path)
        colour = window.run("return getComputedStyle(document.body).backgroundColor")
        ink = window.run("return getComputedStyle(document.querySelector('.dg-wire')).stroke")
    assert (colour, ink) == (
        ("rgb(13, 17, 23)", "rgb(230, 237, 243)")
        if dark
        else ("rgb(255, 255, 255)", "rgb(31, 35, 40)")
    )
