// The engine: from prompts (token ids or embeddings) to tokens. It knows nothing of text, pictures or templates.
// Shapes: B sequences, T positions, E width of the language model, V vocabulary.
//
// A batch is padded on the left so that every sequence's next token sits in the last column:
//
//   column      0 1 2 3 4 5 | 6 7 ...
//   sequence 0  . . a b c d | x x        padding 2: positions 0 1 2 3 | 4 5
//   sequence 1  p q r s t u | y y        padding 0: positions 0 ... 5 | 6 7
//
// The decoder hides padding and counts positions from each sequence's first real token, so a sequence gets the same
// answer alone and in a batch.
import { cat, noGrad, scope, stack, type Tensor, zeros } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import type { KvCache } from '../models/kv-cache.js';
import type { Decoder } from './decoder.js';
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
  readonly past?: KvCache;
}

/**
 * What the rest of the product asks of a generator: a static batch here, a continuous one behind the same interface for
 * a server. Events of different requests interleave; each request ends with exactly one `finish`.
 */
export interface Engine {
  run(requests: readonly GenerateRequest[], options?: RunOptions): AsyncGenerator<TokenEvent, void, void>;
}

/** New tokens that the cache has room for from the start; it grows when an answer is longer. */
const ROOM_FOR_ANSWER = 128;

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
  /** Positions before the tokens: the past and the prompt. */
  readonly promptEnd: number;
  readonly tokens: number[];
  active: boolean;
}

/** The rows of one run with their cache. */
class Batch {
  readonly #decoder: Decoder;
  readonly #past: KvCache | undefined;
  #rows: Row[];
  #cache: KvCache;
  /** Columns in front of each row that are no part of it. */
  #padding: number[] = [];

  constructor(decoder: Decoder, requests: readonly GenerateRequest[], past: KvCache | undefined) {
    if (past && requests.length !== 1) throw new TypeError('a run with a past has exactly one request');
    const numPast = past?.length ?? 0;
    for (const request of requests) checkRequest(request, numPast, decoder);
    this.#decoder = decoder;
    this.#past = past;
    this.#rows = requests.map((settings, request) => ({
      request,
      settings,
      random: seededRandom(settings.sampling.seed),
      promptEnd: numPast + promptLength(settings.prompt),
      tokens: [],
      active: true,
    }));
    const longest = Math.max(...this.#rows.map((row) => row.promptEnd));
    const wanted = Math.max(...requests.map((request) => request.maxNewTokens));
    this.#cache = past ?? decoder.createCache(requests.length, longest + Math.min(wanted, ROOM_FOR_ANSWER));
  }

  /** Runs all prompts through the model; the logits of the last column, float[V] a sequence. */
  prefill(): Float32Array[] {
    const embed = (ids: readonly number[]): Tensor => this.#decoder.embed(ids);
    const lengths = this.#rows.map((row) => promptLength(row.settings.prompt) + row.tokens.length);
    const longest = Math.max(...lengths);
    this.#padding = lengths.map((length) => longest - length);
    return this.#forward(() =>
      stack(
        this.#rows.map(({ settings: { prompt }, tokens }, i) => {
          const prompt_TE = 'ids' in prompt ? embed(prompt.ids) : prompt.embeds.to(this.#decoder.dtype);
          const row_TE = tokens.length === 0 ? prompt_TE : cat([prompt_TE, embed(tokens)], 0);
          return padLeft(row_TE, this.#padding[i] as number);
        }),
      ),
    );
  }

  /** Runs the last token of every row; the next logits, float[V] a sequence. */
  step(): Float32Array[] {
    // Columns used up while rows still go on: these are padded in front, so they start again without their padding.
    if (this.#cache.length >= this.#decoder.maxPositions) return this.#restart();
    this.#compact();
    return this.#forward(() => this.#decoder.embed(this.#rows.map((row) => row.tokens.at(-1) as number)).unsqueeze(1));
  }

  /** Draws the next token of every active row from its logits and says what happened. */
  accept(logits: readonly Float32Array[]): { events: TokenEvent[]; numActive: number } {
    const events: TokenEvent[] = [];
    let numActive = 0;
    for (const [i, row] of this.#rows.entries()) {
      if (!row.active) continue;
      const { settings, request, tokens } = row;
      const finish = (reason: FinishReason): void => {
        row.active = false;
        events.push({ type: 'finish', request, reason, numTokens: tokens.length });
      };
      const token = sampleToken(logits[i] as Float32Array, settings.sampling, row.random);
      if (settings.stopIds.has(token)) {
        finish('stop');
        continue;
      }
      tokens.push(token);
      events.push({ type: 'token', request, token });
      // The last token needs a position of its own only if another one is drawn after it.
      const full = row.promptEnd + tokens.length > this.#decoder.maxPositions;
      if (settings.stopWhen?.(token)) finish('stop');
      else if (tokens.length >= settings.maxNewTokens || full) finish('length');
      else numActive++;
    }
    return { events, numActive };
  }

  dispose(): void {
    if (this.#cache !== this.#past) this.#cache.dispose();
  }

  #forward(embeds: () => Tensor): Float32Array[] {
    return scope(() =>
      noGrad(() => {
        const logits_BV = this.#decoder.nextLogits(embeds(), this.#cache, this.#padding);
        const [numRows, numVocab] = logits_BV.shape as [number, number];
        const flat = logits_BV.to({ dtype: 'f32', device: 'cpu' }).toArray() as Float32Array;
        return Array.from({ length: numRows }, (_, i) => flat.subarray(i * numVocab, (i + 1) * numVocab));
      }),
    );
  }

  /** Drops ended rows once they are half of the batch: a copy of the cache then costs less than carrying them. */
  #compact(): void {
    const kept = this.#rows.flatMap((row, i) => (row.active ? [i] : []));
    if (kept.length * 2 > this.#rows.length) return;
    this.#cache.selectRows(kept);
    this.#rows = kept.map((i) => this.#rows[i] as Row);
    this.#padding = kept.map((i) => this.#padding[i] as number);
  }

  #restart(): Float32Array[] {
    this.#rows = this.#rows.filter((row) => row.active);
    this.#cache.dispose();
    this.#cache = this.#decoder.createCache(this.#rows.length, this.#decoder.maxPositions);
    return this.prefill();
  }
}

function promptLength(prompt: Prompt): number {
  return 'ids' in prompt ? prompt.ids.length : (prompt.embeds.shape[0] ?? 0);
}

function checkRequest({ sampling, prompt, maxNewTokens }: GenerateRequest, numPast: number, decoder: Decoder): void {
  checkSampling(sampling);
  const numTokens = promptLength(prompt);
  if (numTokens === 0) throw new CommError('The prompt is empty.', { code: 'generate/empty-prompt' });
  if (!Number.isSafeInteger(maxNewTokens) || maxNewTokens < 1) {
    throw new CommError(`maxNewTokens is ${maxNewTokens}, but it must be a whole number of 1 or more.`, {
      code: 'generate/max-new-tokens',
      exitCode: 2,
    });
  }
  if (numPast + numTokens > decoder.maxPositions) {
    throw new CommError(
      `The prompt is ${numPast + numTokens} tokens long, but the model reads at most ${decoder.maxPositions}.`,
      { code: 'generate/too-long', fix: 'Use fewer pictures, a shorter question, or start a new conversation.' },
    );
  }
}

/** Zero rows in front: float[T, E] -> float[padding + T, E]. */
function padLeft(row_TE: Tensor, padding: number): Tensor {
  if (padding === 0) return row_TE;
  const { dtype, device } = row_TE;
  return cat([zeros([padding, row_TE.shape[1] as number], { dtype, device }), row_TE], 0);
}
