/**
 * What words alone give: the best constant answer to a kind of question, learnt from scenes of the train split. A grey picture
 * does not show that, since a model that was never shown one answers it at random.
 */
import { setImmediate } from 'node:timers/promises';
import {
  boxInSquare,
  CATEGORY_WORDS,
  COLOR_NAMES,
  captionsFor,
  NOUNS,
  type PixelBox,
  type SpriteBank,
} from '../data/world/index.js';
import { formatBoxes, type TextBox } from '../text/boxes.js';
import { cider } from './metrics/cider.js';
import { NgramIndex } from './metrics/ngrams.js';
import { ptbTokenize } from './metrics/ptb-tokenizer.js';
import { itemsOf, type SceneStream, sceneAt, shortAnswer, type WorldItem, type WorldType } from './world-items.js';

/** Train scenes that the answers are learnt from, and questions of each type about one of them. */
const NUM_SCENES = 5000;
const NUM_DRAWS = 4;
/** The stream of train scenes. */
const TRAIN_SEED = 0;
const TRAIN_SIZE = 256;
/** Train captions that are tried as the one for all, on as many other scenes. */
const NUM_CAPTIONS = 300;
const REFERENCES = 5;

/** Constant answers. */
export interface WorldPrior {
  /** Train scenes that it was learnt from. */
  readonly scenes: number;
  /** The best one of each type over all wordings. */
  readonly constants: Readonly<Record<string, string>>;
  /** The best answer to questions of that type and wording. */
  readonly answerTo: (item: Pick<WorldItem, 'type' | 'question'>) => string;
}

const escapeWord = (word: string): string => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
const KINDS = new Set(Object.values(CATEGORY_WORDS).flatMap((words) => words ?? []));
/** Names of things and colours, longest first; words for kinds of things stay, since they narrow the answer down. */
const NAMES = [...NOUNS.flatMap(({ name, plural }) => [plural, name]), ...COLOR_NAMES]
  .filter((word) => !KINDS.has(word))
  .sort((a, b) => b.length - a.length);
const NAME = new RegExp(`\\b(?:${NAMES.map(escapeWord).join('|')})\\b`, 'gi');

/** The wording of a question: without names of things, colours and numbers of boxes. */
export function wordingOf(question: string): string {
  return question
    .replace(/\[[\d.,;]+\]/g, '[]')
    .replace(NAME, '_')
    .replace(/_(?: _)+/g, '_')
    .replace(/\ban _/g, 'a _');
}

/** How often each answer was right. */
type Counts = Map<string, number>;

function count(counts: Map<string, Counts>, key: string, answer: string): void {
  const own = counts.get(key) ?? new Map<string, number>();
  counts.set(key, own);
  own.set(answer, (own.get(answer) ?? 0) + 1);
}

/** The most frequent answer; of equals the first by name. */
function mostFrequent(counts: Counts): string {
  const [[answer = ''] = []] = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  return answer;
}

/**
 * Standard errors by which the best answer to one wording must beat the best to all. Chosen on other train scenes: with 0
 * wordings that are rare follow chance, from 1 on real differences are lost.
 */
const CLEARLY = 0.5;

function bestFor(wording: Counts, constant: string): string {
  const best = mostFrequent(wording);
  const [own, common] = [wording.get(best) ?? 0, wording.get(constant) ?? 0];
  return own - common > CLEARLY * Math.sqrt(own + common) ? best : constant;
}

/** Counts the answers to questions as they come, since those of all scenes would fill the memory. */
class ShortAnswers {
  readonly #byType = new Map<string, Counts>();
  readonly #byWording = new Map<string, Counts>();

  add(item: WorldItem): void {
    const answer = shortAnswer(item.target);
    count(this.#byType, item.type, answer);
    count(this.#byWording, keyOf(item), answer);
  }

  learn(): Pick<WorldPrior, 'constants' | 'answerTo'> {
    const constants = Object.fromEntries([...this.#byType].map(([type, counts]) => [type, mostFrequent(counts)]));
    const answers = new Map(
      [...this.#byWording].map(([key, counts]) => [key, bestFor(counts, constants[key.slice(0, key.indexOf(' '))]!)]),
    );
    return { constants, answerTo: (item) => answers.get(keyOf(item)) ?? constants[item.type]! };
  }
}

const keyOf = ({ type, question }: Pick<WorldItem, 'type' | 'question'>): string => `${type} ${wordingOf(question)}`;

/** Whether two boxes overlap by more than one half of their union. */
function overlap(a: TextBox, b: TextBox): boolean {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return false;
  const inner = width * height;
  return 2 * inner > (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner;
}

/** The box that overlaps most of the boxes by more than one half: the best of a coarse grid, then moved by ever finer steps. */
export function bestBox(boxes: readonly TextBox[]): TextBox {
  const hits = (box: TextBox): number => boxes.reduce((sum, other) => sum + (overlap(box, other) ? 1 : 0), 0);
  const steps = Array.from({ length: 11 }, (_, i) => i / 10);
  let best: TextBox = [0, 0, 1, 1];
  let most = hits(best);
  const tryBox = (box: TextBox): void => {
    const number = box[0] < box[2] && box[1] < box[3] ? hits(box) : 0;
    if (number > most) [best, most] = [box, number];
  };
  for (const x1 of steps)
    for (const y1 of steps) for (const x2 of steps) for (const y2 of steps) tryBox([x1, y1, x2, y2]);
  for (let step = 0.05; step > 0.004; step /= 2) {
    let before: TextBox | undefined;
    while (before !== best) {
      before = best;
      for (const side of [0, 1, 2, 3]) {
        for (const move of [-step, step]) {
          tryBox(before.map((value, i) => (i === side ? value + move : value)) as unknown as TextBox);
        }
      }
    }
  }
  return best;
}

/** Of the captions of some scenes the one that has the highest CIDEr on other scenes. */
function bestCaption(stream: SceneStream): string {
  const scenes = Array.from({ length: 2 * NUM_CAPTIONS }, (_, index) => sceneAt(stream, index));
  const captions = scenes.map((scene) => captionsFor(scene, scene.seed, REFERENCES));
  const candidates = [...new Set(captions.slice(0, NUM_CAPTIONS).map(([first]) => first as string))];
  const references = captions.slice(NUM_CAPTIONS);
  const index = new NgramIndex();
  const tokens = ptbTokenize(references.flat()).map((text) => index.count(text));
  const counted = references.map((_, i) => tokens.slice(i * REFERENCES, (i + 1) * REFERENCES));
  const tried = ptbTokenize(candidates).map((text) => index.count(text));
  const scores = tried.map((candidate) => {
    return cider(counted, new Array<typeof candidate>(counted.length).fill(candidate), index).corpus;
  });
  return candidates[scores.indexOf(Math.max(...scores))]!;
}

/** How the learning is watched. */
export interface PriorOptions {
  readonly signal?: AbortSignal | undefined;
  /** Train scenes that were looked at. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Scenes between two looks at the clock and the signal. */
const SCENES_A_TURN = 50;

/** By the version of the sprites, which decide it. */
const learnt = new Map<string, WorldPrior>();

/** Learns the answers: the same for the same sprites, and so once in a process. */
export async function learnPrior(bank: SpriteBank, options: PriorOptions = {}): Promise<WorldPrior> {
  const before = learnt.get(bank.version);
  if (before !== undefined) return before;
  const prior = await learn(bank, options);
  learnt.set(bank.version, prior);
  return prior;
}

async function learn(bank: SpriteBank, { signal, onProgress }: PriorOptions): Promise<WorldPrior> {
  const stream: SceneStream = { bank, split: 'train', style: 'known', seed: TRAIN_SEED, size: TRAIN_SIZE };
  const short = new ShortAnswers();
  const boxes: TextBox[] = [];
  let numBoxes = 0;
  let scene = sceneAt(stream, 0);
  for (let index = 0; index < NUM_SCENES; index++) {
    if (index % SCENES_A_TURN === 0) {
      onProgress?.(index, NUM_SCENES);
      await setImmediate();
      signal?.throwIfAborted();
    }
    const next = sceneAt(stream, index + 1);
    for (let draw = 0; draw < NUM_DRAWS; draw++) {
      for (const item of itemsOf({ scene, index }, { scene: next, index: index + 1 }, draw)) {
        // One of a scene is enough for a box.
        if (item.type === 'rec' && numBoxes++ % NUM_DRAWS === 0) {
          boxes.push(boxInSquare(item.box as unknown as PixelBox, scene));
        }
        if (item.type !== 'rec' && item.type !== 'caption') short.add(item);
      }
    }
    scene = next;
  }
  const { constants, answerTo } = short.learn();
  const fixed: Partial<Record<WorldType, string>> = {
    rec: formatBoxes([bestBox(boxes)]),
    caption: bestCaption(stream),
  };
  onProgress?.(NUM_SCENES, NUM_SCENES);
  return {
    scenes: NUM_SCENES,
    constants: { ...constants, ...fixed },
    answerTo: (item) => fixed[item.type] ?? `The answer is ${answerTo(item)}.`,
  };
}
