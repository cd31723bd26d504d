/** The style of every page: colours by day and night, text, tables, lists. What a page shows of its own it styles itself. */
import { Html } from './html.js';

export const PAGE_STYLE = new Html(`
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0; --focus: #0b5fff; }
@media (prefers-color-scheme: dark) { :root { --paper: #0d1117; --ink: #e6edf3; --soft: #9aa7b4; --line: #30363d;
  --focus: #6ea8fe; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 80rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; margin: 0.5rem 0; } h2 { font-size: 1.3rem; margin: 2.5rem 0 0.5rem; }
a { color: var(--focus); } :focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
.soft { color: var(--soft); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.75rem 0.25rem 0; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
td.number, th.number { text-align: right; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.15rem 0.75rem; margin: 0.5rem 0; }
dt { color: var(--soft); } dd { margin: 0; white-space: pre-wrap; }
details { margin: 0.5rem 0; } summary { cursor: pointer; }
[hidden] { display: none !important; }
ul { margin: 0; padding-left: 1.2rem; }
`);
