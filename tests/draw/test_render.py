"""render(): formats and options, determinism, escaping, what a notebook calls."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

import diagrammar as dg
from diagrammar.draw import FORMATS, render
from diagrammar.draw.layout import layout
from diagrammar.draw.operation import became, operation
from diagrammar.ir.diagram import Diagram, Network, Operand
from diagrammar.rewrite.engine import Simplified

CONV = dg.shipped("conv2d")
HOSTILE = '</svg><script>alert("x")</script>&\\end{document}%$'


@pytest.fixture(scope="module")
def reduced() -> Simplified:
    return CONV["A_reduce"].simplify()


def hostile() -> Diagram:
    """A diagram whose operand and documentation are named to break out of every format."""
    made = dg.parse("tensor X[b, c]\n# doc\nY[b] = X[b, c]")["Y"]
    term = made.terms[0]
    first = term.tensors[0]
    assert isinstance(first, Operand)
    tensors = (replace(first, name=HOSTILE),)
    declared = (replace(made.operands[0], name=HOSTILE),)
    network = Network(term.scalar, tensors, term.sizes)
    return replace(made, name="Y", terms=(network,), operands=declared, doc=HOSTILE)


class Elements(HTMLParser):
    """The elements of a page that must be closed, checked while reading."""

    void = frozenset({"meta", "input", "br", "link", "img"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.names: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "action", "xlink:href")]
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(page: str) -> Elements:
    elements = Elements()
    elements.feed(page)
    elements.close()
    assert elements.open == []
    return elements


# -- formats and options ---------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
def test_diagrams_simplifications_and_traces_have_every_format(
    format: str, reduced: Simplified
) -> None:
    for what in (CONV["Y"], reduced, reduced.trace):
        assert len(render(what, format)) > 100


def test_an_unknown_format_is_named_with_those_there_are() -> None:
    with pytest.raises(
        ValueError, match=r"^no format 'png'; there are text, svg, html, tikz, dot$"
    ):
        render(CONV["Y"], "png")


def test_steps_choose_the_pictures(reduced: Simplified) -> None:
    rewrites = reduced.trace.rewrites
    shown = render(rewrites, "text", steps="all")
    assert [line for line in shown.splitlines() if re.match(r"start|\d\. ", line)] == [
        "start",
        *(
            f"{n}. summed end at {p}: Σ_o Π[i,o,k] = window[i,k], Σ_i Π[i,o,k] = valid[o,k] "
            "known when compiled"
            for n, p in enumerate(
                ("P1[i1, o1, k1]", "P2[i2, o2, k2]", "P1[i1', o1', k1']", "P2[i2', o2', k2']"), 1
            )
        ),
    ]
    assert "\n1. summed end at P1, P2: " in render(reduced, "text", steps="all")
    assert "after 4 steps" in render(rewrites, "text", steps="ends")
    assert "window" not in render(reduced, "text", steps=0)
    assert "conv" not in render(reduced, "text", steps="last")
    with pytest.raises(
        ValueError, match=r"^no steps 9; there are 0 to 4, 'all', 'ends' and 'last'"
    ):
        render(rewrites, "svg", steps=9)


def test_sizes_and_thickness_are_on_request(reduced: Simplified) -> None:
    diagram = CONV["Y"].simplify(k1=3, k2=5, b=32).diagram
    plain, sized = render(diagram, "svg"), render(diagram, "svg", sizes=True, thickness=True)
    assert "stroke-width:2.95" not in plain
    assert ">5</tspan>" not in plain
    assert 'style="stroke-width:2.95"' in sized  # 0.7 + 0.45·log2(32), the wire b
    assert 'k2<tspan class="dg-small" dx="2">5</tspan>' in sized


# -- determinism -----------------------------------------------------------------------------------

PROGRAM = """
import diagrammar as dg
from diagrammar.draw import render
from diagrammar.draw.operation import operation
spec = dg.shipped("conv2d")
for name in ("Y", "A_expand", "A_reduce"):
    for format in ("text", "svg", "html", "tikz", "dot"):
        print(render(spec[name].simplify(k1=2, k2=2, s=2, p=0), format))
two_terms = dg.shipped("transposed")["Y"]
print(render(two_terms.simplify(k=(2, 2), s=(2, 2), p=(0, 0), d=(1, 1)), "svg"))
"""


def test_the_bytes_do_not_depend_on_hashes() -> None:
    def run(seed: str) -> bytes:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, check=True
        )
        return done.stdout

    first = run("0")
    assert len(first) > 100_000
    assert run("1") == first
    assert run("4711") == first


# -- safety ----------------------------------------------------------------------------------------


def test_svg_is_xml_with_words_for_screen_readers() -> None:
    for name in CONV:
        root = ElementTree.fromstring(render(CONV[name], "svg"))
        space = "{http://www.w3.org/2000/svg}"
        assert root.tag == f"{space}svg"
        assert root.get("role") == "img"
        title, about = root.find(f"{space}title"), root.find(f"{space}desc")
        assert title is not None
        assert (title.text or "").startswith(f"{name}[")
        assert about is not None
        assert "operand" in (about.text or "")


def test_the_report_is_one_file_that_asks_for_nothing(reduced: Simplified) -> None:
    page = render(reduced, "html")
    elements = read(page)
    assert all(link.startswith("#step-") for link in elements.links)
    assert not {"link", "img", "iframe", "object", "embed"} & set(elements.names)
    outside = re.findall(r"(?:https?:)?//[\w.]+", page.replace("http://www.w3.org/2000/svg", ""))
    assert outside == []
    assert "default-src 'none'" in page
    assert elements.names.count("section") == 3  # the story and its steps
    assert "because o1 ends at P1 alone, fixed by i1 and k1; o2 ends at P2 alone" in page
    assert "<ins>+ pattern P1[i1, k1] = [" in page


def test_the_report_of_a_function_has_costs_plan_and_source() -> None:
    made = CONV["A_reduce"].compile(nonfinite="spread").specialise(X=(8, 3, 32, 32))
    page = render(made, "html")
    elements = read(page)
    assert elements.names.count("section") == 5  # the story, its start and its step, source, plan
    assert all(link.startswith("#step-") for link in elements.links)
    # what the planner says of each step's diagram, and of the whole
    assert "5,832 → 86,472 multiplications" in page  # the mean that a pool takes has none
    assert f"{made.plan.multiplications:,} multiplications" in page
    for line in made.source.splitlines():
        if line:
            assert escape(line.split("  #")[0].rstrip()) in page
    assert "<i>X</i> [b=8 (g ci)=3 i1=32 i2=32]" in page
    assert 'data-brings="0:t1 0:t2 0:t4 0:t5"' in page  # the one window matrix of four patterns


def test_the_report_of_several_results_has_a_story_for_each() -> None:
    both = CONV.compile("dW", "dX").specialise(X=(2, 3, 8, 8), dY=(2, 4, 8, 8), W=(4, 3, 3, 3))
    page = render(both, "html")
    assert re.findall(r'class="story" data-story="(\d)"', page) == ["0", "1"]
    labels = {
        label for found in re.findall(r'data-within="([^"]*)"', page) for label in found.split()
    }
    assert {label[0] for label in labels} == {"0", "1"}


def test_the_report_for_all_shapes_claims_no_numbers() -> None:
    page = render(CONV["Y"].compile().generic(), "html")
    assert "for all shapes: multiplications and bytes depend on the operands" in page
    assert "best plan" not in page
    assert "KiB" not in page


def test_the_report_of_the_oracle_has_pictures_alone() -> None:
    made = CONV["Y"].compile(backend="numpy").specialise(X=(1, 1, 4, 4), W=(1, 1, 3, 3), bias=(1,))
    page = render(made, "html")
    assert "<svg" in page
    assert 'aria-label="plan"' not in page
    assert 'aria-label="source"' not in page


def test_what_was_taken_away_is_linked_with_what_it_became() -> None:
    """Four patterns of a dense layer become splits of the axes of the two X."""
    dense = CONV["A_expand"].simplify(k1=4, k2=4, s=4, p=0, i1=32, i2=32).trace.rewrites
    (frame, *_, last) = layout(dense).story.frames
    tensors = frame.terms[0].network.tensors
    names = {key: tensors[n].name for n, key in enumerate(frame.terms[0].keys)}
    heirs = became(layout(dense))
    found = {names[key]: [names[one] for one in some] for key, some in heirs.items()}
    assert found == {"P1": ["X"], "P2": ["X"]}
    assert len(heirs) == 4
    assert {key for some in heirs.values() for key in some} == set(last.terms[0].keys)


@pytest.mark.parametrize("format", FORMATS)
def test_hostile_names_stay_names(format: str) -> None:
    text = render(hostile(), format)
    if format in ("svg", "html"):
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert" in text
    if format == "svg":
        ElementTree.fromstring(text)
    if format == "html":
        assert read(text).names.count("svg") == 1
    if format == "tikz":
        assert r"\end{document}" not in text
        assert r"\textbackslash{}end\{document\}\%\$" in text
    if format == "dot":
        assert r"alert(\"x\")" in text


def test_a_source_cannot_break_out_of_the_report() -> None:
    spec = dg.parse(f"tensor X[b, c]\n#: {HOSTILE}\nY[b] = X[b, c]")
    page = render(spec["Y"].compile().specialise(X=(2, 3)), "html")
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert") == 3  # above the picture, the definition, the source
    read(page)


# -- where notebooks and users meet it -------------------------------------------------------------


def test_notebooks_get_svg(reduced: Simplified) -> None:
    assert CONV["Y"]._repr_svg_() == render(CONV["Y"], "svg")
    assert reduced.trace._repr_svg_() == render(reduced.trace, "svg")


def test_to_html_writes_the_file_whole(tmp_path: Path, reduced: Simplified) -> None:
    target = tmp_path / "steps.html"
    target.write_text("before")
    assert reduced.trace.to_html(target) == target
    assert target.read_text(encoding="utf-8").endswith("</html>\n")
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(OSError, match="nowhere"):
        reduced.trace.to_html(tmp_path / "nowhere" / "steps.html")


def test_importing_draw_is_light() -> None:
    program = (
        "import sys, diagrammar.draw; "
        "print([m for m in ('torch', 'sympy', 'networkx', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_report_shows_the_derivation_also_where_the_program_starts_as_written() -> None:
    """PyTorch's call needs no rewriting; what the rules make of the diagram is told all the same,
    and code is linked with what became of its tensors."""
    diagram = dg.shipped("conv2d")["Y"]
    made = diagram.compile(k1=4, k2=4, s=4, p=0).specialise(
        X=(8, 3, 64, 64), W=(64, 3, 4, 4), bias=(64,)
    )
    written = next(c for c in made.candidates if c.recipe.as_written)
    made = replace(
        made,
        recipe=written.recipe,
        planned=written.planned,
        traces=tuple(s.trace for s in written.start),
        diagrams=tuple(s.diagram for s in written.start),
    )
    assert len(made.traces[0]) == 0
    shown = operation(made)
    frames = shown.layouts[0].story.frames
    assert [f.step.rule.name for f in frames if f.step] == ["dense"]
    last = {f"0:{key}" for term in frames[-1].terms for key in term.keys}
    linked = {label for line in shown.code for label in line.within}
    assert linked
    assert linked <= last
    page = render(made, "html")
    assert "starts from the diagram as written" in page
    assert "starts from" not in render(diagram.compile(k1=3, k2=3, native=False).generic(), "html")


@pytest.mark.parametrize("name", ["A_expand", "A_reduce"])
def test_the_cost_of_a_simplified_diagram_is_that_of_the_plan(name: str) -> None:
    made = CONV[name].compile(k1=3, k2=3).specialise(X=(4, 64, 28, 28))
    before, after = operation(made).costs[0]
    assert before is not None
    assert after is not None
    assert after.seconds < before.seconds
    assert f"{after.multiplications:,} multiplications" in made.plan.total
