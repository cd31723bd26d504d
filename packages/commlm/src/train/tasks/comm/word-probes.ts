/**
 * Words asked for alone behind a picture. An answer gets to know of a thing over two steps of attention, from the patch to
 * the word and from the word to the answer, and neither is worth learning without the other; this teaches the first.
 */
import type { ProbeCounts } from '../../../config/comm-train.js';
import { boxInSquare, isPresent, NOUNS, type Random, type Scene } from '../../../data/world/index.js';
import { IGNORE_LABEL } from '../../../text/conversation.js';
import type { Watched } from './watched.js';
import type { ProbeWords } from './world-words.js';

/** The end of a row, growing: a token, its label, its segment, its position. */
export interface RowTokens {
  readonly ids: number[];
  readonly labels: number[];
  readonly segments: number[];
  readonly positions: number[];
}

/** Positions behind the picture where a question would name a thing. */
const WORD_POSITIONS = 12;
const EDGE_POSITIONS = 11;
/** Share of the nouns in the singular. */
const SINGULAR = 0.7;

/** Asks for words alone. */
export class WordProbes {
  readonly #words: ProbeWords;
  readonly #counts: ProbeCounts;
  readonly #eosId: number;

  constructor(words: ProbeWords, counts: ProbeCounts, eosId: number) {
    this.#words = words;
    this.#counts = counts;
    this.#eosId = eosId;
  }

  /** What a probe is asked, by its label and the token that asks: the second digit of an edge by the first one. */
  kindOf(label: number, asker: number): Watched {
    const { digits } = this.#words;
    if (!digits.includes(label)) return 'word_probe';
    return digits.includes(asker) ? 'edge_probe2' : 'edge_probe1';
  }

  /** Nouns of the questions whose segments `isAsked` picks say yes or no behind themselves, where nothing else is learned. */
  labelNouns({ ids, labels, segments }: RowTokens, scene: Scene, isAsked: (segment: number) => boolean): void {
    for (let t = 0; t < ids.length - 1; t++) {
      const noun = isAsked(segments[t]!) ? this.#words.nounOf.get(ids[t]!) : undefined;
      if (noun !== undefined && labels[t] === IGNORE_LABEL) labels[t + 1] = this.#presence(scene, noun);
    }
  }

  /** Adds words behind the picture, each in a segment of its own and somewhere near where a question would name it. */
  append(row: RowTokens, prefixLength: number, scene: Scene, random: Random): void {
    const end = new RowEnd(row, prefixLength);
    const { words, edges } = this.#counts;
    for (let probe = 0; probe < words; probe++) {
      this.#askWord(end, probe % 2 === 0 ? random.pick(scene.objects).noun : random.pick(NOUNS).name, scene, random);
    }
    const single = scene.objects.filter(
      ({ noun }) => scene.objects.filter((other) => other.noun === noun).length === 1,
    );
    for (let probe = 0; probe < edges && single.length > 0; probe++) {
      this.#askEdge(end, random.pick(single), scene, random);
    }
    end.push(this.#eosId, 0);
  }

  #askWord(end: RowEnd, noun: string, scene: Scene, random: Random): void {
    end.openSegment();
    end.push(this.#nounId(noun, random), random.int(WORD_POSITIONS), this.#presence(scene, noun));
  }

  #askEdge(end: RowEnd, { noun, box }: Scene['objects'][number], scene: Scene, random: Random): void {
    const { edges, digits } = this.#words;
    const [edge, at] = [random.int(4), random.int(EDGE_POSITIONS)];
    const hundredths = Math.min(99, Math.floor(100 * boxInSquare(box, scene)[edge]!));
    const [first, second] = [digits[Math.floor(hundredths / 10)]!, digits[hundredths % 10]!];
    end.openSegment();
    end.push(edges[edge]!, at);
    end.push(this.#nounId(noun, random), at + 1, first);
    end.push(first, at + 2, second);
  }

  #nounId(noun: string, random: Random): number {
    const { singular, plural } = this.#words.nouns.get(noun)!;
    return random.chance(SINGULAR) ? singular : plural;
  }

  #presence(scene: Scene, noun: string): number {
    return isPresent(scene, { noun }) ? this.#words.yes : this.#words.no;
  }
}

/** Writes at the end of a row. A token's answer is the label of the place behind it. */
class RowEnd {
  readonly #row: RowTokens;
  readonly #prefixLength: number;
  #segment: number;
  #answer = IGNORE_LABEL;

  constructor(row: RowTokens, prefixLength: number) {
    this.#row = row;
    this.#prefixLength = prefixLength;
    this.#segment = Math.max(...row.segments);
  }

  openSegment(): void {
    this.#segment++;
  }

  /** A token, `position` places behind the picture, and what it is to answer. */
  push(id: number, position: number, answer = IGNORE_LABEL): void {
    const { ids, labels, segments, positions } = this.#row;
    ids.push(id);
    segments.push(this.#segment);
    labels.push(this.#answer);
    positions.push(this.#prefixLength + position);
    this.#answer = answer;
  }
}
