/** The style of the report and the few lines that filter its cards; it is read without them as well. */
import { Html } from './html.js';

export const STYLE = new Html(`
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0; --card: #f6f8fa;
  --target: #0a7d32; --answer: #c2410c; --right: #0a7d32; --wrong: #b42318; --graded: #8a5a00; --focus: #0b5fff; }
@media (prefers-color-scheme: dark) { :root { --paper: #0d1117; --ink: #e6edf3; --soft: #9aa7b4; --line: #30363d;
  --card: #161b22; --target: #4ade80; --answer: #fb923c; --right: #4ade80; --wrong: #ff8a80; --graded: #f0b429; --focus: #6ea8fe; } }
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
form { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: 0.5rem 1rem; align-items: center; padding: 0.5rem 0;
  background: var(--paper); border-bottom: 1px solid var(--line); }
[hidden] { display: none !important; }
input, select { font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--soft); border-radius: 4px; padding: 0.2rem 0.4rem; }
input[type=search] { flex: 1 1 12rem; min-width: 8rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: 1rem; margin-top: 1rem; align-items: start; }
article { background: var(--card); border: 1px solid var(--line); border-top: 4px solid var(--soft); border-radius: 6px; padding: 0.75rem; }
article[data-outcome=right] { border-top-color: var(--right); } article[data-outcome=wrong], article[data-outcome=unreadable] { border-top-color: var(--wrong); }
article[data-outcome=graded] { border-top-color: var(--graded); }
article header { display: flex; justify-content: space-between; gap: 0.5rem; font-size: 0.9rem; }
.outcome { font-weight: 600; } figure { margin: 0.5rem 0; } .view { position: relative; display: inline-block; max-width: 100%; line-height: 0; }
.view img { max-width: 100%; height: auto; border-radius: 3px; } .view svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.view rect { fill: none; stroke-width: 3px; vector-effect: non-scaling-stroke; }
rect.target, .key.target { stroke: var(--target); } rect.answer, .key.answer { stroke: var(--answer); stroke-dasharray: 6 4; }
.view text { font-weight: 700; paint-order: stroke; stroke: #000; stroke-linejoin: round; } text.target { fill: #4ade80; } text.answer { fill: #fdba74; }
.key { fill: none; stroke-width: 3px; } .legend span { margin-right: 1rem; white-space: nowrap; }
.none { border: 1px dashed var(--soft); padding: 1.5rem 0.5rem; border-radius: 4px; color: var(--soft); text-align: center; }
ul { margin: 0; padding-left: 1.2rem; }
`);

export const SCRIPT = new Html(`
const form = document.querySelector('form'), cards = [...document.querySelectorAll('article')];
const texts = cards.map((card) => card.textContent.toLowerCase()), shown = form.querySelector('output');
form.hidden = false;
const apply = () => {
  const outcomes = new Set([...form.querySelectorAll('[name=outcome]:checked')].map((box) => box.value));
  const type = form.type.value, words = form.search.value.toLowerCase().trim();
  let count = 0;
  cards.forEach((card, i) => {
    const isShown = outcomes.has(card.dataset.outcome) && (type === '' || card.dataset.type === type) && texts[i].includes(words);
    card.hidden = !isShown;
    if (isShown) count++;
  });
  shown.textContent = count + ' of ' + cards.length + ' shown';
};
form.addEventListener('input', apply);
form.addEventListener('submit', (event) => event.preventDefault());
apply();
`);
