/** Data thread of COMM's stages: scenes with several questions each, packed behind one picture, digits weighed by what they decide. */
import type { TaskMix } from '../../config/comm-train.js';
import type { WorldLook } from '../../config/world.js';
import {
  boxInSquare,
  COLOR_NAMES,
  isPresent,
  loadSpriteBank,
  NOUNS,
  objectAt,
  pairTurnsFor,
  Random,
  type Scene,
  type SceneObject,
  type SpriteBank,
  squareOf,
  type TurnType,
  turnsFor,
  worldItem,
} from '../../data/world/index.js';
import { writeTurn } from '../../data/world-turns.js';
import { questionWithPictures, renderConversation, renderPacked } from '../../text/conversation.js';
import { Tokenizer } from '../../text/tokenizer.js';
import type { CreateBatcher } from '../loop/batch-pool.js';
import type { CommRawBatch } from './comm-task.js';

/** What the data thread needs to know. */
export interface CommBatchOptions {
  readonly side: number;
  readonly tokensPerImage: number;
  readonly batchSize: number;
  readonly questions: number;
  readonly mix: TaskMix;
  readonly tokenizer: string;
  readonly world: WorldLook;
}

/** How much the first, second and third digit behind the point of a coordinate count: the third is all but noise. */
const DIGIT_WEIGHTS = { digit1: 1, digit2: 0.6, digit3: 0.1 } as const;
const DIGITS = ['digit1', 'digit2', 'digit3'] as const;

/** What a token decides. */
export type TokenKind = 'yes-no' | 'digit1' | 'digit2' | 'digit3' | 'noun' | 'other';

/** Tells what each token decides and weighs it: 1, `yesNoWeight` for a yes or no, less for the later digits of a coordinate (those behind a piece such as `[0.` or `,0.`). */
export function tokenWeigher(
  tokenizer: Tokenizer,
  yesNoWeight: number,
): (ids: readonly number[]) => { weights: number[]; kinds: TokenKind[] } {
  const pieces = Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.decode([id]));
  const opens = pieces.map((piece) => /[01]\.$/.test(piece));
  const isDigit = pieces.map((piece) => /^\d$/.test(piece));
  const nouns = new Set(NOUNS.map(({ name }) => ` ${name}`));
  const words = pieces.map((piece): TokenKind => {
    if (/^ (yes|no)$/.test(piece)) return 'yes-no';
    return nouns.has(piece) ? 'noun' : 'other';
  });
  return (ids) => {
    let place = -1;
    const kinds = ids.map((id): TokenKind => {
      if (place >= 0 && isDigit[id]) return DIGITS[place++] ?? 'other';
      place = opens[id] ? 0 : -1;
      return words[id] ?? 'other';
    });
    const weightOf = (kind: TokenKind): number =>
      kind === 'yes-no' ? yesNoWeight : kind === 'noun' || kind === 'other' ? 1 : DIGIT_WEIGHTS[kind];
    return { weights: kinds.map(weightOf), kinds };
  };
}

/** Points a side of a patch that are looked at to say what it shows, and how many of them a thing has to hold. */
const PROBES = 3;
const MOST_PROBES = 5;

/**
 * What each patch of the padded square shows, row by row: a thing that fills most of it, null for the background,
 * undefined where neither does.
 */
export function patchObjects(scene: Scene, bank: SpriteBank, grid: number): (SceneObject | null | undefined)[] {
  const { side, dx, dy } = squareOf(scene);
  const step = side / grid / PROBES;
  return Array.from({ length: grid * grid }, (_, patch) => {
    const [column, row] = [patch % grid, Math.floor(patch / grid)];
    const counts = new Map<SceneObject | null, number>();
    for (let probe = 0; probe < PROBES * PROBES; probe++) {
      const x = (column * PROBES + (probe % PROBES) + 0.5) * step - dx;
      const y = (row * PROBES + Math.floor(probe / PROBES) + 0.5) * step - dy;
      const seen = objectAt(scene, bank, x, y) ?? null;
      counts.set(seen, (counts.get(seen) ?? 0) + 1);
    }
    return [...counts].find(([, count]) => count >= MOST_PROBES)?.[0];
  });
}

/** The words that patches are named by, and digits: token ids, in the order of the classes. */
export interface PatchWords {
  /** A noun in the singular and in the plural, then `NOUNS.length` stands for the background. */
  readonly nouns: BigInt64Array;
  readonly plurals: BigInt64Array;
  readonly colors: BigInt64Array;
  /** The digits 0 to 9 behind a point. */
  readonly digits: BigInt64Array;
}

interface Row {
  readonly ids: number[];
  /** The token to be predicted in front of each place; with word probes it need not be the one that stands there. */
  readonly labels: number[];
  readonly segments: number[];
  readonly positions: number[];
  /** What each segment asks for; empty in a conversation and with two pictures. */
  readonly types: readonly (TurnType | undefined)[];
  /** The pictures it shows, by their place in the batch. */
  readonly pictures: readonly number[];
}

/** Questions about two pictures together; their longer prefix leaves room for so many. */
const PAIR_QUESTIONS = 4;

/** Tokens whose loss is logged: the place in this list plus one is written beside the token. */
export const WATCHED = [
  'existence',
  'rec_digit1',
  'rec_digit2',
  'name_at',
  'word_probe',
  'edge_probe1',
  'edge_probe2',
] as const;

type Watched = (typeof WATCHED)[number];

function watchedKind(type: TurnType | undefined, kind: TokenKind): Watched | undefined {
  if (type === 'existence' && kind === 'yes-no') return 'existence';
  if (type === 'rec' && kind === 'digit1') return 'rec_digit1';
  if (type === 'rec' && kind === 'digit2') return 'rec_digit2';
  return type === 'name-at' && kind === 'noun' ? 'name_at' : undefined;
}

export const createBatcher: CreateBatcher<CommBatchOptions> = async (options) => {
  const { side, tokensPerImage, batchSize, questions, mix, world } = options;
  const bank = await loadSpriteBank();
  const tokenizer = await Tokenizer.load(options.tokenizer);
  const weigh = tokenWeigher(tokenizer, mix.yesNoWeight);
  const types = Object.keys(mix.types) as TurnType[];
  /** First token of each word within a sentence. */
  const wordIds = (words: readonly string[]): BigInt64Array =>
    BigInt64Array.from(words, (word) => BigInt(tokenizer.encode(` ${word}`)[0] as number));
  const digitIds = Array.from({ length: 10 }, (_, digit) => tokenizer.encode(` [0.${digit}`).at(-1) as number);
  const patchWords: PatchWords = {
    nouns: wordIds(NOUNS.map(({ name }) => name)),
    plurals: wordIds(NOUNS.map(({ plural }) => plural)),
    colors: wordIds(COLOR_NAMES),
    digits: BigInt64Array.from(digitIds, BigInt),
  };
  const nounClasses = new Map(NOUNS.map(({ name }, index) => [name, BigInt(index)]));

  const [noId, yesId, ...edgeIds] = [...wordIds(['no', 'yes', 'left', 'top', 'right', 'bottom'])].map(Number) as [
    number,
    number,
    ...number[],
  ];
  const presence = (scene: Scene, noun: string): number => (isPresent(scene, { noun }) ? yesId : noId);
  const nounOfId = new Map(
    [patchWords.nouns, patchWords.plurals].flatMap((ids) => [...ids].map((id, i) => [Number(id), NOUNS[i]!.name])),
  );

  /** What a probe is asked by its label and the token that asks: the second digit of an edge by the first one. */
  const probeKind = (label: number, asker: number): Watched => {
    if (!digitIds.includes(label)) return 'word_probe';
    return digitIds.includes(asker) ? 'edge_probe2' : 'edge_probe1';
  };

  /** Words behind the picture, each in a segment of its own and somewhere near where a question would name it. */
  const appendProbes = (row: Row, prefixLength: number, scene: Scene, random: Random): void => {
    let segment = Math.max(...row.segments);
    // A token's answer is the label of the place behind it.
    let answer = -100;
    const push = (id: number, position: number): void => {
      row.ids.push(id);
      row.segments.push(segment);
      row.labels.push(answer);
      row.positions.push(prefixLength + position);
      answer = -100;
    };
    const wordId = (noun: string): number => {
      const ids = random.chance(0.7) ? patchWords.nouns : patchWords.plurals;
      return Number(ids[Number(nounClasses.get(noun))]);
    };
    for (let probe = 0; probe < mix.wordProbes; probe++) {
      const noun = probe % 2 === 0 ? random.pick(scene.objects).noun : random.pick(NOUNS).name;
      segment++;
      push(wordId(noun), random.int(12));
      answer = presence(scene, noun);
    }
    const single = scene.objects.filter(
      ({ noun }) => scene.objects.filter((other) => other.noun === noun).length === 1,
    );
    for (let probe = 0; probe < mix.edgeProbes && single.length > 0; probe++) {
      const { noun, box } = random.pick(single);
      const [edge, at] = [random.int(4), random.int(11)];
      segment++;
      push(edgeIds[edge] as number, at);
      push(wordId(noun), at + 1);
      const hundredths = Math.min(99, Math.floor(100 * (boxInSquare(box, scene)[edge] as number)));
      const [first, second] = [Math.floor(hundredths / 10), hundredths % 10].map((digit) => digitIds[digit] as number);
      answer = first as number;
      push(first as number, at + 2);
      answer = second as number;
    }
    push(tokenizer.eosId as number, 0);
  };

  const row = (scene: Scene, picture: number, random: Random): Row => {
    const pictures = [picture];
    if (questions === 0) return { ids: [], labels: [], segments: [], positions: [], types: [], pictures };
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
        types: [],
        pictures,
      };
    }
    const packed = renderPacked(turns, { tokenizer, imageTokens: tokensPerImage });
    const { ids, labels, segmentIds: segments, positions } = packed;
    const asked: Row['types'][number][] = [undefined, ...drawn.map(({ type }) => type)];
    const packedRow = { ids, labels, segments, positions, types: asked, pictures };
    if (mix.wordProbes > 0) {
      for (let t = 0; t < ids.length - 1; t++) {
        const noun = asked[segments[t] as number] === 'existence' ? nounOfId.get(ids[t] as number) : undefined;
        if (noun !== undefined && labels[t] === -100) labels[t + 1] = presence(scene, noun);
      }
      appendProbes(packedRow, packed.prefixLength, scene, random);
    }
    return packedRow;
  };

  /** Two pictures of the batch behind one another, and questions about both. */
  const pairRow = (scenes: readonly Scene[], random: Random): Row => {
    const pictures = random.shuffle(scenes.map((_, i) => i)).slice(0, 2) as [number, number];
    const pair = pictures.map((i) => scenes[i]) as [Scene, Scene];
    const turns = pairTurnsFor(pair, pair[0].seed, { max: PAIR_QUESTIONS });
    const imageTokens = [tokensPerImage, tokensPerImage];
    const { ids, labels, segmentIds: segments, positions } = renderPacked(turns, { tokenizer, imageTokens });
    return { ids, labels, segments, positions, types: [], pictures };
  };

  return (index): CommRawBatch => {
    const random = new Random(index, `comm ${world.seed}`);
    const pictures = new Uint8Array(batchSize * side * side * 3);
    const rows: Row[] = [];
    const scenes: Scene[] = [];
    const patchNouns = new BigInt64Array(batchSize * tokensPerImage).fill(-100n);
    const patchColors = new BigInt64Array(batchSize * tokensPerImage).fill(-100n);
    const patchBoxes = new Float32Array(batchSize * tokensPerImage * 4);
    for (let i = 0; i < batchSize; i++) {
      const { scene, pixels } = worldItem(index * batchSize + i, {
        bank,
        seed: world.seed,
        side,
        style: world.style,
        augment: world.augment,
      });
      pictures.set(pixels, i * side * side * 3);
      scenes.push(scene);
      rows.push(row(scene, i, random));
      for (const [patch, object] of patchObjects(scene, bank, Math.sqrt(tokensPerImage)).entries()) {
        if (object === undefined) continue;
        const at = i * tokensPerImage + patch;
        patchNouns[at] = object === null ? BigInt(NOUNS.length) : (nounClasses.get(object.noun) as bigint);
        if (object !== null) patchBoxes.set(boxInSquare(object.box, scene), at * 4);
        if (object?.color !== undefined) patchColors[at] = BigInt(COLOR_NAMES.indexOf(object.color));
      }
    }
    for (let i = 0; i < mix.pairRows; i++) rows.push(pairRow(scenes, random));
    const numTokens = Math.max(...rows.map(({ ids }) => ids.length));
    const size = rows.length * numTokens;
    const batch = {
      first: index * batchSize,
      pictures,
      patchNouns,
      patchColors,
      patchBoxes,
      patchWords,
      shown: BigInt64Array.from(
        rows.flatMap((row) => row.pictures),
        BigInt,
      ),
      numRows: rows.length,
      numTokens,
      ids: new BigInt64Array(size),
      labels: new BigInt64Array(size).fill(-100n),
      positions: new BigInt64Array(size),
      segments: new Int32Array(size).fill(-1),
      weights: new Float32Array(size).fill(1),
      watched: new Int8Array(size),
    };
    for (const [b, { ids, labels, segments, positions, types }] of rows.entries()) {
      const { weights, kinds } = weigh(ids);
      for (let t = 0; t < ids.length; t++) {
        const at = b * numTokens + t;
        batch.ids[at] = BigInt(ids[t] as number);
        batch.labels[at] = BigInt(labels[t] as number);
        batch.positions[at] = BigInt(positions[t] as number);
        batch.segments[at] = segments[t] as number;
        batch.weights[at] = weights[t] as number;
        // Behind the questions there are probes only.
        const isProbe = types.length > 0 && (segments[t] as number) >= types.length;
        const watched = isProbe
          ? probeKind(labels[t] as number, ids[t - 1] as number)
          : watchedKind(types[segments[t] as number], kinds[t] as TokenKind);
        batch.watched[at] = watched === undefined ? 0 : WATCHED.indexOf(watched) + 1;
      }
    }
    return batch;
  };
};
