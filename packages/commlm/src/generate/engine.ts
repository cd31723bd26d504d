// The engine: from prompts (token ids or embeddings) to tokens. It knows nothing of text, pictures or templates.
// Shapes: B sequences, T new positions, S cached positions, E width of the language model, V vocabulary.
//
// A batch is padded on the left so that every sequence's next token sits in the last column:
//
//   column      0 1 2 3 4 5 | 6 7 ...
//   sequence 0  . . a b c d | x x        padding 2: positions 0 1 2 3 | 4 5
//   sequence 1  p q r s t u | y y        padding 0: positions 0 ... 5 | 6 7
//
// A padded column is visible to itself alone (a row of a softmax with nothing to see would be NaN), real columns see the
// real columns up to themselves. Positions start at 0 at the first real token, so a sequence gets the same numbers alone
// and in a batch.
import { cat, noGrad, scope, stack, type Tensor, tensor, zeros } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import type { Decoder, DecoderCache } from './decoder.js';
import { checkSampling, type Random, type Sampling, sampleToken, seededRandom } from './sampling.js';

/** What one sequence starts from: token ids, or embeddings where pictures are among them. */
export type Prompt = { readonly ids: readonly number[] } | { readonly embeds: Tensor };

/** One sequence to generate. */
export interface GenerateRequest {
  /** Token ids, or float[T, E] embeddings (they stay the caller's). Never empty. */
  readonly prompt: Prompt;
  /** Most tokens to generate, at least 1; the model's context may end it earlier. */
  readonly maxNewTokens: number;
  readonly sampling: Sampling;
  /** Ids that end the answer; the id is reported as the stop, not as a token of the answer. */
  readonly stopIds: ReadonlySet<number>;
  /** Called with every token; `true` ends the answer after it (stop strings live here, outside the engine). */
  readonly stopWhen?: (token: number) => boolean;
}

/** Why a sequence ended: a stop id, `stopWhen`, the wanted length, or the end of the model's context. */
export type FinishReason = 'stop' | 'length';

/** What the engine reports while it runs. */
export type TokenEvent =
  | { readonly type: 'prefill'; readonly ms: number }
  | { readonly type: 'token'; readonly request: number; readonly token: number }
  | { readonly type: 'finish'; readonly request: number; readonly reason: FinishReason; readonly numTokens: number };

/** Settings of a run. */
export interface RunOptions {
  /** Aborting ends the run between two tokens: the iteration throws the signal's reason and everything is freed. */
  readonly signal?: AbortSignal;
  /**
   * For a run of one request: keys and values of the positions before the prompt. The engine continues them in place;
   * they stay the caller's, who truncates and disposes of them.
   */
  readonly past?: DecoderCache;
}

/**
 * What the rest of the product asks of a generator: a static batch here, a continuous one behind the same interface for
 * a server. Events of different requests interleave; each request ends with exactly one `finish`.
 */
export interface Engine {
  run(requests: readonly GenerateRequest[], options?: RunOptions): AsyncGenerator<TokenEvent, void, void>;
}

/** Gives other work of the process (timers, sockets, an abort) a turn. */
const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Runs a fixed set of requests together from prefill to the last token. */
export class BatchEngine implements Engine {
  readonly #decoder: Decoder;

  constructor(decoder: Decoder) {
    this.#decoder = decoder;
  }

  async *run(requests: readonly GenerateRequest[], options: RunOptions = {}): AsyncGenerator<TokenEvent, void, void> {
    if (requests.length === 0) return;
    const { signal, past } = options;
    const batch = new Batch(this.#decoder, requests, past);
    try {
      signal?.throwIfAborted();
      const started = performance.now();
      let logits = batch.prefill();
      yield { type: 'prefill', ms: performance.now() - started };
      while (true) {
        const { events, numActive } = batch.accept(logits);
        for (const event of events) yield event;
        if (numActive === 0) return;
        await breathe();
        signal?.throwIfAborted();
        logits = batch.step();
      }
    } finally {
      batch.dispose();
    }
  }
}

/** A sequence while it is generated. */
interface Row {
  readonly request: number;
  readonly settings: GenerateRequest;
  readonly random: Random;
  /** Position of the next token. */
  position: number;
  numTokens: number;
  last: number;
  active: boolean;
}

/** The rows of one run with their cache; rows that ended are dropped when half of them have. */
class Batch {
  readonly #decoder: Decoder;
  readonly #ownsCache: boolean;
  readonly #prompts: readonly Prompt[];
  readonly #cache: DecoderCache;
  readonly #padded: boolean;
  #rows: Row[];
  /** Columns of padding of each row. */
  #padding: number[];

  constructor(decoder: Decoder, requests: readonly GenerateRequest[], past: DecoderCache | undefined) {
    if (past && requests.length !== 1) throw new TypeError('a run with a past has exactly one request');
    this.#decoder = decoder;
    this.#prompts = requests.map((request) => request.prompt);
    const lengths = this.#prompts.map(promptLength);
    const pastLength = past?.length ?? 0;
    for (const [i, request] of requests.entries()) checkRequest(request, pastLength + (lengths[i] as number), decoder);
    const longest = Math.max(...lengths);
    this.#padding = lengths.map((length) => longest - length);
    this.#padded = this.#padding.some((padding) => padding > 0);
    this.#rows = requests.map((settings, request) => ({
      request,
      settings,
      random: seededRandom(settings.sampling.seed),
      position: pastLength + (lengths[request] as number),
      numTokens: 0,
      last: 0,
      active: true,
    }));
    this.#ownsCache = past === undefined;
    this.#cache = past ?? decoder.createCache(requests.length);
  }

  /** Runs all prompts through the model; float logits of the last column, one row a sequence. */
  prefill(): Float32Array[] {
    return this.#forward(() => {
      const rows = this.#prompts.map((prompt) =>
        'ids' in prompt ? this.#decoder.embed(prompt.ids) : prompt.embeds.to(this.#decoder.dtype),
      );
      const longest = Math.max(...rows.map((row_TE) => row_TE.shape[0] as number));
      const first = this.#cache.length;
      const positions = this.#padding.map((padding) =>
        Array.from({ length: longest }, (_, t) => first + Math.max(0, t - padding)),
      );
      const embeds_BTE = stack(rows.map((row_TE) => padLeft(row_TE, longest)));
      return { embeds_BTE, positions, mask: this.#padded ? this.#prefillMask(longest) : undefined };
    });
  }

  /** Runs the last token of every row; float logits, one row a sequence. */
  step(): Float32Array[] {
    this.#compact();
    return this.#forward(() => {
      const ids = this.#rows.map((row) => row.last);
      const embeds_BTE = this.#decoder.embed(ids).unsqueeze(1);
      const positions = this.#rows.map((row) => [row.position - 1]);
      return { embeds_BTE, positions, mask: this.#padded ? this.#stepMask(this.#cache.length + 1) : undefined };
    });
  }

  /** Draws the next token of every active row from its logits and says what happened. */
  accept(logits: readonly Float32Array[]): { events: TokenEvent[]; numActive: number } {
    const events: TokenEvent[] = [];
    let numActive = 0;
    for (const [i, row] of this.#rows.entries()) {
      if (!row.active) continue;
      const { settings, request } = row;
      const token = sampleToken(logits[i] as Float32Array, settings.sampling, row.random);
      row.last = token;
      const finish = (reason: FinishReason): void => {
        row.active = false;
        events.push({ type: 'finish', request, reason, numTokens: row.numTokens });
      };
      if (settings.stopIds.has(token)) {
        finish('stop');
        continue;
      }
      row.numTokens++;
      row.position++;
      events.push({ type: 'token', request, token });
      if (settings.stopWhen?.(token)) finish('stop');
      else if (row.numTokens >= settings.maxNewTokens || row.position > this.#decoder.maxPositions) finish('length');
      else numActive++;
    }
    return { events, numActive };
  }

  dispose(): void {
    if (this.#ownsCache) this.#cache.dispose();
  }

  #forward(inputs: () => { embeds_BTE: Tensor; positions: number[][]; mask: Tensor | undefined }): Float32Array[] {
    return scope(() =>
      noGrad(() => {
        const { embeds_BTE, positions, mask } = inputs();
        const positions_BT = tensor(BigInt64Array.from(positions.flat(), BigInt), {
          shape: [positions.length, positions[0]?.length ?? 0],
          device: this.#decoder.device,
        });
        const logits_BV = this.#decoder.forward(embeds_BTE, { positions_BT, mask, cache: this.#cache });
        const flat = logits_BV.to('f32').to('cpu').contiguous().toArray() as Float32Array;
        const numVocab = logits_BV.shape[1] as number;
        return positions.map((_, i) => flat.subarray(i * numVocab, (i + 1) * numVocab));
      }),
    );
  }

  /** bool[B, 1, T, T]: true where a query (row) may look at a key (column). */
  #prefillMask(length: number): Tensor {
    const numRows = this.#padding.length;
    const mask = new Uint8Array(numRows * length * length);
    for (const [b, padding] of this.#padding.entries()) {
      for (let query = 0; query < length; query++) {
        const offset = (b * length + query) * length;
        mask[offset + query] = 1;
        if (query >= padding) mask.fill(1, offset + padding, offset + query + 1);
      }
    }
    return this.#boolTensor(mask, [numRows, 1, length, length]);
  }

  /** bool[B, 1, 1, S]: true where the new token may look at a key. */
  #stepMask(numKeys: number): Tensor {
    const mask = new Uint8Array(this.#padding.length * numKeys);
    for (const [b, padding] of this.#padding.entries()) mask.fill(1, b * numKeys + padding, (b + 1) * numKeys);
    return this.#boolTensor(mask, [this.#padding.length, 1, 1, numKeys]);
  }

  #boolTensor(mask: Uint8Array, shape: number[]): Tensor {
    return tensor(mask, { shape, device: this.#decoder.device }).to('bool');
  }

  /** Drops ended rows once they are half of the batch: a copy of the cache then costs less than carrying them. */
  #compact(): void {
    const kept = this.#rows.flatMap((row, i) => (row.active ? [i] : []));
    if (kept.length * 2 > this.#rows.length) return;
    this.#cache.selectRows(kept);
    this.#rows = kept.map((i) => this.#rows[i] as Row);
    this.#padding = kept.map((i) => this.#padding[i] as number);
  }
}

function promptLength(prompt: Prompt): number {
  return 'ids' in prompt ? prompt.ids.length : (prompt.embeds.shape[0] ?? 0);
}

function checkRequest(request: GenerateRequest, length: number, decoder: Decoder): void {
  checkSampling(request.sampling);
  if (promptLength(request.prompt) === 0) {
    throw new CommError('The prompt is empty.', { code: 'generate/empty-prompt' });
  }
  if (!Number.isSafeInteger(request.maxNewTokens) || request.maxNewTokens < 1) {
    throw new CommError(`maxNewTokens is ${request.maxNewTokens}, but it must be a whole number of 1 or more.`, {
      code: 'generate/max-new-tokens',
      exitCode: 2,
    });
  }
  if (length > decoder.maxPositions) {
    throw new CommError(
      `The prompt is ${length} tokens long, but the model can take in at most ${decoder.maxPositions}.`,
      { code: 'generate/too-long', fix: 'Use fewer pictures, a shorter question, or start a new conversation.' },
    );
  }
}

function padLeft(row_TE: Tensor, length: number): Tensor {
  const [numTokens, dim] = row_TE.shape as [number, number];
  if (numTokens === length) return row_TE;
  return cat([zeros([length - numTokens, dim], { dtype: row_TE.dtype, device: row_TE.device }), row_TE], 0);
}
