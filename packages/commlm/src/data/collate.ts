/**
 * Examples as the rows of a batch: one a row and padded at the right, or several behind each other in a row.
 *
 *     padded    a a a a .        packed    a a a a b b b    positions  0 1 2 3 0 1 2
 *               b b b . .                  c c c c c . .    segments   1 1 1 1 2 2 2   (a token sees its own segment)
 *               c c c c c
 */
import { IGNORE_LABEL, placesOf } from '../text/conversation.js';
import type { Example } from './example.js';

/** How examples are laid out. */
export type Packing = 'pad' | 'pack';

/** Rows of tokens, [numRows, numTokens] each. */
export interface Rows {
  readonly numRows: number;
  readonly numTokens: number;
  readonly ids: BigInt64Array;
  readonly labels: BigInt64Array;
  readonly positions: BigInt64Array;
  /** Number of the example within its row from 1, -1 for padding. */
  readonly segments: Int32Array;
  /** Flat places in [numRows * numTokens] of the visual tokens of all pictures, row by row. */
  readonly places: BigInt64Array;
  /** The examples in the order of the rows, by their place in what was given. */
  readonly order: readonly number[];
}

/** Which examples share a row of `maxLength` tokens: the longest first, each into the first row with room. */
export function packRows(lengths: readonly number[], maxLength: number): number[][] {
  const rows: { examples: number[]; left: number }[] = [];
  const longestFirst = [...lengths.keys()].sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  for (const example of longestFirst) {
    const length = lengths[example]!;
    let row = rows.find(({ left }) => left >= length);
    if (row === undefined) {
      row = { examples: [], left: maxLength };
      rows.push(row);
    }
    row.examples.push(example);
    row.left -= length;
  }
  return rows.map(({ examples }) => examples);
}

/** Lays examples out in rows. */
export function collate(
  examples: readonly Pick<Example, 'ids' | 'labels' | 'imageSlots'>[],
  { packing, maxLength, padId }: { readonly packing: Packing; readonly maxLength: number; readonly padId: number },
): Rows {
  const lengths = examples.map(({ ids }) => ids.length);
  const rows = packing === 'pack' ? packRows(lengths, maxLength) : lengths.map((_, example) => [example]);
  const rowLengths = rows.map((row) => row.reduce((sum, example) => sum + lengths[example]!, 0));
  const numTokens = Math.max(...rowLengths);
  const size = rows.length * numTokens;
  const ids = new BigInt64Array(size).fill(BigInt(padId));
  const labels = new BigInt64Array(size).fill(BigInt(IGNORE_LABEL));
  const positions = new BigInt64Array(size);
  const segments = new Int32Array(size).fill(-1);
  const places: number[] = [];
  for (const [r, row] of rows.entries()) {
    let at = r * numTokens;
    for (const [s, example] of row.entries()) {
      const own = examples[example]!;
      places.push(...placesOf(own.imageSlots, at));
      for (let t = 0; t < own.ids.length; t++, at++) {
        ids[at] = BigInt(own.ids[t]!);
        // The first token of an example follows nothing of its own, so nothing may predict it.
        labels[at] = BigInt(t === 0 ? IGNORE_LABEL : own.labels[t]!);
        positions[at] = BigInt(t);
        segments[at] = s + 1;
      }
    }
  }
  return {
    numRows: rows.length,
    numTokens,
    ids,
    labels,
    positions,
    segments,
    places: BigInt64Array.from(places, BigInt),
    order: rows.flat(),
  };
}
