/**
 * What a session and its conversations run on: a model, its tokenizer, its engine and the pictures that it has seen. Turns with
 * decoded pictures go in, pieces of text and answers come out.
 */
import type { Device, DType, Tensor } from '@commlm/torch';
import type { CommConfig } from '../config/model.js';
import type { RgbImage } from '../images/decode.js';
import type { Comm } from '../models/comm.js';
import type { Tokenizer } from '../text/tokenizer.js';
import type { Answer, AnswerDelta, DecodingSettings } from './answer.js';
import { AnswerBuilder } from './answer-builder.js';
import { closedError, LlamaDecoder } from './decoder.js';
import { BatchEngine, checkGenerate, type Engine, type GenerateOptions, type GenerateRequest } from './engine.js';
import { ImageCache } from './image-cache.js';
import type { PrefixCache } from './prefix-cache.js';
import { embedPrompt, type PictureTurn, prefixKeys, renderPrompt } from './prompt.js';

/** Starting values of a model's folder (`generation_config.json`). */
export interface GenerationDefaults {
  readonly maxNewTokens: number;
  readonly stopIds: ReadonlySet<number>;
}

/** What a runtime is made of. */
export interface RuntimeParts {
  /** Name of the model: its folder's name. */
  readonly name: string;
  /** Goes over to the runtime, which disposes of it. */
  readonly comm: Comm;
  readonly tokenizer: Tokenizer;
  readonly defaults: GenerationDefaults;
  readonly loadMs: number;
  readonly imageCacheBytes?: number | undefined;
}

/** A turn with decoded pictures. */
export interface RgbTurn {
  readonly question: string;
  readonly images: readonly RgbImage[];
  /** Absent in the turn to be answered, the last one. */
  readonly answer?: string | undefined;
}

/** A question whose pictures are decoded. */
export interface Question {
  readonly turns: readonly RgbTurn[];
  readonly system: string | undefined;
  readonly settings: DecodingSettings;
  /** Time that decoding the pictures took. */
  readonly decodeMs: number;
  /** Keys and values of a conversation, for a question that is answered alone. */
  readonly prefix?: PrefixCache | undefined;
  /** Ends this question and leaves those beside it alone. */
  readonly signal?: AbortSignal | undefined;
}

/** A question that is ready to run; its embeddings are freed by `answer`. */
export interface OpenAnswer {
  readonly builder: AnswerBuilder;
  readonly generate: GenerateRequest & { readonly prompt: { readonly embeds: Tensor } };
}

/** What happens to the question of that index; `answer` and `error` are its last event. */
export type AnswerEvent =
  | { readonly index: number; readonly delta: AnswerDelta }
  | { readonly index: number; readonly answer: Answer }
  | { readonly index: number; readonly error: unknown };

/** A model with tokenizer, engine and caches. */
export class ModelRuntime {
  readonly name: string;
  readonly config: CommConfig;
  readonly tokenizer: Tokenizer;
  readonly dtype: DType;
  readonly device: Device;
  readonly #comm: Comm;
  readonly #decoder: LlamaDecoder;
  readonly #engine: Engine;
  readonly #images: ImageCache;
  readonly #defaults: GenerationDefaults;
  readonly #loadMs: number;
  #isDisposed = false;

  constructor({ name, comm, tokenizer, defaults, loadMs, imageCacheBytes }: RuntimeParts) {
    comm.requiresGrad_(false).eval();
    this.name = name;
    this.config = comm.config;
    this.tokenizer = tokenizer;
    this.dtype = comm.dtype;
    this.device = comm.device;
    this.#comm = comm;
    this.#decoder = new LlamaDecoder(comm.languageModel);
    this.#engine = new BatchEngine(this.#decoder);
    this.#images = new ImageCache(comm, imageCacheBytes);
    this.#defaults = defaults;
    this.#loadMs = loadMs;
  }

  /** The model itself. @throws CommError `generate/closed` once it was disposed of */
  get comm(): Comm {
    this.refuseClosed();
    return this.#comm;
  }

  /** Throws CommError `generate/closed` once it was disposed of. */
  refuseClosed(): void {
    if (this.#isDisposed) throw closedError();
  }

  /** Encodes the pictures of a question and embeds it. Throws CommError for one that cannot be answered. */
  open({ turns, system, settings, decodeMs, prefix, signal }: Question): OpenAnswer {
    this.refuseClosed();
    const started = performance.now();
    // All pictures of the prompt at once: none of them may leave the cache before the prompt is embedded.
    const encoded = this.#images.encode(turns.flatMap((turn) => turn.images));
    let next = 0;
    const encodedTurns = turns.map(({ question, images, answer }): PictureTurn => {
      const own = encoded.slice(next, next + images.length);
      next += images.length;
      return { question, images: own, answer };
    });
    const visionMs = decodeMs + performance.now() - started;
    const rendered = renderPrompt(this.#comm, this.tokenizer, encodedTurns, system);
    const facts = {
      model: this.name,
      loadMs: this.#loadMs,
      visionMs,
      promptTokens: rendered.ids.length,
      imageTokens: rendered.slots.reduce((sum, { length }) => sum + length, 0),
      // Boxes are on the first picture of the last turn that has some.
      frame: encodedTurns.findLast(({ images }) => images.length > 0)?.images[0]?.frame,
      boxesInSquare: this.config.conversation !== undefined,
    };
    const builder = new AnswerBuilder(facts, this.tokenizer.stream(), settings.stop);
    const { maxNewTokens = this.#defaults.maxNewTokens, temperature = 0, topP = 1, seed = 0 } = settings;
    const embeds = embedPrompt(this.#comm, rendered);
    const generate = {
      prompt: { embeds, keys: prefix === undefined ? undefined : prefixKeys(rendered) },
      maxNewTokens,
      sampling: { temperature, topP, seed },
      stopIds: this.#defaults.stopIds,
      stopWhen: builder.stopWhen,
      prefix,
      signal,
    };
    try {
      checkGenerate(generate, this.#decoder);
    } catch (error) {
      embeds.dispose();
      throw error;
    }
    return { builder, generate };
  }

  /** Answers questions together; each of them ends with one `answer` or `error`, also where its neighbours fail. */
  async *answer(open: readonly OpenAnswer[], options: GenerateOptions = {}): AsyncGenerator<AnswerEvent, void, void> {
    try {
      const events = this.#engine.run(
        open.map(({ generate }) => generate),
        options,
      );
      for await (const event of events) {
        if (event.type === 'prefill') {
          for (const { builder } of open) builder.accept(event);
          freeEmbeds(open);
        } else yield* toAnswerEvents(event.request, open[event.request]!.builder, event);
      }
    } finally {
      freeEmbeds(open);
    }
  }

  /** Frees the weights and caches; what was not answered yet ends with `generate/closed`. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#decoder.close();
    this.#images.dispose();
    // A module disposes of parameters; the decoder's rotary tables are its own.
    this.#comm.languageModel.model.dispose();
    this.#comm.dispose();
  }
}

function freeEmbeds(open: readonly OpenAnswer[]): void {
  for (const { generate } of open) generate.prompt.embeds.dispose();
}

function* toAnswerEvents(
  index: number,
  builder: AnswerBuilder,
  event: Parameters<AnswerBuilder['accept']>[0],
): Generator<AnswerEvent> {
  if (event.type === 'error') {
    yield { index, error: event.error };
    return;
  }
  const delta = builder.accept(event);
  if (delta !== undefined) yield { index, delta };
  if (builder.answer !== undefined) yield { index, answer: builder.answer };
}
