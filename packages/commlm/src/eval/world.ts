/**
 * Figures of a model on unseen scenes of the synthetic world: does it look? Every question is asked with its picture, with the
 * picture of another scene and with a grey one; a fourth column is the best constant answer learnt from train scenes. What
 * the highest of those three scores is had without looking.
 */
import { anything, type Checks, checkOptions } from '../config/check-options.js';
import { CommError } from '../config/errors.js';
import { loadSpriteBank, renderScene, type StyleChoice } from '../data/world/index.js';
import type { BatchAnswerer } from '../generate/answer.js';
import type { RgbImage } from '../images/decode.js';
import type { Interval } from './bootstrap.js';
import { greyPicture } from './grey-picture.js';
import { type Column, compareColumns, type Margin, type WorldFigures } from './world-figures.js';
import { itemsOf, type SceneStream, sceneAt, type WorldItem, type WorldType } from './world-items.js';
import { learnPrior } from './world-prior.js';

/** Settings of the measurement. */
export interface WorldEvalOptions {
  /** Scenes; every one gets one question of each type that it can answer. */
  readonly count: number;
  readonly style: StyleChoice;
  /** Stream of scenes; none of the training streams. */
  readonly seed: number;
  /** Long side of the pictures in pixels. */
  readonly size: number;
  readonly batchSize: number;
  readonly signal?: AbortSignal | undefined;
  /** Sprites that are drawn, once on a machine. */
  readonly onSprites?: ((done: number, total: number) => void) | undefined;
  /** Train scenes that the best constant answers are learnt from, once in a process. */
  readonly onPrior?: ((done: number, total: number) => void) | undefined;
  /** Questions that are answered, from none on. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

const OPTIONS: Checks<WorldEvalOptions> = {
  count: anything,
  style: anything,
  seed: anything,
  size: anything,
  batchSize: anything,
  signal: anything,
  onSprites: anything,
  onPrior: anything,
  onProgress: anything,
};

const NEEDED = ['count', 'style', 'seed', 'size', 'batchSize'] as const;

/** One question with what was answered. */
export interface WorldSample {
  readonly scene: number;
  readonly type: WorldType;
  readonly question: string;
  readonly target: string;
  readonly answer: string;
  readonly wrongPictureAnswer: string;
  readonly greyAnswer: string;
  readonly priorAnswer: string;
}

/** What `evaluateWorld` gives. */
export interface WorldResults {
  readonly scenes: number;
  readonly questions: Readonly<Record<string, number>>;
  readonly withPicture: WorldFigures;
  /** With the picture of another scene. */
  readonly withWrongPicture: WorldFigures;
  readonly withGrey: WorldFigures;
  /** The best constant answers. */
  readonly withPrior: WorldFigures;
  /** What they were learnt from, and the one of each type over all wordings. */
  readonly prior: { readonly trainScenes: number; readonly constants: Readonly<Record<string, string>> };
  /** 95 % intervals of `withPicture` over scenes, by figure; a kind of VQA question is `vqa.<kind>`. */
  readonly intervals: Readonly<Record<string, Interval>>;
  /** `withPicture` less the highest of the other three, by figure. */
  readonly margins: Readonly<Record<string, Margin>>;
  readonly samples: readonly WorldSample[];
}

/** How far behind a scene the other one lies whose picture is shown in its place; the next one is the second of its pair. */
const WRONG_OFFSET = 2;

/** Pictures of a stream, each painted once while the questions move along it. */
class Painter {
  readonly #stream: SceneStream;
  readonly #pictures = new Map<number, RgbImage>();

  constructor(stream: SceneStream) {
    this.#stream = stream;
  }

  paint(index: number): RgbImage {
    let picture = this.#pictures.get(index);
    if (picture === undefined) {
      picture = renderScene(sceneAt(this.#stream, index), this.#stream.bank);
      this.#pictures.set(index, picture);
    }
    return picture;
  }

  /** Forgets the pictures before a place. */
  forget(before: number): void {
    for (const index of this.#pictures.keys()) if (index < before) this.#pictures.delete(index);
  }
}

/** What a question is asked with. */
function picturesFor({ index, second }: WorldItem, column: Exclude<Column, 'prior'>, painter: Painter): RgbImage[] {
  const places = second === undefined ? [index] : [index, second];
  if (column === 'wrong') return places.map((_, i) => painter.paint(index + WRONG_OFFSET + i));
  const pictures = places.map((place) => painter.paint(place));
  return column === 'grey' ? pictures.map(greyPicture) : pictures;
}

/** Asks every question with each kind of picture, and scores all columns. */
export async function evaluateWorld(model: BatchAnswerer, options: WorldEvalOptions): Promise<WorldResults> {
  checkOptions(options, OPTIONS, {
    what: 'The options of the evaluation',
    needed: NEEDED,
    fix: 'Give {count, style, seed, size, batchSize}.',
  });
  const { style, size, seed, count, batchSize, signal } = options;
  const bank = await loadSpriteBank({ onProgress: options.onSprites });
  const stream: SceneStream = { bank, split: 'test', style, seed, size };
  const scenes = Array.from({ length: count }, (_, index) => ({ scene: sceneAt(stream, index), index }));
  const items = scenes.flatMap((scene, index) => itemsOf(scene, scenes[(index + 1) % count]!));
  const prior = await learnPrior(bank, { signal, onProgress: options.onPrior });
  const painter = new Painter(stream);
  const asked = { picture: [] as string[], wrong: [] as string[], grey: [] as string[] };
  options.onProgress?.(0, items.length);
  for (let start = 0; start < items.length; start += batchSize) {
    signal?.throwIfAborted();
    const group = items.slice(start, start + batchSize);
    for (const column of ['picture', 'wrong', 'grey'] as const) {
      const requests = group.map((item) => ({
        images: picturesFor(item, column, painter),
        question: item.question,
        history: item.history,
      }));
      for (const result of await model.askBatch(requests, { signal })) {
        if (result instanceof CommError) throw result;
        asked[column].push(result.answer);
      }
    }
    painter.forget(Math.min(...group.map(({ index }) => index)));
    options.onProgress?.(Math.min(items.length, start + batchSize), items.length);
  }
  const answers = { ...asked, prior: items.map(prior.answerTo) };
  const { figures, intervals, margins } = compareColumns(items, answers);
  const questions: Record<string, number> = {};
  for (const { type } of items) questions[type] = (questions[type] ?? 0) + 1;
  return {
    scenes: count,
    questions,
    withPicture: figures.picture,
    withWrongPicture: figures.wrong,
    withGrey: figures.grey,
    withPrior: figures.prior,
    prior: { trainScenes: prior.scenes, constants: prior.constants },
    intervals,
    margins,
    samples: items.map(({ index, type, question, target }, i) => ({
      scene: index,
      type,
      question,
      target,
      answer: answers.picture[i]!,
      wrongPictureAnswer: answers.wrong[i]!,
      greyAnswer: answers.grey[i]!,
      priorAnswer: answers.prior[i]!,
    })),
  };
}
