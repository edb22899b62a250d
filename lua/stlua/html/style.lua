--- The style sheet of report pages, and its hash, without which a page does not accept it (tests/lua/test_html.lua says
-- which is right after a change).
-- Layer: Lua.

return { hash = "fAZh+pHOnm1aDwOLOG47dc6S2vSY7JfQmxFTkFSzDls=", text = [[
:root {
   color-scheme: light dark;
   --page: #f6f7f9; --card: #ffffff; --ink: #1a1f27; --soft: #5b6675; --line: #dde2e9; --hover: #eef2f7;
   --accent: #1f6fd6; --accent-soft: #d6e6fb; --warn: #a15c00; --warn-soft: #fff3dd; --second: #d9662b;
   --h0: #eceff3; --h1: #dcebfb; --h2: #c3dcf7; --h3: #a3c8f1; --h4: #7fb1e8; --h5: #5a97dc; --h6: #3a7cca;
   --h7: #2563b1; --h8: #164a93; --h9: #0a3170;
}
@media (prefers-color-scheme: dark) {
   :root {
      --page: #101419; --card: #181d24; --ink: #e6eaf0; --soft: #98a4b3; --line: #2b333d; --hover: #212832;
      --accent: #6cb0ff; --accent-soft: #1d3a5f; --warn: #f0b45a; --warn-soft: #33290f; --second: #f2935c;
      --h0: #232a33; --h1: #16304d; --h2: #1b3f66; --h3: #215082; --h4: #28639f; --h5: #3478bb; --h6: #4a90d3;
      --h7: #69a9e4; --h8: #92c4f2; --h9: #c4e0fb;
   }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
   margin: 0; background: var(--page); color: var(--ink);
   font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main, header, footer { max-width: 76rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 0 0 .75rem; }
h3 { font-size: .85rem; font-weight: 600; margin: 0 0 .5rem; overflow-wrap: anywhere; }
p { margin: 0 0 .75rem; }
.lead { color: var(--soft); font-size: 1.02rem; }
.hint { color: var(--soft); font-size: .88rem; }
section {
   background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1.1rem 1.25rem;
   margin: 1.25rem 0;
}
footer { color: var(--soft); font-size: .85rem; padding-bottom: 2.5rem; }
a { color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 1rem; top: .5rem; background: var(--card); padding: .4rem .8rem; }
code, .mono {
   font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; font-size: .88em;
}

.tiles { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1.25rem 0 0; padding: 0; list-style: none; }
.tiles li {
   flex: 1 1 8.5rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .7rem 1rem;
}
.tiles b { display: block; font-size: 1.35rem; font-weight: 650; line-height: 1.3; }
.tiles span { color: var(--soft); font-size: .85rem; }
.warnings { margin: 1.25rem 0 0; padding: .7rem 1rem .7rem 2rem; background: var(--warn-soft); color: var(--warn);
   border-radius: 10px; }

.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .38rem .7rem; vertical-align: top; }
tbody tr { border-top: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 600; color: var(--soft); white-space: nowrap; }
td { overflow-wrap: anywhere; }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
.facts td { min-width: 9rem; white-space: pre-line; }
.facts .other td { color: var(--second); }

.heat { width: auto; border-spacing: 2px; border-collapse: separate; font-size: .8rem; }
.heat tr { border: 0; }
.heat th { padding: 0 .4rem 0 0; font-weight: 500; }
.heat thead th { vertical-align: bottom; padding: 0 0 .3rem; }
.heat thead span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 11rem; overflow: hidden;
   text-overflow: ellipsis; white-space: nowrap; display: inline-block; }
.heat tbody th { position: sticky; left: 0; z-index: 1; background: var(--card); text-align: right; max-width: 12rem;
   overflow: hidden; text-overflow: ellipsis; }
.heat td { width: 2.3rem; min-width: 1.7rem; height: 1.45rem; padding: 0; border-radius: 3px; }
.heat td[data-t] { cursor: pointer; }
.heat td[aria-selected=true] { outline: 2px solid var(--ink); outline-offset: 1px; }
.h0 { background: var(--h0); } .h1 { background: var(--h1); } .h2 { background: var(--h2); }
.h3 { background: var(--h3); } .h4 { background: var(--h4); } .h5 { background: var(--h5); }
.h6 { background: var(--h6); } .h7 { background: var(--h7); } .h8 { background: var(--h8); }
.h9 { background: var(--h9); } .hx { background: repeating-linear-gradient(45deg, var(--warn), var(--warn) 3px,
   var(--warn-soft) 3px, var(--warn-soft) 6px); }
.readout { min-height: 1.5em; margin: .6rem 0 0; font-size: .9rem; }
.legend { display: flex; flex-wrap: wrap; align-items: center; gap: .3rem .5rem; color: var(--soft); font-size: .82rem;
   margin-top: .5rem; }
.legend i { display: inline-block; width: 1.3rem; height: .8rem; border-radius: 2px; }
.legend .ramp { display: inline-flex; gap: 1px; }
.legend .a { background: var(--accent-soft); border: 1px solid var(--accent); }
.legend .b { background: transparent; border: 0; border-top: 2px solid var(--second); height: 0; }

.bars { display: grid; grid-template-columns: max-content 1fr max-content; gap: .3rem .8rem; align-items: center;
   font-size: .88rem; }
.bars svg { width: 100%; height: .9rem; display: block; }
.bars rect { fill: var(--accent); }
.bars .zero rect { fill: var(--soft); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(15.5rem, 1fr)); gap: 1rem; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: .7rem .8rem; }
.chart { width: 100%; height: 5.5rem; display: block; }
.chart .a { fill: var(--accent-soft); stroke: var(--accent); stroke-width: 1; vector-effect: non-scaling-stroke; }
.chart .b { fill: none; stroke: var(--second); stroke-width: 1.6; vector-effect: non-scaling-stroke; }
.axis { display: flex; justify-content: space-between; color: var(--soft); font-size: .75rem;
   font-variant-numeric: tabular-nums; border-top: 1px solid var(--line); padding-top: .1rem; margin-bottom: .4rem; }

.controls { display: flex; flex-wrap: wrap; gap: .6rem .9rem; align-items: center; margin-bottom: .8rem; }
.controls input[type=search] { flex: 1 1 16rem; font: inherit; padding: .4rem .7rem; border-radius: 7px;
   border: 1px solid var(--line); background: var(--page); color: var(--ink); min-width: 0; }
button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; }
th button { font-weight: 600; color: var(--soft); }
th button:hover { color: var(--ink); }
th[aria-sort] button { color: var(--accent); }
th[aria-sort=ascending] button::after { content: " \2191"; }
th[aria-sort=descending] button::after { content: " \2193"; }
.chip, .more { border: 1px solid var(--line); border-radius: 7px; padding: .25rem .7rem; background: var(--hover); }
.more { margin-top: .8rem; }
.rows tbody tr:hover { background: var(--hover); }
.rows td:first-child { min-width: 16rem; }
.rows td:not(:first-child) { max-width: 15rem; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.rows svg { width: 4.5rem; height: .55rem; margin-left: .5rem; vertical-align: middle; }
.rows rect { fill: var(--accent); }
details { margin: .4rem 0; }
summary { cursor: pointer; color: var(--accent); }
pre { white-space: pre-wrap; overflow-wrap: anywhere; max-height: 22rem; overflow: auto; background: var(--page);
   border: 1px solid var(--line); border-radius: 7px; padding: .6rem .8rem; margin: .4rem 0; font-size: .82rem; }
ul.names { columns: 20rem; padding-left: 1.1rem; margin: .4rem 0; overflow-wrap: anywhere; font-size: .88rem; }
img { max-width: 16rem; max-height: 16rem; border-radius: 8px; display: block; }
[hidden] { display: none; }
@media (max-width: 40rem) {
   main, header, footer { padding-left: .8rem; padding-right: .8rem; }
   section { padding: .9rem .8rem; border-radius: 8px; }
   h1 { font-size: 1.25rem; }
   .tiles li { flex-basis: 40%; padding: .5rem .7rem; }
   .tiles b { font-size: 1.1rem; }
   th, td { padding: .35rem .45rem; }
   .rows td:first-child { min-width: 12rem; }
   .rows :is(th, td):nth-child(2), .rows :is(th, td):nth-child(3) { display: none; }
   .heat tbody th { max-width: 7rem; }
   .facts td { min-width: 6.2rem; }
   .facts { font-size: .82rem; }
}
@media print {
   body { background: none; }
   section { break-inside: avoid; border: 0; padding: 0; }
   .controls, .more, .readout { display: none; }
}
]] }
