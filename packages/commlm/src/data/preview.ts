/** Samples as a model sees them, for people: runs of learned, read and picture tokens, and the boxes on their pictures. */

import type { LabelledBox } from '../images/draw.js';
import { normalizedPointToPixel, normalizedToPixel } from '../images/frames.js';
import { parseBoxes, parsePoints } from '../text/boxes.js';
import { IGNORE_LABEL } from '../text/conversation.js';
import type { Tokenizer } from '../text/tokenizer.js';
import { type Example, normalizedMark } from './example.js';
import type { PreparedSample } from './reader.js';

/** A run of tokens of one kind. */
export interface Span {
  /** What is learned, what is only read, the visual tokens of a picture, padding. */
  readonly kind: 'learned' | 'read' | 'picture' | 'padding';
  readonly text: string;
  readonly numTokens: number;
}

/** Runs of a row of ids: learned where there is a label, picture where the id is a placeholder. */
export function spansOf(
  ids: readonly number[],
  labels: readonly number[],
  tokenizer: Tokenizer,
  patchId: number,
): Span[] {
  const spans: Span[] = [];
  const stream = tokenizer.stream({ skipSpecial: false });
  let numPictures = 0;
  let run: { kind: Span['kind']; text: string; numTokens: number } | undefined;
  for (const [t, id] of ids.entries()) {
    const kind = id === patchId ? 'picture' : labels[t] === IGNORE_LABEL ? 'read' : 'learned';
    if (run?.kind !== kind) {
      run = { kind, text: kind === 'picture' ? `picture ${++numPictures}` : '', numTokens: 0 };
      spans.push(run);
    }
    run.numTokens++;
    if (kind !== 'picture') run.text += stream.push(id);
  }
  const rest = stream.end();
  if (rest !== '' && run !== undefined && run.kind !== 'picture') run.text += rest;
  return spans;
}

/** Half a side of the square that stands for a point, as a share of the picture's long side. */
const POINT_SIZE = 0.01;

/**
 * Boxes and points on picture `picture`, in pixels and numbered. With one picture they are read back from the text, so that
 * a wrong frame shows; with several, only the marks of the sample say which picture they are on.
 */
export function marksOnPicture({ sample, example, pictures }: PreparedSample, picture: number): LabelledBox[] {
  const frames = pictures.map(({ frame }) => frame);
  const frame = frames[picture]!;
  const half = POINT_SIZE * Math.max(frame.width, frame.height);
  const texts = example.turns.flatMap(({ question, answer }) => [question, answer]);
  const found =
    pictures.length === 1
      ? texts.map((text) => ({ boxes: parseBoxes(text).flat(), points: parsePoints(text).flat() }))
      : sample.turns
          .slice(0, example.turns.length)
          .flatMap(({ marks }) => marks.filter((mark) => mark.picture === picture))
          .map((mark) => ({ boxes: [], points: [], ...normalizedMark(mark, frames) }));
  return found
    .flatMap(({ boxes, points }): LabelledBox['box'][] => [
      ...boxes.map((box) => normalizedToPixel(box, frame)),
      ...points.map((point): LabelledBox['box'] => {
        const [x, y] = normalizedPointToPixel(point, frame);
        return [x - half, y - half, x + half, y + half];
      }),
    ])
    .map((box, i) => ({ label: String(i + 1), box }));
}

/** Tokens of an example that are learned. */
export const numLearned = ({ labels }: Pick<Example, 'labels'>): number =>
  labels.filter((label) => label !== IGNORE_LABEL).length;

/** A sample of a page. */
export interface PageSample {
  readonly title: string;
  readonly note: string;
  readonly spans: readonly Span[];
  /** Files of its pictures, relative to the page. */
  readonly pictures: readonly string[];
}

const escapeHtml = (text: string): string =>
  text.replace(/[&<>"]/g, (letter) => `&#${letter.codePointAt(0)};`).replaceAll('\n', '&#8629;\n');

/** One page with all samples: learned tokens marked, pictures beside. */
export function previewPage(title: string, samples: readonly PageSample[]): string {
  const spanHtml = ({ kind, text, numTokens }: Span): string =>
    `<span class="${kind}">${escapeHtml(kind === 'picture' ? `${text}: ${numTokens} tokens` : text)}</span>`;
  const sections = samples.map(
    ({ title: name, note, spans, pictures }) =>
      `<section><h2>${escapeHtml(name)}</h2><p>${escapeHtml(note)}</p>` +
      `${pictures.map((file) => `<img src="${encodeURI(file)}" alt="">`).join('')}<pre>${spans.map(spanHtml).join('')}</pre></section>`,
  );
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title>
<style>
:root { color-scheme: light dark; font-family: system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
section { border-top: 1px solid #8888; padding: 0.5rem 0 1rem; }
h2 { font-size: 1rem; margin: 0.5rem 0; }
p { opacity: 0.7; font-size: 0.85rem; }
img { max-width: 100%; max-height: 24rem; margin-right: 0.5rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.learned { background: #2e7d3244; border-bottom: 2px solid #2e7d32; }
.read { opacity: 0.7; }
.picture { background: #1565c044; border-radius: 3px; padding: 0 0.3em; }
</style>
<h1>${escapeHtml(title)}</h1>
<p><span class="learned">learned</span> <span class="read">only read</span> <span class="picture">picture</span></p>
${sections.join('\n')}
</html>
`;
}
