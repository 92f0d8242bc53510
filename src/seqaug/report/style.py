"""How a page looks: calm, readable on a phone and on paper, by day and by night."""

from __future__ import annotations

from .svg import STYLE as FIGURES

__all__ = ["STYLE"]

_COLOURS = """
:root {
  color-scheme: light dark;
  --ground: #f7f7f5; --paper: #fff; --ink: #1d242b; --soft: #5a6570; --line: #e1e4e6; --faint: #f1f3f4;
  --accent: #0b66a0; --accent-faint: #e8f1f8; --better: #00704f; --worse: #b04a00; --warn: #7d5200; --warn-faint: #fcf4e1;
  --radius: 10px;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --ground: #0f1215; --paper: #15191d; --ink: #e4e8ec; --soft: #a2acb6; --line: #2b3238; --faint: #20262c;
    --accent: #6db7ee; --accent-faint: #16283a; --better: #4fd0a3; --worse: #ff9a5c; --warn: #f0c060; --warn-faint: #262113;
  }
}
"""

_LAYOUT = """
* { box-sizing: border-box }
html { scroll-behavior: smooth; scroll-padding-top: 1rem; -webkit-text-size-adjust: 100% }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto } }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.6 var(--sans); overflow-wrap: break-word }
a { color: var(--accent); text-underline-offset: .18em; text-decoration-thickness: 1px }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px }
.skip { position: absolute; left: -999rem }
.skip:focus { left: 1rem; top: 1rem; background: var(--paper); padding: .5rem 1rem; z-index: 2 }
.whole { max-width: 80rem; margin: 0 auto; padding: 0 1.5rem }
header { padding: 3.5rem 0 2rem }
.kind, nav h2 { font-size: .78rem; letter-spacing: .09em; text-transform: uppercase; color: var(--soft); font-weight: 500 }
.kind { margin: 0 0 .6rem }
h1 { font-size: clamp(1.7rem, 1.2rem + 2.4vw, 2.6rem); line-height: 1.15; letter-spacing: -.02em; font-weight: 650 }
h1 { margin: 0 0 .8rem; text-wrap: balance }
h2 { font-size: 1.4rem; line-height: 1.25; letter-spacing: -.012em; font-weight: 640; margin: 0 0 .6rem }
h3 { font-size: 1.05rem; line-height: 1.35; font-weight: 640; margin: 2.2rem 0 .3rem }
p, ul { max-width: 46rem; margin: .5rem 0 1rem }
ul { padding-left: 1.2rem }
li { margin: .2rem 0 }
.lead { font-size: 1.12rem; line-height: 1.5; color: var(--soft); margin: 0 }
.cards { display: flex; flex-wrap: wrap; gap: .9rem; margin: 1.8rem 0 0 }
.card { flex: 1 1 13rem; max-width: 22rem }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: var(--radius); padding: 1rem 1.15rem }
.card dd { margin: 0 }
.card dt, .card .below { font-size: .84rem; line-height: 1.4; color: var(--soft) }
.card .big { font-size: 1.95rem; font-weight: 620; letter-spacing: -.02em; line-height: 1.3 }
.card, table { font-variant-numeric: tabular-nums }
.notes { background: var(--warn-faint); border-radius: var(--radius); padding: .9rem 1.25rem; margin: .9rem 0 0 }
.notes h2 { font-size: .93rem; color: var(--warn); letter-spacing: 0; margin: 0 0 .2rem }
.notes ul { margin: 0; font-size: .92rem; line-height: 1.5; max-width: none }
.body { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1.5rem; padding-bottom: 2rem }
nav h2 { margin: 0 0 .5rem }
nav ol { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .1rem 1.2rem; font-size: .92rem }
nav li { margin: 0; line-height: 1.35 }
nav a { text-decoration: none; color: var(--ink); display: inline-block; padding: .22rem 0 }
nav a:hover { color: var(--accent) }
main { min-width: 0 }
section { background: var(--paper); border: 1px solid var(--line); border-radius: var(--radius) }
section { padding: 1.6rem 1.5rem; margin: 0 0 1.2rem }
footer { color: var(--soft); font-size: .86rem; padding: 0 0 3rem }
@media (min-width: 68rem) {
  .body { grid-template-columns: 12rem minmax(0, 1fr); gap: 2.4rem }
  nav { position: sticky; top: 1.5rem; align-self: start; padding-top: .4rem }
  nav ol { display: block }
  section { padding: 1.9rem 2.1rem }
}
"""

_CONTENT = """
.caption { color: var(--soft); font-size: .86rem; line-height: 1.45; margin: 1.2rem 0 .2rem; max-width: none }
.scroll { overflow-x: auto; margin: 0 0 1.2rem }
table { border-collapse: collapse; font-size: .88rem; line-height: 1.4; min-width: 100% }
th, td { padding: .42rem .55rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top }
th, td { font-weight: 400; white-space: nowrap }
th:first-child, td:first-child { padding-left: 0 }
th:last-child, td:last-child { padding-right: 0 }
thead th { color: var(--soft); font-size: .82rem; vertical-align: bottom; white-space: normal }
thead th { border-bottom-color: var(--soft) }
tbody tr:last-child > * { border-bottom: 0 }
tbody th { position: sticky; left: 0; background: var(--paper); font-weight: 560; padding-right: 1rem }
th.words, td.words { text-align: left }
td.words { white-space: normal; min-width: 7rem }
td.words:has(code) { min-width: 9rem }
.narrow code { white-space: nowrap }
.narrow td.words { white-space: nowrap; min-width: 0 }
small { display: block; color: var(--soft); font-size: .8rem; font-weight: 400 }
td small { white-space: nowrap }
td.words small { white-space: normal; margin: 0 0 .25rem }
td.words small:last-child { margin: 0 }
.better { color: var(--better) }
.worse { color: var(--worse) }
.same { color: var(--soft) }
.mark { font-weight: 640 }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); gap: 2rem 2.4rem }
.figures { margin: 1.4rem 0; align-items: start }
figure { margin: 0; min-width: 0 }
figure svg { display: block; width: 100%; height: auto; max-width: 38rem }
.plot { --plot-paper: var(--paper) }
details { border-top: 1px solid var(--line) }
details:last-child { border-bottom: 1px solid var(--line) }
summary { cursor: pointer; padding: .6rem 0; font-weight: 560; font-size: .93rem }
summary:hover { color: var(--accent) }
.inside { padding: 0 0 .8rem }
code { font-family: var(--mono); font-size: .88em; overflow-wrap: anywhere }
td code { white-space: normal }
.tag { display: inline-block; border-radius: 99px; padding: .02rem .6rem; font-size: .78rem; line-height: 1.5 }
.tag { white-space: nowrap; background: var(--faint); color: var(--soft) }
.tag.paper { background: var(--accent-faint); color: var(--accent) }
.tag.user { background: var(--warn-faint); color: var(--warn) }
dl.facts { display: grid; grid-template-columns: minmax(7rem, max-content) minmax(0, 1fr); gap: .3rem 1.5rem }
dl.facts { font-size: .92rem; margin: .6rem 0 1rem }
dl.facts dt { color: var(--soft) }
dl.facts dd { margin: 0; overflow-wrap: anywhere }
"""

_PHONE = """
@media (max-width: 34rem) {
  .whole { padding: 0 .8rem }
  header { padding: 2rem 0 1rem }
  section { padding: 1.2rem 1rem; margin: 0 0 .8rem }
  .cards { gap: .6rem }
  .card { flex: 1 1 calc(50% - .3rem); padding: .75rem .85rem }
  td.words { min-width: 10rem }
  tbody th { white-space: normal; overflow-wrap: normal; max-width: 9.5rem }
  .narrow tbody th { max-width: none }
  .card .big { font-size: 1.6rem }
  dl.facts { grid-template-columns: minmax(0, 1fr); gap: 0 }
  dl.facts dd { margin: 0 0 .5rem }
}
"""

# The parts that can be closed are open on paper, and what moves sideways on a screen is made to fit.
_PAPER = """
@media print {
  :root { --ground: #fff; color-scheme: light }
  body { font-size: 10pt }
  nav, .skip { display: none }
  header { padding: 0 0 1rem }
  .whole { max-width: none; padding: 0 }
  .body { display: block }
  .card { flex: 1 1 22%; padding: .5rem .7rem }
  .notes { border: 1px solid var(--line) }
  section { border: 0; padding: 0; margin: 0 0 1.8rem }
  figure, tr, .card { break-inside: avoid }
  h2, h3, summary, .caption { break-after: avoid }
  .scroll { overflow: visible }
  table { font-size: 7.2pt; min-width: 0; width: 100% }
  th, td, td small, small { white-space: normal }
  th, td { padding: .2rem .3rem }
  thead th { font-size: 6.8pt }
  small { font-size: 6.2pt }
  tbody th { position: static }
  td.words, td.words:has(code), .narrow td.words { min-width: 0 }
  .narrow code { white-space: nowrap }
.narrow td.words, .narrow code { white-space: normal }
  .figures { grid-template-columns: 1fr 1fr; gap: 1rem 1.5rem }
  details::details-content { content-visibility: visible; display: block; block-size: auto }
  summary { list-style: none }
  a { color: inherit; text-decoration: none }
}
"""

STYLE = "".join([_COLOURS, FIGURES, _LAYOUT, _CONTENT, _PHONE, _PAPER])
"""The whole style sheet of a page, the figures' rules included."""
