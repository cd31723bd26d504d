/**
 * What the engine asks of a language model, and how a Llama answers it.
 * Shapes: B sequences, T new positions, E model width, V vocabulary.
 */
import { type Device, type DType, scope, type Tensor, tensor } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import { KvCache } from '../models/kv-cache.js';
import type { Llama } from '../models/llama.js';

/** A language model as the engine sees it: ids to embeddings, embeddings and a cache to the last logits. */
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
   * Runs float[B, T, E] behind what each row of the cache holds, adds it, and gives the logits of the last positions of each
   * row: float[B, last, V]. Rows of fewer than T tokens are padded behind; `counts` says how many each has of its own.
   */
  lastLogits(
    embeds_BTE: Tensor,
    cache: KvCache,
    options?: { readonly counts?: readonly number[] | undefined; readonly last?: number | undefined },
  ): Tensor;
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
    this.dtype = llama.dtype;
    this.device = llama.device;
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

  lastLogits(
    embeds_BTE: Tensor,
    cache: KvCache,
    { counts, last = 1 }: { counts?: readonly number[] | undefined; last?: number | undefined } = {},
  ): Tensor {
    if (this.#closed) throw closedError();
    return this.#llama.lastLogits(embeds_BTE, last, { cache, counts });
  }
}

/** The error of everything that is asked of a model that was closed. */
export function closedError(): CommError {
  return new CommError('This model was closed.', { code: 'generate/closed', fix: 'Load it again.' });
}
