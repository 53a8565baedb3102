"""The report in a browser: slider, keys, links, hovering, and that it asks for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import diagrammar as dg
from tests.draw.browser import BROWSER, DRIVER, Page, chromium

pytestmark = pytest.mark.skipif(
    BROWSER is None or DRIVER is None,
    reason="no Chromium with its driver: apt install chromium chromium-driver",
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("report")
    path = folder / "steps.html"
    made = dg.shipped("conv2d")["A_reduce"].compile(nonfinite="spread").specialise(X=(8, 3, 32, 32))
    replace(made, traces=tuple(trace.rewrites for trace in made.traces)).to_html(path)
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
        "const s = document.querySelector('nav .slider'); s.value = 3;"
        "s.dispatchEvent(new Event('input'));"
    )
    assert shown(page) == [3]
    assert page.run("return document.querySelector('nav .now').textContent") == "3 / 4"
    page.click("nav .on")
    assert shown(page) == [4]
    assert page.run("return document.querySelector('nav .on').disabled") is True
    page.click("nav .back")
    assert shown(page) == [3]
    assert page.run("return document.querySelector('nav .slider').value") == "3"


def test_the_keys_work_on_the_slider_itself(page: Page) -> None:
    page.run("document.querySelector('nav .slider').focus()")
    page.press("ArrowRight")
    assert shown(page) == [1]


def test_a_link_leads_to_its_step(page: Page) -> None:
    page.click("nav summary")
    page.click("nav a[href='#step-2']")
    page.wait("document.querySelector('#step-2').getClientRects().length")  # a little later
    assert shown(page) == [2]
    page.click("nav summary")


LINES = "return [...document.querySelectorAll('.line.linked')].map(s => s.textContent.trim())"
ROWS = "return [...document.querySelectorAll('.plan tr.linked th')].map(s => s.textContent)"


def nodes(page: Page, style: str) -> list[str]:
    """The nodes of the step that is shown which carry a class."""
    found = page.run(
        "const shown = 'section.step:not([hidden]) .dg-node.' + arguments[0];"
        "return [...document.querySelectorAll(shown)]"
        ".map(n => n.dataset.name)",
        style,
    )
    return list(found)


def test_a_node_points_at_its_lines_and_its_rows_of_the_plan(page: Page) -> None:
    page.hover("#step-0 .dg-node[data-name=X]")
    assert [line.split("  #")[0].strip() for line in page.run(LINES)] == ["x = X @ window"]
    assert [row.split(": ")[-1] for row in page.run(ROWS)] == ["X"]
    # a pattern of the first picture has become a window of the last one
    page.hover("#step-0 .dg-node[data-name=P1] .dg-shape")
    assert [line.split("  #")[0].strip() for line in page.run(LINES)] == [
        "window = _WINDOW_I1_K1.to(X)"
    ]
    page.hover("h1")
    assert page.run(LINES) == []


def test_a_line_points_at_the_nodes_that_it_brings_in_and_holds(page: Page) -> None:
    page.press("End")
    page.hover(".source .line[data-brings='0:t0 0:t3']")
    assert nodes(page, "linked") == ["X", "X"]
    assert nodes(page, "within") == ["P1", "P2", "P1", "P2"]
    assert [row.split(": ")[-1] for row in page.run(ROWS)] == []
    page.hover(".plan tr[data-brings='0:t0 0:t3']")
    assert nodes(page, "linked") == ["X", "X"]
    assert nodes(page, "within") == []


def test_lines_can_be_reached_without_a_mouse(page: Page) -> None:
    page.run("document.querySelector(\".source .line[data-brings='0:t0 0:t3']\").focus()")
    assert nodes(page, "linked") == ["X", "X"]
    page.run("document.activeElement.blur()")
    assert nodes(page, "linked") == []


def test_screen_readers_are_told_every_picture(page: Page) -> None:
    said = page.run(
        "return [...document.querySelectorAll('section.step svg[role=img]')]"
        ".map(s => s.querySelector('desc').textContent)"
    )
    assert len(said) == 5
    assert all(text.startswith("A_reduce[g, (ci k1 k2), (ci' k1' k2')] is ") for text in said)
    page.press("ArrowRight")
    assert page.run("return document.querySelector('nav .slider').ariaValueText") == (
        "1. summed end at P1[i1, o1, k1]"
    )


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
@pytest.mark.parametrize(("width", "height"), [(420, 800), (1600, 1000)])
def test_reports_fit_small_and_large_windows_in_light_and_dark(
    dark: bool, width: int, height: int, tmp_path: Path
) -> None:
    """Nothing but the panes that scroll by themselves is wider than the window."""
    spec = dg.shipped("conv2d")
    wide = (
        "return document.documentElement.scrollWidth <= window.innerWidth"
        " ? [] : [document.documentElement.scrollWidth, window.innerWidth]"
    )
    shapes = {"X": (2, 4, 8, 8), "W": (6, 4, 3, 3), "bias": (6,), "dY": (2, 6, 8, 8)}
    with chromium(width, height, dark=dark) as window:
        for name in ("Y", "dW", "dX", "A_expand", "A_reduce"):
            f = spec[name].compile()
            path = tmp_path / f"{name}.html"
            f.to_html(path, **{o.name: shapes[o.name] for o in f.operands})
            window.open(path)
            assert window.run(wide) == []
            assert window.log() == []
            colour = window.run("return getComputedStyle(document.body).backgroundColor")
            ink = window.run("return getComputedStyle(document.querySelector('.dg-wire')).stroke")
            assert (colour, ink) == (
                ("rgb(13, 17, 23)", "rgb(230, 237, 243)")
                if dark
                else ("rgb(255, 255, 255)", "rgb(31, 35, 40)")
            )
