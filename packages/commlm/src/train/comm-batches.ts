/** Data thread of COMM's stages: scenes with several questions each, packed behind one picture, digits weighed by what they decide. */
import {
  type AugmentLevel,
  loadSpriteBank,
  Random,
  type Scene,
  type StyleChoice,
  type TurnType,
  turnsFor,
  worldItem,
} from '../data/world/index.js';
import { writeTurn } from '../data/world-turns.js';
import { questionWithPictures, renderConversation, renderPacked } from '../text/conversation.js';
import { Tokenizer } from '../text/tokenizer.js';
import type { CreateBatcher } from './batch-pool.js';
import type { CommRawBatch, CommTrainConfig } from './comm-task.js';

/** How often each kind of question is asked (relative), and the share of pictures that come with one long conversation. */
export interface TaskMix {
  readonly types: Readonly<Partial<Record<TurnType, number>>>;
  readonly conversationShare: number;
  /** How much the one word of a yes or no counts; the other words of its sentence are the same in every answer. */
  readonly yesNoWeight: number;
  /**
   * Weight of naming what a patch shows from its visual token alone, 0 for not at all. The visual tokens then lie in the
   * space of the (tied) word embeddings, so that a word of a question finds the patches it means by likeness.
   */
  readonly patchNameWeight: number;
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

/** Weighs tokens: 1 each, `yesNoWeight` for a yes or no, less for the later digits of a coordinate (those behind a piece such as `[0.` or `,0.`). */
export function tokenWeigher(tokenizer: Tokenizer, yesNoWeight: number): (ids: readonly number[]) => number[] {
  const pieces = Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.decode([id]));
  const opens = pieces.map((piece) => /[01]\.$/.test(piece));
  const isYesNo = pieces.map((piece) => /^ (yes|no)$/.test(piece));
  const isDigit = pieces.map((piece) => /^\d$/.test(piece));
  return (ids) => {
    let place = -1;
    return ids.map((id) => {
      if (place >= 0 && isDigit[id]) return DIGIT_WEIGHTS[place++] ?? 1;
      place = opens[id] ? 0 : -1;
      return isYesNo[id] ? yesNoWeight : 1;
    });
  };
}

/** Noun in front at the centre of each patch, row by row; null on the background. */
export function patchNouns({ width, height, objects }: Scene, grid: number): (string | null)[] {
  const side = Math.max(width, height);
  const [dx, dy] = [Math.floor((side - width) / 2), Math.floor((side - height) / 2)];
  return Array.from({ length: grid * grid }, (_, patch) => {
    const x = (((patch % grid) + 0.5) * side) / grid - dx;
    const y = ((Math.floor(patch / grid) + 0.5) * side) / grid - dy;
    // Objects stand from back to front.
    return objects.findLast(({ box }) => x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3])?.noun ?? null;
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
  const weigh = tokenWeigher(tokenizer, mix.yesNoWeight);
  const types = Object.keys(mix.types) as TurnType[];
  const nounIds = new Map<string, number>();
  /** First token of a noun within a sentence. */
  const nounId = (noun: string): number => {
    if (!nounIds.has(noun)) nounIds.set(noun, tokenizer.encode(` ${noun}`)[0] as number);
    return nounIds.get(noun) as number;
  };

  const row = (scene: Scene, random: Random): Row => {
    const drawn = turnsFor(scene, scene.seed, { types, weights: mix.types, max: questions });
    const turns = drawn.map((turn) => writeTurn(turn, scene));
    if (random.chance(mix.conversationShare)) {
      const [first, ...rest] = turns;
      const opened = { question: questionWithPictures(first!.question), answer: first!.answer };
      const { ids, labels } = renderConversation([opened, ...rest], {
        tokenizer,
        imageTokens: tokensPerImage,
      });
      return {
        ids,
        labels,
        segments: ids.map(() => 0),
        positions: ids.map((_, t) => t),
      };
    }
    const packed = renderPacked(turns, { tokenizer, imageTokens: tokensPerImage });
    return { ...packed, segments: packed.segmentIds };
  };

  return (index): CommRawBatch => {
    const random = new Random(index, `comm ${world.seed}`);
    const pictures = new Uint8Array(batchSize * side * side * 3);
    const rows: Row[] = [];
    const patchNames = new BigInt64Array(batchSize * tokensPerImage).fill(-100n);
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
      for (const [patch, noun] of patchNouns(scene, Math.sqrt(tokensPerImage)).entries()) {
        if (noun !== null) patchNames[i * tokensPerImage + patch] = BigInt(nounId(noun));
      }
    }
    const numTokens = Math.max(...rows.map(({ ids }) => ids.length));
    const size = batchSize * numTokens;
    const batch = {
      pictures,
      patchNames,
      numTokens,
      ids: new BigInt64Array(size),
      labels: new BigInt64Array(size).fill(-100n),
      positions: new BigInt64Array(size),
      segments: new Int32Array(size).fill(-1),
      weights: new Float32Array(size).fill(1),
    };
    for (const [b, { ids, labels, segments, positions }] of rows.entries()) {
      const weights = weigh(ids);
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
