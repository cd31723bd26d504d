/**
 * The engine: from prompts (token ids or embeddings) to tokens. It knows nothing of text, pictures or templates.
 * Shapes: B sequences, T positions, E width of the language model, V vocabulary.
 *
 * Prompts of a batch are padded behind for their one pass; from then on every sequence goes on at its own position:
 *
 * column      0 1 2 3 4 5 6 7
 * sequence 0  a b c d x x            prompt of 4, then x x
 * sequence 1  p q r s t u y y        prompt of 6, then y y
 *
 * Only the ids that are drawn leave the device.
 */
import { cat, noGrad, scope, stack, type Tensor, zeros } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import type { KvCache } from '../models/kv-cache.js';
import type { Decoder } from './decoder.js';
import type { PrefixCache } from './prefix-cache.js';
import {
  checkSampling,
  drawTokens,
  NOT_FINITE,
  notFinite,
  type Random,
  type Sampling,
  seededRandom,
} from './sampling.js';

/** What one sequence starts from: token ids, or embeddings where pictures are among them. */
export type Prompt =
  | { readonly ids: readonly number[] }
  | {
      readonly embeds: Tensor;
      /** One number a position, equal where the input is; a `prefix` finds its own again by them. */
      readonly keys?: readonly number[] | undefined;
    };

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
  readonly stopWhen?: ((token: number) => boolean) | undefined;
  /**
   * Keys and values of what was run before: only what the prompt does not share with them is run, and they grow with the
   * answer. For a run of one request.
   */
  readonly prefix?: PrefixCache | undefined;
  /** Aborting ends this request between two tokens; those beside it go on. */
  readonly signal?: AbortSignal | undefined;
}

/** Why a sequence ended: a stop id, `stopWhen`, the wanted length, or the end of the model's context. */
export type FinishReason = 'stop' | 'length';

/** What the engine reports while it runs. */
export type TokenEvent =
  | { readonly type: 'prefill'; readonly ms: number }
  | { readonly type: 'token'; readonly request: number; readonly token: number }
  | { readonly type: 'finish'; readonly request: number; readonly reason: FinishReason; readonly numTokens: number }
  /** The request ended alone: its signal's reason, or a CommError. */
  | { readonly type: 'error'; readonly request: number; readonly error: unknown };

/** Settings of a run. */
export interface GenerateOptions {
  /** Aborting ends the run between two tokens: the iteration throws the signal's reason and everything is freed. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * What the rest of the product asks of a generator: a static batch here, a continuous one behind the same interface.
 * Events of different requests interleave; each request ends with exactly one `finish` or `error`. When the last of them is
 * told, the run holds no memory any more.
 */
export interface Engine {
  run(requests: readonly GenerateRequest[], options?: GenerateOptions): AsyncGenerator<TokenEvent, void, void>;
}

/** New tokens that the cache has room for from the start; it grows when an answer is longer. */
const ROOM_FOR_ANSWER = 128;

/** Gives other work of the process (timers, sockets, an abort) a turn. */
export const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Runs a fixed set of requests together from prefill to the last token. */
export class BatchEngine implements Engine {
  readonly #decoder: Decoder;

  constructor(decoder: Decoder) {
    this.#decoder = decoder;
  }

  async *run(
    requests: readonly GenerateRequest[],
    { signal }: GenerateOptions = {},
  ): AsyncGenerator<TokenEvent, void, void> {
    if (requests.length === 0) return;
    const batch = new Batch(this.#decoder, requests);
    try {
      signal?.throwIfAborted();
      const started = performance.now();
      let drawn = batch.prefill();
      yield { type: 'prefill', ms: performance.now() - started };
      while (true) {
        const { events, numActive } = batch.accept(drawn);
        if (numActive === 0) batch.dispose();
        for (const event of events) yield event;
        if (numActive === 0) return;
        await breathe();
        signal?.throwIfAborted();
        drawn = batch.step();
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
  /** Positions before the tokens: the prompt. */
  readonly promptEnd: number;
  readonly tokens: number[];
  active: boolean;
}

/** The rows of one run with their cache. */
class Batch {
  readonly #decoder: Decoder;
  readonly #prefix: PrefixCache | undefined;
  #rows: Row[];
  readonly #cache: KvCache;
  #isDisposed = false;

  constructor(decoder: Decoder, requests: readonly GenerateRequest[]) {
    for (const request of requests) checkGenerate(request, decoder);
    this.#decoder = decoder;
    this.#rows = requests.map((settings, request) => ({
      request,
      settings,
      random: seededRandom(settings.sampling.seed),
      promptEnd: promptLength(settings.prompt),
      tokens: [],
      active: true,
    }));
    const longest = Math.max(...this.#rows.map((row) => row.promptEnd));
    const wanted = Math.max(...requests.map((request) => request.maxNewTokens));
    const create = (): KvCache => decoder.createCache(requests.length, longest + Math.min(wanted, ROOM_FOR_ANSWER));
    this.#prefix = requests.find(({ prefix }) => prefix !== undefined)?.prefix;
    if (this.#prefix && requests.length > 1) throw new TypeError('a request with a prefix cache runs alone');
    this.#cache = this.#prefix?.begin(keysOf(requests[0]!.prompt), create) ?? create();
  }

  /** Runs all prompts through the model, from what the cache holds on; the next token of each row. */
  prefill(): number[] {
    const start = this.#cache.length;
    const lengths = this.#rows.map(({ promptEnd }) => promptEnd - start);
    const longest = Math.max(...lengths);
    const embed = ({ settings: { prompt } }: Row): Tensor =>
      'ids' in prompt ? this.#decoder.embed(prompt.ids) : prompt.embeds.to(this.#decoder.dtype);
    return this.#forward(
      () => stack(this.#rows.map((row) => padBehind(withoutFirst(embed(row), start), longest))),
      lengths,
    );
  }

  /** Runs the last token of every row; the next token of each. */
  step(): number[] {
    this.#compact();
    const last = this.#rows.map((row) => row.tokens.at(-1) ?? 0);
    // An ended row that is still carried along stays where it is.
    const counts = this.#rows.map((row) => (row.active ? 1 : 0));
    return this.#forward(() => this.#decoder.embed(last).unsqueeze(1), counts);
  }

  /** Takes the next token of every active row and says what happened. */
  accept(drawn: readonly number[]): { events: TokenEvent[]; numActive: number } {
    const events: TokenEvent[] = [];
    let numActive = 0;
    for (const [i, row] of this.#rows.entries()) {
      if (!row.active) continue;
      const { settings, request, tokens } = row;
      const finish = (reason: FinishReason): void => {
        row.active = false;
        events.push({ type: 'finish', request, reason, numTokens: tokens.length });
      };
      const fail = (error: unknown): void => {
        row.active = false;
        events.push({ type: 'error', request, error });
      };
      const token = drawn[i]!;
      if (settings.signal?.aborted) {
        fail(settings.signal.reason);
        continue;
      }
      if (token === NOT_FINITE) {
        fail(notFinite());
        continue;
      }
      if (settings.stopIds.has(token)) {
        finish('stop');
        continue;
      }
      tokens.push(token);
      this.#prefix?.push(token);
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
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    if (this.#prefix === undefined) this.#cache.dispose();
    else this.#prefix.end();
  }

  /** One pass, and what is drawn from it: a token for each row, without meaning for rows that have ended. */
  #forward(embeds: () => Tensor, counts: readonly number[]): number[] {
    const draws = this.#rows.map(({ active, settings: { sampling }, random }) => {
      const isSampled = active && sampling.temperature > 0;
      return isSampled ? { ...sampling, uniform: random() } : { ...sampling, temperature: 0, uniform: 0 };
    });
    return scope(() =>
      noGrad(() => {
        const logits_B1V = this.#decoder.lastLogits(embeds(), this.#cache, { counts });
        return drawTokens(logits_B1V.squeeze(1), draws);
      }),
    );
  }

  /**
   * Drops ended rows once they are half of the batch: a copy of the cache then costs less than carrying them. One that
   * fills the model's context has no place for the column that it would be carried in.
   */
  #compact(): void {
    const kept = this.#rows.flatMap((row, i) => (row.active ? [i] : []));
    const isFull = this.#rows.some(({ active }, i) => !active && this.#cache.lengths[i] === this.#decoder.maxPositions);
    if (kept.length === this.#rows.length || (kept.length * 2 > this.#rows.length && !isFull)) return;
    this.#cache.selectRows(kept);
    this.#rows = kept.map((i) => this.#rows[i]!);
  }
}

function promptLength(prompt: Prompt): number {
  return 'ids' in prompt ? prompt.ids.length : (prompt.embeds.shape[0] ?? 0);
}

function keysOf(prompt: Prompt): readonly number[] {
  const keys = 'ids' in prompt ? prompt.ids : prompt.keys;
  if (keys === undefined) throw new TypeError('a prompt of embeddings needs keys for its prefix cache');
  return keys;
}

/** Throws CommError for what the engine would refuse, so that one request can be refused before it joins others. */
export function checkGenerate({ sampling, prompt, maxNewTokens }: GenerateRequest, decoder: Decoder): void {
  checkSampling(sampling);
  const numTokens = promptLength(prompt);
  if (numTokens === 0) throw new CommError('The prompt is empty.', { code: 'generate/empty-prompt' });
  if (!Number.isSafeInteger(maxNewTokens) || maxNewTokens < 1) {
    throw new CommError(`maxNewTokens is ${maxNewTokens}, but it must be a whole number of 1 or more.`, {
      code: 'generate/max-new-tokens',
      exitCode: 2,
    });
  }
  if (numTokens > decoder.maxPositions) {
    throw new CommError(
      `The prompt is ${numTokens} tokens long, but the model reads at most ${decoder.maxPositions}.`,
      { code: 'generate/too-long', fix: 'Use fewer pictures, a shorter question, or start a new conversation.' },
    );
  }
}

/** The rows from `start` on: float[T, E] -> float[T - start, E]. */
function withoutFirst(embeds_TE: Tensor, start: number): Tensor {
  return start === 0 ? embeds_TE : embeds_TE.narrow(0, start, embeds_TE.shape[0]! - start).contiguous();
}

/** Zero rows behind: float[T, E] -> float[length, E]. */
function padBehind(row_TE: Tensor, length: number): Tensor {
  const [numTokens, width] = row_TE.shape as [number, number];
  if (numTokens === length) return row_TE;
  const { dtype, device } = row_TE;
  return cat([row_TE, zeros([length - numTokens, width], { dtype, device })], 0);
}
