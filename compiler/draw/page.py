"""The style sheet and the script of HTML reports."""

from __future__ import annotations

from diagrammar.draw.style import DARK, LIGHT

SHEET = f"""
:root{{color-scheme:light dark;{LIGHT};--minus:#ffebe9;--plus:#dafbe1;--line:#d1d9e0;
--mark:#fff1c9}}
@media (prefers-color-scheme:dark){{
:root{{{DARK};
--minus:#4a1f24;--plus:#1b3a26;--line:#3d444d;--mark:#3f3414}}}}
body{{background:var(--paper);color:var(--ink);margin:0}}
body{{font:15px/1.5 "Helvetica Neue",Arial,"DejaVu Sans",sans-serif}}
main{{max-width:1400px;margin:0 auto;padding:1rem 1.5rem 3rem}}
h1{{font-size:1.35rem;font-family:"STIX Two Text","Times New Roman",Georgia,serif}}
h2{{font-size:1.1rem;margin:.8rem 0 .3rem}}
h3{{font-size:1.05rem;margin:.6rem 0 .2rem}}
section.step{{scroll-margin-top:7rem}}
.operands{{list-style:none;padding:0;margin:.2rem 0;display:flex;flex-wrap:wrap;gap:.2rem 1.6rem}}
nav{{display:flex;gap:.6rem;align-items:center;flex-wrap:wrap;position:sticky;top:0;z-index:1;
background:var(--paper);padding:.5rem 0;border-bottom:1px solid var(--line)}}
nav input{{flex:1 1 14rem}}
nav details{{flex-basis:100%}}
button{{font:inherit;padding:.1rem .7rem;color:inherit;background:none}}
button{{border:1px solid var(--line);border-radius:6px}}
a{{color:inherit}}
.law{{margin:.1rem 0;font-family:"STIX Two Text","Times New Roman",Georgia,serif;font-size:1.05rem}}
.because,.cost{{margin:.1rem 0;color:var(--soft)}}
.picture{{overflow-x:auto;margin:.6rem 0}}
.picture svg{{display:block;margin:0 auto;max-width:max(100%,26rem);height:auto}}
pre{{overflow-x:auto;padding:.6rem .8rem;border:1px solid var(--line);border-radius:6px}}
pre{{font:13px/1.5 ui-monospace,"DejaVu Sans Mono",Menlo,monospace;margin:.4rem 0}}
del,ins{{text-decoration:none;display:inline-block;min-width:100%}}
del{{background:var(--minus)}} ins{{background:var(--plus)}}
summary{{cursor:pointer;margin-top:.8rem;font-weight:600}}
table{{border-collapse:collapse;margin:.4rem 0}}
td,th{{text-align:left;padding:.15rem .9rem .15rem 0;border-bottom:1px solid var(--line)}}
table.summary td,table.plan td:nth-child(n+3),table.plan th:nth-child(n+3){{text-align:right}}
table.summary td,table.plan td{{font-variant-numeric:tabular-nums}}
table.summary td{{white-space:nowrap}}
@media (max-width:40rem){{table.summary{{font-size:.85rem}}}}
tbody th{{font-weight:400}}
.beside{{display:grid;gap:0 2rem}}
.beside{{grid-template-columns:repeat(auto-fit,minmax(min(100%,34rem),1fr))}}
.panel{{min-width:0}}
.scroll{{overflow-x:auto}}
table.plan{{white-space:nowrap;font:13px/1.5 ui-monospace,"DejaVu Sans Mono",Menlo,monospace}}
.depth{{color:var(--soft)}}
.unseen{{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}}
table.plan td:nth-child(2){{white-space:normal}}
table.plan td,table.plan th{{vertical-align:top}}
.source summary{{font-weight:400;margin:0}}
.source .line{{display:inline-block;min-width:100%}}
.source .line::before{{content:attr(data-number);display:inline-block;width:2.2em;margin-right:1em;
text-align:right;color:var(--soft);user-select:none}}
.comment{{color:var(--soft)}}
.linked .dg-shape,.dg-node:hover .dg-shape{{stroke-width:3}}
.linked .dg-dot,.dg-node:hover .dg-dot{{stroke:var(--ink);stroke-width:3}}
.within .dg-shape{{stroke-width:2.2}}
.asked:has(.within,.linked) .dg-node:not(.within):not(.linked){{opacity:.35}}
.line.linked,.plan tr.linked{{background:var(--mark);box-shadow:inset 3px 0 var(--hot)}}
.line:focus-visible{{outline:2px solid var(--hot)}}
.dg-wire:hover{{stroke-width:3}}
@media print{{nav{{display:none}}section.step[hidden]{{display:block}}}}
"""

SCRIPT = """
"use strict";
(() => {
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const stories = all("section.story").map(story => {
    const steps = all("section.step", story);
    const find = name => story.querySelector("nav ." + name);
    const slider = find("slider"), last = steps.length - 1;
    const self = {story, steps, slider, last, at: 0};
    self.show = n => {
      const at = self.at = Math.max(0, Math.min(last, n));
      steps.forEach((step, k) => { step.hidden = k !== at; });
      if (!slider) return;
      slider.value = at;
      slider.setAttribute("aria-valuetext", steps[at].querySelector("h3").textContent);
      find("now").textContent = at + " / " + last;
      find("back").disabled = at === 0;
      find("on").disabled = at === last;
    };
    if (slider) {
      slider.addEventListener("input", () => self.show(Number(slider.value)));
      find("back").addEventListener("click", () => self.show(self.at - 1));
      find("on").addEventListener("click", () => self.show(self.at + 1));
    }
    for (const kind of ["pointerover", "focusin"])
      story.addEventListener(kind, () => { if (slider) current = self; });
    return self;
  });
  let current = stories.find(one => one.slider);
  const asked = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    const one = target && stories.find(story => story.steps.includes(target));
    if (one) { current = one.slider ? one : current; one.show(one.steps.indexOf(target)); }
  };
  window.addEventListener("hashchange", asked);
  document.addEventListener("keydown", event => {
    if (event.altKey || event.ctrlKey || event.metaKey || !current) return;
    if (event.target === current.slider) return;
    const at = current.at, ends = {Home: 0, End: current.last};
    const go = {ArrowLeft: at - 1, ArrowRight: at + 1, ...ends}[event.key];
    if (go === undefined) return;
    event.preventDefault();
    current.show(go);
  });

  // A node of any step stands for tensors of the last one: itself, or what became of it.
  const labels = node => {
    const story = node.closest(".story"), key = node.dataset.node;
    const became = JSON.parse(story.dataset.became);
    return (became[key] || [key]).map(one => story.dataset.story + ":" + one);
  };
  const nodes = all(".dg-node").map(node => [node, labels(node)]);
  const rows = all("[data-within]").map(row =>
    [row, row.dataset.brings.split(" "), row.dataset.within.split(" ")]);
  const meet = (some, others) => some.some(one => others.includes(one));
  const clear = () => {
    for (const one of all(".linked, .within, .asked"))
      one.classList.remove("linked", "within", "asked");
  };
  const fromRow = (brings, within) => {
    clear();
    for (const story of all(".story")) story.classList.add("asked");
    for (const [row, own, whole] of rows)
      if (String(own) === String(brings) && String(whole) === String(within))
        row.classList.add("linked");
    for (const [node, mine] of nodes)
      if (meet(mine, brings)) node.classList.add("linked");
      else if (meet(mine, within)) node.classList.add("within");
  };
  const fromNode = mine => {
    clear();
    for (const [row, own] of rows) if (meet(mine, own)) row.classList.add("linked");
    for (const [node, other] of nodes) if (meet(mine, other)) node.classList.add("linked");
  };
  const starts = new Map();
  const leave = () => {  // what has the focus keeps its links
    clear();
    const start = starts.get(document.activeElement);
    if (start) start();
  };
  const follow = (element, start) => {
    starts.set(element, start);
    element.addEventListener("pointerenter", start);
    element.addEventListener("focus", start);
    element.addEventListener("pointerleave", leave);
    element.addEventListener("blur", clear);
  };
  for (const [row, brings, within] of rows) follow(row, () => fromRow(brings, within));
  for (const [node, mine] of nodes) follow(node, () => fromNode(mine));
  for (const one of stories) one.show(0);
  asked();
})();
"""
