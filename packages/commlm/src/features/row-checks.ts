/**
 * Checksums of rows of features: what was written is what is read, and it is the row that was asked for.
 * Linear over the ring of 64-bit integers: the words of a row times fixed odd weights, plus a number of the picture and
 * the level. Each weight has an inverse, so that a change within one word always shows, and a change of several goes
 * unseen about once in 2^64. It is one product with the tensor as it lies in memory, at the speed of that memory.
 */
import { type DType, keep, scope, type Tensor, tensor } from '@commlm/torch';

// Shapes: P rows, N tokens, D width, K words of a row.

const asSigned = (value: bigint): bigint => BigInt.asIntN(64, value);

/** The fractional bits of the golden ratio: steps that spread over all 64 bits. */
const STEP = 0x9e3779b97f4a7c15n;

/** Integers of the widest kind that a row is a whole number of. */
function wordsOf(rowBytes: number): DType {
  return rowBytes % 8 === 0 ? 'i64' : rowBytes % 4 === 0 ? 'i32' : 'i16';
}

const WORD_BYTES: Partial<Record<DType, number>> = { i64: 8, i32: 4, i16: 2 };

/** Checks rows of one size. */
export class RowChecks implements Disposable {
  readonly #words: DType;
  /** i64[K]. */
  readonly #weights: Tensor;

  /** @param rowBytes bytes of a row, an even number */
  constructor(rowBytes: number) {
    this.#words = wordsOf(rowBytes);
    const values = new BigInt64Array(rowBytes / WORD_BYTES[this.#words]!);
    let state = 0n;
    for (let i = 0; i < values.length; i++) {
      state += STEP;
      // Mixed, as weights in an arithmetic row would let many changes of two words cancel out.
      let z = BigInt.asUintN(64, state);
      z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
      z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
      values[i] = asSigned((z ^ (z >> 31n)) | 1n);
    }
    this.#weights = scope(() => keep(tensor(values)));
  }

  /** The checksum of each row, `salts` one a row: dtype[P, N, D] on the CPU -> P numbers. */
  of(rows_PND: Tensor, salts: readonly bigint[]): bigint[] {
    const sums = scope(() => {
      const words_PK = rows_PND.contiguous().flatten(1).viewDtype(this.#words).to('i64');
      return words_PK.matmul(this.#weights).toArray() as BigInt64Array;
    });
    return salts.map((salt, i) => asSigned(sums[i]! + salt));
  }

  [Symbol.dispose](): void {
    this.#weights.dispose();
  }
}

/** What a row's checksum begins with: a row in the place of another one does not pass. */
export const saltOf = (picture: string, level: LevelName): bigint =>
  BigInt(`0x${picture.slice(0, 16)}`) + STEP * BigInt(2 * Number.parseInt(level, 10) + (level.endsWith('n') ? 1 : 0));

/** `hidden_states` index of a level, with `n` where the encoder's last norm went over it. */
export type LevelName = `${number}` | `${number}n`;
