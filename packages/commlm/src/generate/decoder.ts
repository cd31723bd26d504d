// What the engine asks of a language model, and how our decoders answer it.
// Shapes: B sequences, T new positions, S cached positions, E width of the language model, V vocabulary.
import type { Device, DType, Tensor } from '@commlm/torch';

/** Keys and values of the positions that a decoder has already seen, one row a sequence. */
export interface DecoderCache {
  /** Number of positions held. */
  readonly length: number;
  /** Forgets the positions from `length` on. */
  truncate(length: number): void;
  /** Keeps these rows, in this order. */
  selectRows(rows: readonly number[]): void;
  dispose(): void;
}

/** Where and how the new positions are placed. */
export interface DecoderStep {
  /** i64[B, T], the position of every new token in its sequence. */
  readonly positions_BT: Tensor;
  /** bool[B, 1, T, S + T], true where a new token may look; undefined: each looks at everything up to itself. */
  readonly mask: Tensor | undefined;
  readonly cache: DecoderCache;
}

/** A language model as the engine sees it. */
export interface Decoder {
  readonly dtype: DType;
  readonly device: Device;
  /** Longest sequence in tokens, prompt and answer together. */
  readonly maxPositions: number;
  /** Embeddings of token ids: float[T, E]. */
  embed(ids: readonly number[]): Tensor;
  createCache(numRows: number): DecoderCache;
  /** Runs float[B, T, E], appends to the cache, and gives the logits of the last position: float[B, V]. */
  forward(embeds_BTE: Tensor, step: DecoderStep): Tensor;
}
