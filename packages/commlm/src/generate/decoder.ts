// What the engine asks of a language model, and how a Llama answers it.
// Shapes: B sequences, T new positions, S positions in the cache behind them, E model width, V vocabulary.
import { type Device, type DType, scope, type Tensor, tensor } from '@commlm/torch';
import { KvCache } from '../models/kv-cache.js';
import type { DecodeOptions, Llama } from '../models/llama.js';
import { closedError } from './check-request.js';

/** A language model as the engine sees it: ids to embeddings, embeddings and a cache to the next logits. */
export interface Decoder {
  readonly dtype: DType;
  readonly device: Device;
  /** Longest sequence in tokens, prompt and answer together. */
  readonly maxPositions: number;
  /** Embeddings of token ids: float[T, E]. */
  embed(ids: readonly number[]): Tensor;
  /** An empty cache; `capacity` is the number of positions it has room for before it grows. */
  createCache(numRows: number, capacity: number): KvCache;
  /**
   * Runs float[B, T, E] behind what the cache holds, adds it, and gives the logits of the last position: float[B, V].
   * `padding` counts the columns in front of each row that are no part of it.
   */
  nextLogits(embeds_BTE: Tensor, cache: KvCache, padding: readonly number[]): Tensor;
}

/** A Llama-type model as a decoder. It stays the caller's, who disposes of it. */
export class LlamaDecoder implements Decoder {
  readonly #llama: Llama;
  #closed = false;
  readonly dtype: DType;
  readonly device: Device;
  readonly maxPositions: number;

  constructor(llama: Llama) {
    this.#llama = llama;
    const { dtype, device } = llama.model.embedTokens.weight;
    this.dtype = dtype;
    this.device = device;
    this.maxPositions = llama.config.maxPositions;
  }

  /** From here on every use throws `generate/closed`: its model is about to be disposed of. */
  close(): void {
    this.#closed = true;
  }

  embed(ids: readonly number[]): Tensor {
    if (this.#closed) throw closedError();
    return scope(() => this.#llama.embed(tensor(BigInt64Array.from(ids, BigInt), { device: this.device })));
  }

  createCache(numRows: number, capacity: number): KvCache {
    if (this.#closed) throw closedError();
    return new KvCache(this.#llama.config, { batch: numRows, capacity, dtype: this.dtype, device: this.device });
  }

  nextLogits(embeds_BTE: Tensor, cache: KvCache, padding: readonly number[]): Tensor {
    if (this.#closed) throw closedError();
    const numNew = embeds_BTE.shape[1] as number;
    const placement = padding.some((count) => count > 0) ? this.#place(padding, cache.length, numNew) : {};
    return scope(() => this.#llama.nextLogits(embeds_BTE, { ...placement, cache }));
  }

  /** Positions that start at each row's first real token, and a mask that hides the padding. */
  #place(
    padding: readonly number[],
    past: number,
    numNew: number,
  ): Required<Pick<DecodeOptions, 'positions' | 'mask'>> {
    const { device } = this;
    const shape = [padding.length, numNew];
    const positions = tensor(paddedPositions(padding, past, numNew), { shape, device });
    const mask = tensor(paddedMask(padding, past, numNew), { shape: [padding.length, 1, numNew, past + numNew] });
    return { positions, mask: mask.to({ dtype: 'bool', device }) };
  }
}

/** i64[B, T], row by row: how many real tokens of the row stand before each column; 0 within the padding. */
export function paddedPositions(padding: readonly number[], past: number, numNew: number): BigInt64Array<ArrayBuffer> {
  const positions = new BigInt64Array(padding.length * numNew);
  for (const [row, count] of padding.entries()) {
    for (let t = 0; t < numNew; t++) positions[row * numNew + t] = BigInt(Math.max(0, past + t - count));
  }
  return positions;
}

/**
 * u8[B, T, S], row by row: 1 where a new token may look. With padding 2, past 0, T 5:
 *
 *     x . . . .     a padded column sees itself alone: a softmax over nothing would be NaN and spread
 *     . x . . .
 *     . . x . .     real columns see the real columns up to themselves
 *     . . x x .
 *     . . x x x
 */
export function paddedMask(padding: readonly number[], past: number, numNew: number): Uint8Array<ArrayBuffer> {
  const numKeys = past + numNew;
  const mask = new Uint8Array(padding.length * numNew * numKeys);
  for (const [row, count] of padding.entries()) {
    for (let t = 0; t < numNew; t++) {
      const start = (row * numNew + t) * numKeys;
      mask.fill(1, start + Math.min(count, past + t), start + past + t + 1);
    }
  }
  return mask;
}
