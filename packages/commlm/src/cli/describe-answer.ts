/** What `ask` and `chat` say of an answer beside its text. */
import type { Answer } from '../generate/answer.js';
import { note, styleOf } from './output.js';
import { printable } from './terminal-text.js';

/** Boxes in pixels, and that an answer was cut; on stderr, so that stdout is the answer alone. */
export function describeAnswer({ boxes, finishReason }: Pick<Answer, 'boxes' | 'finishReason'>): void {
  const style = styleOf(process.stderr);
  for (const { label, box } of boxes)
    note(style.cyan(`  ${printable(label ?? 'box')}: ${box.map(Math.round).join(', ')} px`));
  if (finishReason === 'length') note(style.yellow('  (cut at the longest answer; --max-new-tokens allows more)'));
}
