/**
 * Figures of a model on unseen scenes of the synthetic world: does it look? Every question is asked twice, with the
 * picture and with a grey one in its place; what the grey one scores is what words alone give away.
 */

import { CommError } from '../config/errors.js';
import {
  captionsFor,
  loadSpriteBank,
  makeScene,
  renderScene,
  type Scene,
  type StyleChoice,
  sceneSeed,
  type Turn,
  turnsFor,
} from '../data/world/index.js';
import { writeTurn } from '../data/world-turns.js';
import type { Answerer } from '../generate/batch.js';
import type { RgbImage } from '../images/decode.js';
import { scoreCaptions } from './metrics/captions.js';
import { scorePope } from './metrics/pope.js';
import { scoreRec } from './metrics/rec.js';

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
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** One question with what was answered. */
export interface WorldSample {
  readonly scene: number;
  readonly type: Turn['type'];
  readonly question: string;
  readonly target: string;
  readonly answer: string;
  readonly greyAnswer: string;
}

/** Shares between 0 and 1, except CIDEr (0 to 10). */
export interface WorldFigures {
  readonly existence: number;
  readonly existenceYesRatio: number;
  readonly vqa: number;
  readonly vqaByType: Readonly<Record<string, number>>;
  readonly rec: number;
  readonly recMeanIou: number;
  readonly captionCider: number;
}

/** What `evaluateWorld` gives. */
export interface WorldResults {
  readonly scenes: number;
  readonly questions: Readonly<Record<string, number>>;
  readonly withPicture: WorldFigures;
  readonly withGrey: WorldFigures;
  readonly samples: readonly WorldSample[];
}

/** Kinds of questions with a one-phrase answer, scored by equality. */
const VQA_TYPES = ['object', 'color', 'count', 'position', 'relation', 'name-at'] as const;
const TYPES = ['existence', ...VQA_TYPES, 'rec', 'caption'] as const;
const REFERENCES = 5;
const GREY = 128;

interface Item {
  readonly scene: Scene;
  readonly index: number;
  readonly type: (typeof TYPES)[number];
  readonly turn: Turn;
  readonly question: string;
  readonly target: string;
}

/** The short answer in `The answer is X.`, lower case. */
export function shortAnswer(text: string): string {
  const match = /the answer is (.*?)\.?\s*$/i.exec(text.trim());
  return (match?.[1] ?? text).trim().toLowerCase();
}

const greyOf = ({ width, height }: RgbImage): RgbImage => ({
  width,
  height,
  data: new Uint8Array(width * height * 3).fill(GREY),
});

function itemsOf(scene: Scene, index: number): Item[] {
  return TYPES.flatMap((type) => {
    const [turn] = turnsFor(scene, scene.seed, { types: [type], max: 1 });
    if (turn === undefined || turn.type !== type) return [];
    const { question, answer } = writeTurn(turn, scene);
    return [{ scene, index, type, turn, question, target: answer }];
  });
}

/** Ask every question with and without the picture, and score both. */
export async function evaluateWorld(model: Answerer, options: WorldEvalOptions): Promise<WorldResults> {
  const bank = await loadSpriteBank();
  const items: Item[] = [];
  for (let index = 0; index < options.count; index++) {
    const scene = makeScene(sceneSeed(options.seed, index), {
      bank,
      split: 'test',
      style: options.style,
      size: options.size,
    });
    items.push(...itemsOf(scene, index));
  }
  const answers: string[] = [];
  const greyAnswers: string[] = [];
  const pictures = new Map<number, { picture: RgbImage; grey: RgbImage }>();
  for (let start = 0; start < items.length; start += options.batchSize) {
    options.signal?.throwIfAborted();
    const group = items.slice(start, start + options.batchSize);
    for (const { scene, index } of group) {
      if (pictures.has(index)) continue;
      const picture = renderScene(scene, bank);
      pictures.set(index, { picture, grey: greyOf(picture) });
    }
    for (const [into, kind] of [
      [answers, 'picture'],
      [greyAnswers, 'grey'],
    ] as const) {
      const requests = group.map(({ index, question }) => ({ images: [pictures.get(index)![kind]], question }));
      for (const result of await model.askBatch(requests, options.signal ? { signal: options.signal } : {})) {
        if (result instanceof CommError) throw result;
        into.push(result.answer);
      }
    }
    for (const index of [...pictures.keys()]) if (index < (group.at(-1) as Item).index) pictures.delete(index);
    options.onProgress?.(Math.min(items.length, start + options.batchSize), items.length);
  }
  const questions: Record<string, number> = {};
  for (const { type } of items) questions[type] = (questions[type] ?? 0) + 1;
  return {
    scenes: options.count,
    questions,
    withPicture: figures(items, answers),
    withGrey: figures(items, greyAnswers),
    samples: items.map(({ index, type, question, target }, i) => ({
      scene: index,
      type,
      question,
      target,
      answer: answers[i] as string,
      greyAnswer: greyAnswers[i] as string,
    })),
  };
}

function figures(items: readonly Item[], answers: readonly string[]): WorldFigures {
  const of = (type: string): { item: Item; answer: string }[] =>
    items.flatMap((item, i) => (item.type === type ? [{ item, answer: answers[i] as string }] : []));
  const existence = of('existence');
  const pope = scorePope(
    existence.map(({ item }) => shortAnswer(item.target)),
    existence.map(({ answer }) => shortAnswer(answer)),
  );
  const vqaByType: Record<string, number> = {};
  let right = 0;
  let asked = 0;
  for (const type of VQA_TYPES) {
    const pairs = of(type);
    if (pairs.length === 0) continue;
    const hits = pairs.filter(({ item, answer }) => shortAnswer(item.target) === shortAnswer(answer)).length;
    vqaByType[type] = hits / pairs.length;
    right += hits;
    asked += pairs.length;
  }
  const rec = of('rec');
  const recScores = scoreRec(
    rec.map(({ item: { scene, turn } }) => ({
      box: turn.boxes![0] as unknown as [number, number, number, number],
      width: scene.width,
      height: scene.height,
    })),
    rec.map(({ answer }) => answer),
  );
  const captions = of('caption');
  const cider = scoreCaptions(
    new Map(captions.map(({ item }) => [item.index, captionsFor(item.scene, item.scene.seed, REFERENCES)])),
    new Map(captions.map(({ item, answer }) => [item.index, answer])),
  ).CIDEr;
  return {
    existence: pope.accuracy,
    existenceYesRatio: pope.yesRatio,
    vqa: asked === 0 ? 0 : right / asked,
    vqaByType,
    rec: recScores.accuracy,
    recMeanIou: recScores.meanIoU,
    captionCider: cider,
  };
}
