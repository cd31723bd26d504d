/** Rows of tokens about scenes: several questions packed behind a picture, one long conversation, questions about two pictures. */
import type { WorldData } from '../../../config/comm-train.js';
import { TurnType } from '../../../config/world.js';
import { pairTurnsFor, type Random, type Scene, turnsFor } from '../../../data/world/index.js';
import { writeTurn } from '../../../data/world-turns.js';
import { type ImageSlot, questionWithPictures, renderConversation, renderPacked } from '../../../text/conversation.js';
import type { Tokenizer } from '../../../text/tokenizer.js';
import { type RowTokens, WordProbes } from './word-probes.js';
import type { ProbeWords } from './world-words.js';

/** A row: `labels` holds the token to be predicted in front of each place; with word probes it need not be the one that stands there. */
export interface WorldRow extends RowTokens {
  readonly imageSlots: readonly ImageSlot[];
  /** What each segment asks for; empty in a conversation and with two pictures. */
  readonly types: readonly (TurnType | undefined)[];
  /** The pictures it shows, by their place in the batch. */
  readonly pictures: readonly number[];
}

/** What rows are made of. */
export type RowSettings = Pick<WorldData, 'questions' | 'types' | 'conversationShare' | 'probes'> & {
  readonly tokensPerImage: number;
};

/** Questions about two pictures together; their longer prefix leaves room for so many. */
const PAIR_QUESTIONS = 4;

/** Makes rows. */
export class WorldRows {
  readonly #tokenizer: Tokenizer;
  readonly #settings: RowSettings;
  readonly #types: readonly TurnType[];
  readonly #probes: WordProbes;

  constructor(tokenizer: Tokenizer, settings: RowSettings, words: ProbeWords) {
    this.#tokenizer = tokenizer;
    this.#settings = settings;
    // In the order of the schema: a draw must not depend on what a recipe lists first.
    this.#types = TurnType.options.filter((type) => Object.hasOwn(settings.types, type));
    this.#probes = new WordProbes(words, settings.probes, tokenizer.eosId!);
  }

  /** What a token that learns counts for in the log, in a probe behind the questions; see `WordProbes`. */
  readonly probeKind: WordProbes['kindOf'] = (label, asker) => this.#probes.kindOf(label, asker);

  /** Questions about one scene, the picture of place `picture`. */
  about(scene: Scene, picture: number, random: Random): WorldRow {
    const { questions, types: weights, conversationShare } = this.#settings;
    if (questions === 0) {
      return { ids: [], labels: [], segments: [], positions: [], imageSlots: [], types: [], pictures: [picture] };
    }
    const turns = turnsFor(scene, scene.seed, { types: this.#types, weights, max: questions });
    const written = turns.map((turn) => writeTurn(turn, scene));
    if (random.chance(conversationShare)) return this.#conversation(written, picture);
    const { row, prefixLength } = this.#packed(written, [picture], [this.#settings.tokensPerImage]);
    const types = [undefined, ...turns.map(({ type }) => type)];
    if (this.#settings.probes.words > 0) {
      this.#probes.labelNouns(row, scene, (segment) => types[segment] === 'existence');
      this.#probes.append(row, prefixLength, scene, random);
    }
    return { ...row, types };
  }

  /** Two pictures of the batch behind one another, and questions about both. */
  aboutTwo(scenes: readonly Scene[], random: Random): WorldRow {
    const pictures = random.shuffle(scenes.map((_, i) => i)).slice(0, 2) as [number, number];
    const pair = pictures.map((i) => scenes[i]!) as [Scene, Scene];
    const turns = pairTurnsFor(pair, pair[0].seed, { max: PAIR_QUESTIONS });
    const { tokensPerImage } = this.#settings;
    return this.#packed(turns, pictures, [tokensPerImage, tokensPerImage]).row;
  }

  #packed(
    turns: Parameters<typeof renderPacked>[0],
    pictures: readonly number[],
    imageTokens: readonly number[],
  ): { row: WorldRow; prefixLength: number } {
    const { segmentIds, prefixLength, ...rest } = renderPacked(turns, { tokenizer: this.#tokenizer, imageTokens });
    return { row: { ...rest, segments: segmentIds, types: [], pictures }, prefixLength };
  }

  #conversation(turns: readonly { question: string; answer: string }[], picture: number): WorldRow {
    const [first, ...rest] = turns;
    const opened = { question: questionWithPictures(first!.question), answer: first!.answer };
    const { ids, labels, imageSlots } = renderConversation([opened, ...rest], {
      tokenizer: this.#tokenizer,
      imageTokens: this.#settings.tokensPerImage,
    });
    const segments = ids.map(() => 0);
    return { ids, labels, imageSlots, segments, positions: ids.map((_, t) => t), types: [], pictures: [picture] };
  }
}
