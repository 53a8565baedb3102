"""The style sheet and the script of HTML reports."""

from __future__ import annotations

from diagrammar.draw.style import DARK, LIGHT

SHEET = f"""
:root{{color-scheme:light dark;{LIGHT};--minus:#ffebe9;--plus:#dafbe1;--line:#d1d9e0}}
@media (prefers-color-scheme:dark){{
:root{{{DARK};--minus:#4a1f24;--plus:#1b3a26;--line:#3d444d}}}}
body{{background:var(--paper);color:var(--ink);margin:0}}
body{{font:15px/1.5 "Helvetica Neue",Arial,"DejaVu Sans",sans-serif}}
main{{max-width:1200px;margin:0 auto;padding:1rem 1.5rem 3rem}}
h1{{font-size:1.35rem;font-family:"STIX Two Text","Times New Roman",Georgia,serif}}
h2{{font-size:1.05rem;margin:.6rem 0 .2rem}}
section.step{{scroll-margin-top:7rem}}
nav{{display:flex;gap:.6rem;align-items:center;flex-wrap:wrap;position:sticky;top:0;z-index:1;
background:var(--paper);padding:.5rem 0;border-bottom:1px solid var(--line)}}
nav input{{flex:1 1 14rem}}
nav details{{flex-basis:100%}}
button{{font:inherit;padding:.1rem .7rem;color:inherit;background:none}}
button{{border:1px solid var(--line);border-radius:6px}}
a{{color:inherit}}
.law{{margin:.1rem 0;font-family:"STIX Two Text","Times New Roman",Georgia,serif;font-size:1.05rem}}
.because{{margin:.1rem 0;color:var(--soft)}}
.picture{{overflow-x:auto;margin:.6rem 0}}
.picture svg{{display:block;margin:0 auto;max-width:none}}
pre{{overflow-x:auto;padding:.6rem .8rem;border:1px solid var(--line);border-radius:6px}}
pre{{font:13px/1.5 ui-monospace,"DejaVu Sans Mono",Menlo,monospace;margin:.4rem 0}}
del,ins{{text-decoration:none;display:inline-block;min-width:100%}}
del{{background:var(--minus)}} ins{{background:var(--plus)}}
summary{{cursor:pointer;margin-top:.8rem;font-weight:600}}
table{{border-collapse:collapse;margin:.4rem 0}}
td,th{{text-align:left;padding:.15rem .9rem .15rem 0;border-bottom:1px solid var(--line)}}
.linked .dg-shape,.dg-node:hover .dg-shape{{stroke-width:3}}
.source span.linked{{outline:2px solid var(--hot);border-radius:3px}}
.dg-wire.linked,.dg-wire:hover{{stroke-width:3}}
"""

SCRIPT = """
"use strict";
(() => {
  const steps = [...document.querySelectorAll("section.step")];
  const slider = document.getElementById("slider");
  const last = steps.length - 1;
  let at = 0;
  const show = n => {
    at = Math.max(0, Math.min(last, n));
    steps.forEach((step, k) => { step.hidden = k !== at; });
    if (!slider) return;
    slider.value = at;
    slider.setAttribute("aria-valuetext", steps[at].querySelector("h2").textContent);
    document.getElementById("now").textContent = at + " / " + last;
    document.getElementById("back").disabled = at === 0;
    document.getElementById("on").disabled = at === last;
  };
  const asked = () => {
    const found = /^#step-(\\d+)$/.exec(location.hash);
    return found ? Number(found[1]) : null;
  };
  if (slider) {
    slider.addEventListener("input", () => show(Number(slider.value)));
    document.getElementById("back").addEventListener("click", () => show(at - 1));
    document.getElementById("on").addEventListener("click", () => show(at + 1));
    window.addEventListener("hashchange", () => { if (asked() !== null) show(asked()); });
    document.addEventListener("keydown", event => {
      if (event.altKey || event.ctrlKey || event.metaKey || event.target === slider) return;
      const go = {ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last}[event.key];
      if (go === undefined) return;
      event.preventDefault();
      show(go);
    });
  }
  const link = (names, on) => {
    for (const line of document.querySelectorAll(".source span[data-names]"))
      if (line.dataset.names.split(" ").some(n => names.includes(n)))
        line.classList.toggle("linked", on);
    for (const node of document.querySelectorAll(".dg-node"))
      if (names.includes(node.dataset.name)) node.classList.toggle("linked", on);
  };
  const follow = (element, names) => {
    element.addEventListener("mouseenter", () => link(names, true));
    element.addEventListener("mouseleave", () => link(names, false));
  };
  document.querySelectorAll(".source span[data-names]")
    .forEach(line => follow(line, line.dataset.names.split(" ")));
  document.querySelectorAll(".dg-node").forEach(node => follow(node, [node.dataset.name]));
  show(asked() ?? 0);
})();
"""
