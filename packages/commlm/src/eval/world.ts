/**
 * Figures of a model on unseen scenes of the synthetic world: does it look? Every question is asked twice, with the
 * picture and with a grey one in its place; what the grey one scores is what words alone give away.
 */

import { CommError } from '../config/errors.js';
import {
  captionsFor,
  loadSpriteBank,
  makeScene,
  pairTurnsFor,
  renderScene,
  type Scene,
  type StyleChoice,
  sceneSeed,
  turnsFor,
} from '../data/world/index.js';
import { type WrittenTurn, writeTurn } from '../data/world-turns.js';
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
  readonly type: (typeof TYPES)[number];
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
  /** Questions with a one-phrase answer as the last turn of a conversation about the picture, whose answers before are true. */
  readonly dialogue: number;
  /** Questions with a one-phrase answer about two pictures. */
  readonly pairs: number;
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
const TYPES = ['existence', ...VQA_TYPES, 'dialogue', 'pairs', 'rec', 'caption'] as const;
/** Turns before the one that is asked in a conversation. */
const TURNS_BEFORE = 2;
const REFERENCES = 5;
const GREY = 128;

interface Item {
  readonly scene: Scene;
  readonly index: number;
  readonly type: (typeof TYPES)[number];
  readonly question: string;
  readonly target: string;
  /** Where there is one to point at: its box in pixels of the scene. */
  readonly box?: readonly number[];
  readonly history?: readonly WrittenTurn[];
  /** A second picture, shown behind that of `scene`. */
  readonly second?: Scene;
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

/** One question of each type that the scene has an answer to; `second` is a scene to be shown beside it. */
function itemsOf(scene: Scene, second: Scene, index: number): Item[] {
  const single = (['existence', ...VQA_TYPES, 'rec', 'caption'] as const).flatMap((type): Item[] => {
    const [turn] = turnsFor(scene, scene.seed, { types: [type], max: 1 });
    if (turn === undefined || turn.type !== type) return [];
    const { question, answer } = writeTurn(turn, scene);
    const [box] = turn.boxes ?? [];
    return [{ scene, index, type, question, target: answer, ...(box === undefined ? {} : { box }) }];
  });
  return [...single, ...dialogueItem(scene, index), ...pairItem(scene, second, index)];
}

function dialogueItem(scene: Scene, index: number): Item[] {
  const turns = turnsFor(scene, scene.seed + 1, { types: ['existence', ...VQA_TYPES], max: TURNS_BEFORE + 1 });
  const written = turns.map((turn) => writeTurn(turn, scene));
  const last = written.pop();
  if (last === undefined || written.length === 0) return [];
  return [{ scene, index, type: 'dialogue', question: last.question, target: last.answer, history: written }];
}

function pairItem(scene: Scene, second: Scene, index: number): Item[] {
  const types = ['which', 'existence', 'both', 'count'] as const;
  const [turn] = pairTurnsFor([scene, second], scene.seed, { max: 1, types });
  if (turn === undefined) return [];
  return [{ scene, second, index, type: 'pairs', question: turn.question, target: turn.answer }];
}

/** Ask every question with and without the picture, and score both. */
export async function evaluateWorld(model: Answerer, options: WorldEvalOptions): Promise<WorldResults> {
  const bank = await loadSpriteBank();
  const { style, size } = options;
  const sceneAt = (index: number): Scene =>
    makeScene(sceneSeed(options.seed, index), { bank, split: 'test', style, size });
  const items: Item[] = [];
  for (let index = 0; index < options.count; index++) {
    items.push(...itemsOf(sceneAt(index), sceneAt((index + 1) % options.count), index));
  }
  const answers: string[] = [];
  const greyAnswers: string[] = [];
  const pictures = new Map<number, { picture: RgbImage; grey: RgbImage }>();
  for (let start = 0; start < items.length; start += options.batchSize) {
    options.signal?.throwIfAborted();
    const group = items.slice(start, start + options.batchSize);
    for (const { scene, second } of group) {
      for (const shown of second === undefined ? [scene] : [scene, second]) {
        if (pictures.has(shown.seed)) continue;
        const picture = renderScene(shown, bank);
        pictures.set(shown.seed, { picture, grey: greyOf(picture) });
      }
    }
    for (const [into, kind] of [
      [answers, 'picture'],
      [greyAnswers, 'grey'],
    ] as const) {
      const requests = group.map(({ scene, second, question, history }) => ({
        images: (second === undefined ? [scene] : [scene, second]).map(({ seed }) => pictures.get(seed)![kind]),
        question,
        ...(history === undefined ? {} : { history }),
      }));
      for (const result of await model.askBatch(requests, options.signal ? { signal: options.signal } : {})) {
        if (result instanceof CommError) throw result;
        into.push(result.answer);
      }
    }
    const recent = new Set(group.slice(-2 * TYPES.length).flatMap(({ scene, second }) => [scene.seed, second?.seed]));
    for (const seed of [...pictures.keys()]) if (!recent.has(seed)) pictures.delete(seed);
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
  const hits = (type: string): number =>
    of(type).filter(({ item, answer }) => shortAnswer(item.target) === shortAnswer(answer)).length;
  const share = (type: string): number => hits(type) / Math.max(1, of(type).length);
  const vqaByType: Record<string, number> = {};
  let right = 0;
  let asked = 0;
  for (const type of VQA_TYPES) {
    const count = of(type).length;
    if (count === 0) continue;
    vqaByType[type] = share(type);
    right += hits(type);
    asked += count;
  }
  const rec = of('rec');
  const recScores = scoreRec(
    rec.map(({ item: { scene, box } }) => ({
      box: box as unknown as [number, number, number, number],
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
    dialogue: share('dialogue'),
    pairs: share('pairs'),
    rec: recScores.accuracy,
    recMeanIou: recScores.meanIoU,
    captionCider: cider,
  };
}
