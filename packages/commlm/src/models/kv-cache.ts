/** Keys and values of past tokens. */
import { type Device, type DType, empty, keep, noGrad, scope, type Tensor, tensor } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import type { LlamaConfig } from '../config/model.js';

// Shapes: B rows, G key-value heads, S stored positions, C capacity, K width of a head.

/** What the decoder asks of a cache: rows share one write position here; pages or lengths of their own fit behind it too. */
export interface KeyValueCache {
  /** Positions held by every row. */
  readonly length: number;
  /** Writes float[B, G, T, K] behind the stored positions and returns keys and values of all: float[B, G, S, K] each. */
  append(layer: number, k_BGTK: Tensor, v_BGTK: Tensor): readonly [k: Tensor, v: Tensor];
  /** Counts the positions that every layer has appended. */
  advance(numTokens: number): void;
}

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
 * Two buffers float[B, G, C, K] a layer, written in place. Shorter rows are padded on the left by the caller, who hides
 * the padding with a mask.
 *
 *     row 0   . . a b c d
 *     row 1   a b c d e f        length = 6
 */
export class KvCache implements KeyValueCache {
  readonly #config: LlamaConfig;
  readonly #dtype: DType;
  readonly #device: Device;
  #batch: number;
  #capacity: number;
  #length = 0;
  #keys: Tensor[] = [];
  #values: Tensor[] = [];

  constructor(config: LlamaConfig, { batch, capacity = FIRST_CAPACITY, dtype, device = 'cpu' }: KvCacheOptions) {
    this.#config = config;
    this.#dtype = dtype;
    this.#device = device;
    this.#batch = batch;
    this.#capacity = Math.min(capacity, config.maxPositions);
    this.#keys = this.#layers(() => this.#buffer());
    this.#values = this.#layers(() => this.#buffer());
  }

  get length(): number {
    return this.#length;
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
    const end = this.#length + numTokens;
    if (end > this.#capacity) this.#grow(end);
    const [keys, values] = [this.#keys[layer]!, this.#values[layer]!];
    scope(() =>
      noGrad(() => {
        keys.narrow(2, this.#length, numTokens).copy_(k_BGTK);
        values.narrow(2, this.#length, numTokens).copy_(v_BGTK);
      }),
    );
    return [keys.narrow(2, 0, end), values.narrow(2, 0, end)];
  }

  advance(numTokens: number): void {
    this.#length += numTokens;
  }

  /** Forgets the positions from `length` on, e.g. to answer again or to drop rejected tokens. */
  truncate(length: number): void {
    if (!Number.isInteger(length) || length < 0 || length > this.#length) {
      throw new CommError(`A cache of ${this.#length} positions cannot be cut to ${length}.`, {
        code: 'generate/cache-length',
        fix: `Use 0 to ${this.#length}.`,
      });
    }
    this.#length = length;
  }

  /** Keeps these rows, in this order; a row may come several times. */
  selectRows(rows: readonly number[]): void {
    scope(() => {
      const index = tensor(BigInt64Array.from(rows, BigInt), { device: this.#device });
      this.#replace((buffer) => buffer.indexSelect(0, index));
    });
    this.#batch = rows.length;
  }

  /** Gives the memory back. */
  dispose(): void {
    for (const buffer of [...this.#keys, ...this.#values]) buffer.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
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
    const length = this.#length;
    this.#replace((old) => {
      const wider = this.#buffer();
      wider.narrow(2, 0, length).copy_(old.narrow(2, 0, length));
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
