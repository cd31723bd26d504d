/** Keys and values of past tokens. */
import { arange, type Device, type DType, empty, keep, noGrad, scope, type Tensor, tensor } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import type { LlamaConfig } from '../config/model.js';

// Shapes: B rows, G key-value heads, T new tokens, S positions of the longest row with them, C capacity, K width of a head.

/** What the decoder asks of a cache: rows at positions of their own; pages fit behind it too. */
export interface KeyValueCache {
  /** Positions held by each row. */
  readonly lengths: readonly number[];
  /** Positions held by the longest row. */
  readonly length: number;
  /**
   * Writes float[B, G, T, K] behind the positions of each row and returns keys and values of all: float[B, G, S, K] each.
   * What a shorter row holds behind its own positions are numbers without meaning, which the caller hides with a mask.
   */
  append(layer: number, k_BGTK: Tensor, v_BGTK: Tensor): readonly [k: Tensor, v: Tensor];
  /** Counts the positions that every layer has appended: so many in each row, or a number for each. */
  advance(numTokens: number | readonly number[]): void;
}

/** Whether all rows stand at one position: they are then written as one block and need no mask. */
export const isEven = ({ lengths, length }: KeyValueCache): boolean => lengths.every((own) => own === length);

/** Where a cache lies. */
export interface KvCacheOptions {
  readonly batch: number;
  /** Positions to make room for at first; it doubles when they are used up, to the model's longest sequence. */
  readonly capacity?: number;
  readonly dtype: DType;
  readonly device?: Device;
}

const FIRST_CAPACITY = 256;

/**
 * Two buffers float[B, G, C, K] a layer, written in place; every row starts at column 0 and ends at its own length.
 *
 *     row 0   a b c d . .        lengths = 4, 6: the next token of row 0 goes to column 4, that of row 1 to column 6
 *     row 1   a b c d e f
 */
export class KvCache implements KeyValueCache {
  readonly #config: LlamaConfig;
  readonly #dtype: DType;
  readonly #device: Device;
  #batch: number;
  #capacity: number;
  #lengths: number[];
  /** Columns that hold numbers in every row: what lies behind is memory as it came, which even a mask does not hide. */
  #numFilled = 0;
  /** i64[B, T], the columns that uneven rows write next; the same for all layers of a pass. */
  #columns: Tensor | null = null;
  #keys: Tensor[] = [];
  #values: Tensor[] = [];

  constructor(config: LlamaConfig, { batch, capacity = FIRST_CAPACITY, dtype, device = 'cpu' }: KvCacheOptions) {
    this.#config = config;
    this.#dtype = dtype;
    this.#device = device;
    this.#batch = batch;
    this.#lengths = new Array<number>(batch).fill(0);
    this.#capacity = Math.min(capacity, config.maxPositions);
    this.#keys = this.#layers(() => this.#buffer());
    this.#values = this.#layers(() => this.#buffer());
  }

  get lengths(): readonly number[] {
    return this.#lengths;
  }

  get length(): number {
    return Math.max(0, ...this.#lengths);
  }

  /** Rows held. */
  get batch(): number {
    return this.#batch;
  }

  append(layer: number, k_BGTK: Tensor, v_BGTK: Tensor): readonly [k: Tensor, v: Tensor] {
    const numTokens = k_BGTK.shape[2]!;
    if (k_BGTK.shape[0] !== this.#batch) {
      throw new CommError(`The cache has ${this.#batch} rows, but ${k_BGTK.shape[0]} came.`, {
        code: 'generate/cache-batch',
        fix: 'Use a cache made for this number of rows.',
      });
    }
    const { length } = this;
    const end = length + numTokens;
    if (end > this.#capacity) this.#grow(end);
    const write = isEven(this) ? this.#writeBlock : this.#writeRows;
    const [keys, values] = [this.#keys[layer]!, this.#values[layer]!];
    scope(() =>
      noGrad(() => {
        write.call(this, keys, k_BGTK, length);
        write.call(this, values, v_BGTK, length);
      }),
    );
    return [keys.narrow(2, 0, end), values.narrow(2, 0, end)];
  }

  advance(numTokens: number | readonly number[]): void {
    const counts = perRow(numTokens, this.#batch);
    this.#numFilled = Math.max(this.#numFilled, this.length + Math.max(0, ...counts));
    this.#move(this.#lengths.map((length, row) => length + counts[row]!));
  }

  /** Forgets the positions from `length` on (one for all rows, or one for each), e.g. to drop rejected tokens. */
  truncate(length: number | readonly number[]): void {
    const wanted = perRow(length, this.#batch);
    for (const [row, held] of this.#lengths.entries()) {
      const left = wanted[row]!;
      if (Number.isInteger(left) && left >= 0 && left <= held) continue;
      throw new CommError(`A cache of ${held} positions cannot be cut to ${left}.`, {
        code: 'generate/cache-length',
        fix: `Use 0 to ${held}.`,
      });
    }
    this.#move([...wanted]);
  }

  /** Keeps these rows, in this order; a row may come several times. */
  selectRows(rows: readonly number[]): void {
    scope(() => {
      const index = tensor(BigInt64Array.from(rows, BigInt), { device: this.#device });
      this.#replace((buffer) => buffer.indexSelect(0, index));
    });
    this.#batch = rows.length;
    this.#move(rows.map((row) => this.#lengths[row]!));
  }

  /** Gives the memory back. */
  dispose(): void {
    this.#columns?.dispose();
    for (const buffer of [...this.#keys, ...this.#values]) buffer.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** All rows at one position: one block. */
  #writeBlock(buffer: Tensor, new_BGTK: Tensor, length: number): void {
    buffer.narrow(2, length, new_BGTK.shape[2]!).copy_(new_BGTK);
  }

  /** Rows at positions of their own. */
  #writeRows(buffer: Tensor, new_BGTK: Tensor, length: number): void {
    const numTokens = new_BGTK.shape[2]!;
    const unfilled = length + numTokens - this.#numFilled;
    if (unfilled > 0) buffer.narrow(2, this.#numFilled, unfilled).zero_();
    const row_B1 = arange(this.#batch, { dtype: 'i64', device: this.#device }).unsqueeze(1);
    buffer.indexPut_([row_B1, null, this.#nextColumns(numTokens)], new_BGTK.transpose(1, 2));
  }

  #nextColumns(numTokens: number): Tensor {
    if (this.#columns?.shape[1] !== numTokens) {
      this.#columns?.dispose();
      this.#columns = keep(nextPositions(this.#lengths, numTokens, this.#device));
    }
    return this.#columns;
  }

  #move(lengths: number[]): void {
    this.#lengths = lengths;
    this.#columns?.dispose();
    this.#columns = null;
  }

  #grow(needed: number): void {
    const { maxPositions } = this.#config;
    if (needed > maxPositions) {
      throw new CommError(`The model reads at most ${maxPositions} tokens, but ${needed} are needed.`, {
        code: 'model/context-length',
        fix: 'Shorten the conversation, use fewer pictures, or ask for fewer new tokens.',
      });
    }
    this.#capacity = Math.min(maxPositions, Math.max(needed, 2 * this.#capacity));
    const filled = this.#numFilled;
    this.#replace((old) => {
      const wider = this.#buffer();
      wider.narrow(2, 0, filled).copy_(old.narrow(2, 0, filled));
      return wider;
    });
  }

  #replace(change: (buffer: Tensor) => Tensor): void {
    const changed = (old: Tensor): Tensor => {
      const next = scope(() => noGrad(() => change(old)));
      old.dispose();
      return keep(next);
    };
    this.#keys = this.#keys.map(changed);
    this.#values = this.#values.map(changed);
  }

  #layers(make: () => Tensor): Tensor[] {
    return scope(() => Array.from({ length: this.#config.numLayers }, () => keep(make())));
  }

  #buffer(): Tensor {
    const { numKvHeads, headDim } = this.#config;
    return empty([this.#batch, numKvHeads, this.#capacity, headDim], { dtype: this.#dtype, device: this.#device });
  }
}

/** Places of the new tokens of each row, behind what it holds: i64[B, T]. */
export function nextPositions(lengths: readonly number[], numTokens: number, device: Device): Tensor {
  return scope(() =>
    tensor(BigInt64Array.from(lengths, BigInt), { device })
      .unsqueeze(1)
      .add(arange(numTokens, { dtype: 'i64', device })),
  );
}

const perRow = (value: number | readonly number[], numRows: number): readonly number[] =>
  typeof value === 'number' ? new Array<number>(numRows).fill(value) : value;
