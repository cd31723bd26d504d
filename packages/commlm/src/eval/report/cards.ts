/** Samples as cards: the picture with both boxes, the question, and what became of the answer. */
import { decodeImage } from '../../images/decode.js';
import { encodePicture } from '../../images/draw.js';
import { resize } from '../../images/resize.js';
import { type Html, html } from '../../report/html.js';
import type { PictureReader } from '../benchmarks/pictures.js';
import type { CornerBox } from '../metrics/rec.js';
import type { EvalSample } from '../results.js';

/** How an answer came out; `graded` where there is no right and wrong, or something between them. */
export const OUTCOMES = ['unreadable', 'wrong', 'graded', 'right'] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** The outcome of a sample. */
export function outcomeOf({ parsed, correct }: EvalSample): Outcome {
  if (parsed === null) return 'unreadable';
  return correct === null ? 'graded' : correct ? 'right' : 'wrong';
}

/** What the filter by type goes by: the part of the data, and the kind of question. */
export function typeOf(benchmark: string, { group, kind }: EvalSample): string {
  return [benchmark, group, kind].filter((name) => name !== undefined).join(' / ');
}

const FAILURE_SHARE = 0.75;

/** The samples that get a card: failures first, worst graded ones next, and room for some that are right. */
export function chooseSamples(samples: readonly EvalSample[], limit: number): readonly EvalSample[] {
  if (samples.length <= limit) return sortByOutcome(samples);
  const isFailure = (sample: EvalSample): boolean => ['unreadable', 'wrong'].includes(outcomeOf(sample));
  const sorted = sortByOutcome(samples);
  const failures = sorted.filter(isFailure);
  const others = sorted.filter((sample) => !isFailure(sample));
  const numOthers = Math.min(others.length, Math.max(limit - failures.length, Math.round(limit * (1 - FAILURE_SHARE))));
  return [...failures.slice(0, limit - numOthers), ...others.slice(0, numOthers)];
}

function sortByOutcome(samples: readonly EvalSample[]): readonly EvalSample[] {
  const rank = (sample: EvalSample): number => OUTCOMES.indexOf(outcomeOf(sample));
  return [...samples].sort((a, b) => rank(a) - rank(b) || a.score - b.score);
}

/** A small copy of a picture as a data URL, with the size of the original. */
export interface Thumbnail {
  readonly url: string;
  readonly width: number;
  readonly height: number;
}

const LONG_SIDE = 320;

/** Makes thumbnails, each picture once; a picture that is gone or broken gives null. */
export class ThumbnailMaker {
  readonly #reader: PictureReader;
  readonly #made = new Map<string, Promise<Thumbnail | null>>();

  constructor(reader: PictureReader) {
    this.#reader = reader;
  }

  make(key: string): Promise<Thumbnail | null> {
    let thumbnail = this.#made.get(key);
    if (thumbnail === undefined) {
      thumbnail = this.#shrink(key).catch(() => null); // the report says so in the place of the picture
      this.#made.set(key, thumbnail);
    }
    return thumbnail;
  }

  async #shrink(key: string): Promise<Thumbnail> {
    const image = await decodeImage(await this.#reader.read(key));
    const { width, height } = image;
    const scale = Math.min(1, LONG_SIDE / Math.max(width, height));
    const side = (length: number): number => Math.max(1, Math.round(length * scale));
    const small = scale === 1 ? image : resize(image, side(width), side(height), 'bilinear');
    const bytes = await encodePicture(small, 'webp');
    return { url: `data:image/webp;base64,${Buffer.from(bytes).toString('base64')}`, width, height };
  }
}

/** A frame with its name; the name stands inside at the top, or at the bottom for answers, so that both can be read. */
function drawBox(box: CornerBox, name: 'target' | 'answer', { width, height }: Thumbnail): Html {
  const [left, right] = [Math.min(box[0], box[2]), Math.max(box[0], box[2])];
  const [top, bottom] = [Math.min(box[1], box[3]), Math.max(box[1], box[3])];
  const size = Math.max(width, height) / 20;
  const x = Math.max(0, Math.min(left + size * 0.2, width - size * 3.5));
  const wanted = name === 'target' ? top + size : bottom - size * 0.3;
  const y = Math.max(size, Math.min(wanted, height - size * 0.2));
  return html`<rect class="${name}" x="${left}" y="${top}" width="${right - left}" height="${bottom - top}"/><text class="${name}" x="${x.toFixed(1)}" y="${y.toFixed(1)}" font-size="${size.toFixed(1)}" stroke-width="${(size / 5).toFixed(2)}">${name}</text>`;
}

function pictureOf(sample: EvalSample, thumbnail: Thumbnail | null): Html {
  const { picture, boxes } = sample;
  if (picture === null) return html`<p class="none">asked without a picture</p>`;
  if (thumbnail === null) return html`<p class="none">the picture ${picture} is not there</p>`;
  const { url, width, height } = thumbnail;
  const drawn = [
    ...(boxes === undefined ? [] : [drawBox(boxes.target, 'target', thumbnail)]),
    ...(boxes?.answer ? [drawBox(boxes.answer, 'answer', thumbnail)] : []),
  ];
  const overlay =
    drawn.length === 0 ? undefined : html`<svg viewBox="0 0 ${width} ${height}" aria-hidden="true">${drawn}</svg>`;
  return html`<figure><div class="view"><img src="${url}" alt="${picture}" width="${width}" height="${height}" loading="lazy">${overlay}</div></figure>`;
}

function shownValue(value: EvalSample['parsed'] | EvalSample['target']): Html {
  if (value === null) return html`<em>no rule read it</em>`;
  if (typeof value === 'string') return html`${value === '' ? '(empty)' : value}`;
  if (value.every((part) => typeof part === 'number')) {
    return html`[${value.map((part) => Number(part).toFixed(3)).join(', ')}]`;
  }
  const counts = new Map<string, number>();
  for (const text of value as readonly string[]) counts.set(text, (counts.get(text) ?? 0) + 1);
  return html`<ul>${[...counts].map(([text, count]) => html`<li>${text}${count > 1 ? ` \u00d7 ${count}` : ''}</li>`)}</ul>`;
}

/** One card. */
export async function cardOf(benchmark: string, sample: EvalSample, thumbnails: ThumbnailMaker): Promise<Html> {
  const outcome = outcomeOf(sample);
  const { id, picture, prompt, answer, blindAnswer, parsed, target, score } = sample;
  const thumbnail = picture === null ? null : await thumbnails.make(picture);
  const blind = blindAnswer === undefined ? undefined : html`<dt>grey picture</dt><dd>${blindAnswer}</dd>`;
  return html`<article data-outcome="${outcome}" data-type="${typeOf(benchmark, sample)}">
<header><span class="outcome">${outcome}</span><span class="soft">${id}</span></header>
${pictureOf(sample, thumbnail)}
<dl><dt>question</dt><dd>${prompt}</dd><dt>answer</dt><dd>${answer === '' ? '(empty)' : answer}</dd>${blind}
<dt>read as</dt><dd>${shownValue(parsed)}</dd><dt>target</dt><dd>${shownValue(target)}</dd><dt>score</dt><dd>${formatFigure(score)}</dd></dl>
</article>
`;
}

/** A figure with four decimals below ten and two above. */
export function formatFigure(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(Math.abs(value) < 10 ? 4 : 2);
}
