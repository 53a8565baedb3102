"""The style sheet of SVG pictures and HTML reports: two sets of colours.

Colours follow `prefers-color-scheme`; shapes and lines carry the meaning, colours repeat it.
"""

from __future__ import annotations

from diagrammar.draw.labels import FONT, SMALL

LIGHT = "--ink:#1f2328;--paper:#ffffff;--soft:#59636e;--cool:#e6effc;--warm:#fdf0d5;--hot:#bc4c00"
DARK = "--ink:#e6edf3;--paper:#0d1117;--soft:#9aa5b1;--cool:#1c3354;--warm:#46371a;--hot:#ffa657"
STYLE = f"""
.dg{{{LIGHT}}}
@media (prefers-color-scheme:dark){{.dg{{{DARK}}}}}
.dg-paper{{fill:var(--paper)}}
.dg text{{fill:var(--ink);font-size:{FONT:g}px}}
.dg text{{font-family:"STIX Two Text","Times New Roman",Georgia,serif}}
.dg .dg-name{{font-style:italic;paint-order:stroke;stroke:var(--paper);stroke-width:2.5px}}
.dg .dg-name{{stroke-linejoin:round}}
.dg .dg-tensor{{font-style:italic;font-size:{FONT + 2:g}px;text-anchor:middle}}
.dg .dg-small{{font-style:normal;font-size:{SMALL:g}px;fill:var(--soft)}}
.dg .dg-fact{{font-size:{SMALL:g}px;text-anchor:middle}}
.dg .dg-head,.dg .dg-fact{{font-family:"Helvetica Neue",Arial,sans-serif}}
.dg-wire{{fill:none;stroke:var(--ink);stroke-width:1.3}}
.dg-thick{{stroke:var(--ink);stroke-width:3.2;fill:none}}
.dg-tie{{stroke:var(--ink);stroke-width:2;fill:none}}
.dg-shape{{stroke:var(--ink);stroke-width:1.3;fill:var(--cool)}}
.dg-shape.dg-rel{{fill:var(--warm)}}
.dg-shape.dg-window{{stroke-dasharray:4 2.5}}
.dg-inner{{fill:none;stroke:var(--ink);stroke-width:.8}}
.dg-dot{{fill:var(--ink)}}
.dg-ring{{fill:var(--paper);stroke:var(--ink);stroke-width:1.3}}
.dg-touched .dg-shape{{stroke:var(--hot);stroke-width:3}}
.dg-touched .dg-dot{{stroke:var(--hot);stroke-width:3}}
.dg-gone .dg-shape{{fill:none;stroke:var(--hot);stroke-width:1.3;stroke-dasharray:2 3}}
.dg-gone text{{fill:var(--hot)!important;text-decoration:line-through}}
"""
"""The style sheet that every picture carries; its classes begin with `dg`."""
