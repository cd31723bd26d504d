/** Data thread of COMM's stages: scenes with several questions each, packed behind one picture, digits weighed by what they decide. */
import {
  type AugmentLevel,
  loadSpriteBank,
  Random,
  type Scene,
  type StyleChoice,
  type Turn,
  turnsFor,
  worldItem,
} from '../data/world/index.js';
import { fillPlaceholders, type TextBox } from '../text/boxes.js';
import { renderConversation, renderPacked, questionWithPictures } from '../text/conversation.js';
import { Tokenizer } from '../text/tokenizer.js';
import type { CreateBatcher } from './batch-pool.js';
import type { CommRawBatch, CommTrainConfig } from './comm-task.js';

/** How often each kind of question is asked (relative), and the share of pictures that come with one long conversation. */
export interface TaskMix {
  readonly types: Readonly<Record<string, number>>;
  readonly conversationShare: number;
}

/** What the data thread needs to know. */
export interface CommBatchOptions {
  readonly side: number;
  readonly tokensPerImage: number;
  readonly batchSize: number;
  readonly questions: number;
  readonly mix: TaskMix;
  readonly tokenizer: string;
  readonly world: CommTrainConfig['world'];
}

/** How much the first, second and third digit behind the point of a coordinate count: the third is all but noise. */
const DIGIT_WEIGHTS = [1, 0.6, 0.1];

/** A turn with its boxes written out in the frame of the padded square. */
export function writeTurn(turn: Turn, scene: Scene): { question: string; answer: string } {
  const side = Math.max(scene.width, scene.height);
  const [dx, dy] = [Math.floor((side - scene.width) / 2), Math.floor((side - scene.height) / 2)];
  const inSquare = ([x1, y1, x2, y2]: readonly number[]): TextBox =>
    [((x1 as number) + dx) / side, ((y1 as number) + dy) / side, ((x2 as number) + dx) / side, ((y2 as number) + dy) / side];
  const boxes = (turn.boxes ?? []).map((box) => [inSquare(box)]);
  const inQuestion = turn.question.split('<boxes>').length - 1;
  return {
    question: fillPlaceholders(turn.question, { boxes: boxes.slice(0, inQuestion) }),
    answer: fillPlaceholders(turn.answer, { boxes: boxes.slice(inQuestion) }),
  };
}

/** Weight of each learned token: 1, and less for the later digits of a coordinate. */
export function digitWeights(ids: readonly number[], tokenizer: Tokenizer): number[] {
  let place = -1;
  return ids.map((id) => {
    const piece = tokenizer.decode([id]);
    if (/[01]\.$/.test(piece)) place = 0;
    else if (place >= 0 && /^\d$/.test(piece)) return DIGIT_WEIGHTS[place++] ?? 1;
    else place = -1;
    return 1;
  });
}

interface Row {
  readonly ids: readonly number[];
  readonly labels: readonly number[];
  readonly segments: readonly number[];
  readonly positions: readonly number[];
}

export const createBatcher: CreateBatcher<CommBatchOptions> = async (options) => {
  const { side, tokensPerImage, batchSize, questions, mix, world } = options;
  const bank = await loadSpriteBank();
  const tokenizer = await Tokenizer.load(options.tokenizer);
  const types = Object.keys(mix.types);
  const chances = Object.values(mix.types);

  const row = (scene: Scene, random: Random): Row => {
    const wanted = Array.from({ length: questions }, () => types[random.weighted(chances)] as string);
    const turns = turnsFor(scene, scene.seed, { types: wanted as Turn['type'][], max: questions }).map((turn) => writeTurn(turn, scene));
    if (random.chance(mix.conversationShare)) {
      const [first, ...rest] = turns.map(({ question, answer }) => ({ question, answer }));
      const opened = { question: questionWithPictures(first!.question), answer: first!.answer };
      const { ids, labels } = renderConversation([opened, ...rest], { tokenizer, imageTokens: tokensPerImage });
      return { ids, labels, segments: ids.map(() => 0), positions: ids.map((_, t) => t) };
    }
    const packed = renderPacked(turns, { tokenizer, imageTokens: tokensPerImage });
    return { ...packed, segments: packed.segmentIds };
  };

  return (index): CommRawBatch => {
    const random = new Random(index, `comm ${world.seed}`);
    const pictures = new Uint8Array(batchSize * side * side * 3);
    const rows: Row[] = [];
    for (let i = 0; i < batchSize; i++) {
      const { scene, pixels } = worldItem(index * batchSize + i, {
        bank,
        seed: world.seed,
        side,
        style: world.style as StyleChoice,
        augment: world.augment as AugmentLevel,
      });
      pictures.set(pixels, i * side * side * 3);
      rows.push(row(scene, random));
    }
    const numTokens = Math.max(...rows.map(({ ids }) => ids.length));
    const size = batchSize * numTokens;
    const batch = {
      pictures,
      numTokens,
      ids: new BigInt64Array(size),
      labels: new BigInt64Array(size).fill(-100n),
      positions: new BigInt64Array(size),
      segments: new Int32Array(size).fill(-1),
      weights: new Float32Array(size).fill(1),
    };
    for (const [b, { ids, labels, segments, positions }] of rows.entries()) {
      const weights = digitWeights(ids, tokenizer);
      for (let t = 0; t < ids.length; t++) {
        const at = b * numTokens + t;
        batch.ids[at] = BigInt(ids[t] as number);
        batch.labels[at] = BigInt(labels[t] as number);
        batch.positions[at] = BigInt(positions[t] as number);
        batch.segments[at] = segments[t] as number;
        batch.weights[at] = weights[t] as number;
      }
    }
    return batch;
  };
};
