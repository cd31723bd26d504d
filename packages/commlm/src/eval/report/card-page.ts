/** The style of the report's cards and the few lines that filter them; the page is read without the latter as well. */
import { Html } from '../../report/html.js';

export const CARD_STYLE = new Html(`
:root { --card: #f6f8fa; --target: #0a7d32; --answer: #c2410c; --right: #0a7d32; --wrong: #b42318; --graded: #8a5a00; }
@media (prefers-color-scheme: dark) { :root {
  --card: #161b22; --target: #4ade80; --answer: #fb923c; --right: #4ade80; --wrong: #ff8a80; --graded: #f0b429; } }
form { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: 0.5rem 1rem; align-items: center; padding: 0.5rem 0;
  background: var(--paper); border-bottom: 1px solid var(--line); }
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
`);

export const CARD_FILTER = new Html(`
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
