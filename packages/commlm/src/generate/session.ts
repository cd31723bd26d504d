/**
 * A loaded model that answers: pictures and a question in, text and boxes out. The command line, the library and a
 * server stand on this; what runs the tokens is an Engine behind it.
 */
import type { Device, Tensor } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import type { CommConfig } from '../config/model.js';
import { modelName, resolveFolders, resolveModelFolder } from '../hub/model-folder.js';
import type { RgbImage } from '../images/decode.js';
import { clampPixelBox, normalizedToPixel } from '../images/frames.js';
import { openPicture, type Picture } from '../images/picture.js';
import type { Comm } from '../models/comm.js';
import type { KvCache } from '../models/kv-cache.js';
import { findBoxes } from '../text/boxes.js';
import { Tokenizer } from '../text/tokenizer.js';
import { readCommConfig } from '../weights/comm-folder.js';
import { readGenerationConfig } from '../weights/files/generation-config.js';
import { readFolderJson } from '../weights/files/hf-config.js';
import type { WantedFormat } from '../weights/formats.js';
import { openModel } from '../weights/open-model.js';
import type { LoadedComm } from '../weights/whole-model.js';
import type { Answer, AnswerBox, AnswerDelta, AskRequest, DecodingSettings } from './answer.js';
import { ChatSession } from './chat.js';
import { checkChatOptions, checkLoading, checkRequest, closedError } from './check-request.js';
import { LlamaDecoder } from './decoder.js';
import { BatchEngine, type Engine, type FinishReason, type GenerateRequest } from './engine.js';
import { type EncodedImage, ImageCache } from './image-cache.js';
import { type ModelIdentity, modelIdentity } from './model-identity.js';
import { embedPrompt, type PictureTurn, type RenderedPrompt, renderPrompt } from './prompt.js';
import { TextStream } from './text-stream.js';

/** Longest answer in tokens where neither the request nor the model's folder says. */
const DEFAULT_MAX_NEW_TOKENS = 512;

/** Positions that a new conversation has room for; its cache grows with it. */
const CONVERSATION_CAPACITY = 256;

/** How a model is loaded. */
export interface LoadOptions {
  /**
   * Number format while running; by default f32 on a CPU for models of up to 2 billion parameters, and the stored one for
   * larger ones and on a GPU. `int8` keeps the large matrices in 8 bits.
   */
  readonly dtype?: WantedFormat;
  /** Default `cpu`. */
  readonly device?: Device | string;
  /** Bytes of encoded pictures that are kept for later questions; default 256 MiB. */
  readonly imageCacheBytes?: number;
  /** Told after each weight while the model is opened. */
  readonly onWeight?: (done: number, total: number) => void;
  /** Folders or hub ids of the picture encoders, for models whose own files lack them (the original LLaVA, Prismatic). */
  readonly visionTower?: readonly string[];
  /** Folder or hub id of the language model that a model's files build on (Shikra's delta, Prismatic's tokenizer). */
  readonly base?: string;
  /** Folder or hub id of a LoRA adapter that is merged into the weights. */
  readonly lora?: string;
  /** Runs a model with parts that its config marks as untrained, which is refused otherwise. */
  readonly allowUntrained?: boolean;
  /** Called with a line for what changes while loading, such as the number format. */
  readonly onNote?: (line: string) => void;
}

/** Starting values of a model's folder (`generation_config.json`). */
interface GenerationDefaults {
  readonly maxNewTokens: number;
  readonly stopIds: ReadonlySet<number>;
}

/**
 * Loads a model folder (the embedded models/comm-tiny by default). The session is `using`-able; one session answers any
 * number of questions, one after the other or at the same time. Throws CommError for what is no model.
 */
export async function loadModel(model?: string, options: LoadOptions = {}): Promise<CommSession> {
  checkLoading(model, options);
  const started = performance.now();
  const folder = resolveModelFolder(model);
  const device = (options.device ?? 'cpu') as Device;
  if (options.allowUntrained !== true) refuseUntrained(folder);
  const opened = openModel(folder, {
    ...resolveFolders(options),
    device,
    dtype: options.dtype ?? 'auto',
    ...(options.onWeight === undefined ? {} : { onWeight: options.onWeight }),
  });
  try {
    const tokenizer = await Tokenizer.load(opened.tokenizer);
    noteDtype(modelName(folder), opened, options);
    return new CommSession({
      name: modelName(folder),
      comm: opened.model,
      tokenizer,
      defaults: readDefaults(folder, tokenizer),
      identify: () => modelIdentity(model, options),
      loadMs: performance.now() - started,
      ...(options.imageCacheBytes === undefined ? {} : { imageCacheBytes: options.imageCacheBytes }),
    });
  } catch (error) {
    opened.model.dispose();
    throw error;
  }
}

/** Before any weight is read, since a large model takes a while. */
function refuseUntrained(folder: string): void {
  if (readFolderJson(folder, 'config.json')['model_type'] !== 'comm') return;
  const { untrained = [] } = readCommConfig(folder);
  if (untrained.length === 0) return;
  const name = modelName(folder);
  throw new CommError(
    `${name} cannot answer yet: ${untrained.join(', ')} ${untrained.length === 1 ? 'is' : 'are'} untrained.`,
    {
      code: 'model/untrained',
      fix: 'Train it first (commlm train), or add --allow-untrained to run it as it is.',
    },
  );
}

/** So many weights (1 GiB in f32) are worth a word when they run in another format than they are stored in. */
const NOTED_WEIGHTS = 2 ** 28;

/** Says when the weights run in another format than they are stored in: where it was asked for, or costs memory. */
function noteDtype(name: string, { model, storedDtype }: LoadedComm, { dtype: asked, onNote }: LoadOptions): void {
  const { dtype } = model.languageModel.model.embedTokens.weight;
  if (dtype === storedDtype) return;
  const numWeights = model.parameters().reduce((sum, { numel }) => sum + numel, 0);
  if (asked === undefined && numWeights < NOTED_WEIGHTS) return;
  onNote?.(`${name}: weights are stored as ${storedDtype} and run as ${dtype}`);
}

function readDefaults(folder: string, tokenizer: Tokenizer): GenerationDefaults {
  const { eosIds, maxNewTokens = DEFAULT_MAX_NEW_TOKENS } = readGenerationConfig(folder);
  return { maxNewTokens, stopIds: new Set([...eosIds, ...(tokenizer.eosId === undefined ? [] : [tokenizer.eosId])]) };
}

/** What a session is made of. */
export interface SessionParts {
  readonly name: string;
  /** Goes over to the session, which disposes of it. */
  readonly comm: Comm;
  readonly tokenizer: Tokenizer;
  readonly defaults: GenerationDefaults;
  readonly identify: () => ModelIdentity;
  readonly loadMs: number;
  readonly imageCacheBytes?: number;
}

/** Settings of one `ask` beside its pictures and question. */
export type AskSettings = Omit<AskRequest, 'images' | 'question'>;

/** A prompt that is ready to run, with what its answer needs. */
export interface PreparedPrompt {
  readonly rendered: RenderedPrompt;
  /** The picture whose frame the boxes of the answer are in: the first of the last turn that has some. */
  readonly frame: EncodedImage | undefined;
  readonly visionMs: number;
}

/** A model with its tokenizer, engine and caches. */
export class CommSession {
  /** Name of the model: its folder's name. */
  readonly name: string;
  readonly config: CommConfig;
  readonly tokenizer: Tokenizer;
  readonly #comm: Comm;
  readonly #engine: Engine;
  readonly #decoder: LlamaDecoder;
  readonly #images: ImageCache;
  readonly #defaults: GenerationDefaults;
  readonly #identify: () => ModelIdentity;
  readonly #loadMs: number;
  #disposed = false;

  constructor({ name, comm, tokenizer, defaults, identify, loadMs, imageCacheBytes }: SessionParts) {
    comm.requiresGrad_(false).eval();
    this.name = name;
    this.config = comm.config;
    this.tokenizer = tokenizer;
    this.#comm = comm;
    this.#decoder = new LlamaDecoder(comm.languageModel);
    this.#engine = new BatchEngine(this.#decoder);
    this.#images = new ImageCache(comm, imageCacheBytes);
    this.#defaults = defaults;
    this.#identify = identify;
    this.#loadMs = loadMs;
  }

  /** Answers one question, whole. */
  async ask(request: AskRequest): Promise<Answer>;
  /** Answers one question about one picture, several, or none (`[]`). */
  async ask(images: Picture | readonly Picture[], question: string, settings?: AskSettings): Promise<Answer>;
  async ask(
    first: AskRequest | Picture | readonly Picture[],
    question?: string,
    settings?: AskSettings,
  ): Promise<Answer> {
    const request =
      question === undefined && settings === undefined
        ? (first as AskRequest)
        : { ...settings, question: question as string, images: (Array.isArray(first) ? first : [first]) as Picture[] };
    const stream = this.askStream(request);
    let step = await stream.next();
    while (!step.done) step = await stream.next();
    return step.value;
  }

  /** Answers one question piece by piece; the pieces together are the answer's text, the return value the whole answer. */
  async *askStream(request: AskRequest): AsyncGenerator<AnswerDelta, Answer, void> {
    checkRequest(request);
    this.#refuseClosed();
    const decoded = await decodeAll(request);
    const prepared = this.#prepare(request, decoded.images, decoded.ms);
    return yield* this.answerPrompt(prepared, request);
  }

  /**
   * Answers many questions together. The answers are those of each question alone; a question that cannot be answered
   * (a broken picture, too long a text) gives its CommError in its place. Aborting rejects the whole call.
   */
  async askBatch(
    requests: readonly AskRequest[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<(Answer | CommError)[]> {
    const signal = options?.signal;
    if (!Array.isArray(requests)) {
      throw new CommError('askBatch takes a list of requests.', { code: 'generate/request', exitCode: 2 });
    }
    this.#refuseClosed();
    const results = new Array<Answer | CommError>(requests.length);
    const runs: {
      index: number;
      prepared: PreparedPrompt;
      generate: GenerateRequest;
      text: TextStream;
      tokens: number[];
    }[] = [];
    try {
      for (const [index, request] of requests.entries()) {
        // A model that was closed ends the whole call, as the answers of the others cannot come any more.
        this.#refuseClosed();
        try {
          checkRequest(request);
          const decoded = await decodeAll(request);
          signal?.throwIfAborted();
          const prepared = this.#prepare(request, decoded.images, decoded.ms);
          const text = new TextStream(this.tokenizer.stream(), request.stop ?? []);
          const embeds = embedPrompt(this.#comm, prepared.rendered);
          runs.push({ index, prepared, text, tokens: [], generate: this.#toGenerate(embeds, request, text) });
        } catch (error) {
          if (!(error instanceof CommError) || error.code === 'generate/closed') throw error;
          results[index] = error;
        }
      }
      let prefillMs = 0;
      let started = performance.now();
      for await (const event of this.#engine.run(
        runs.map((run) => run.generate),
        signal === undefined ? {} : { signal },
      )) {
        if (event.type === 'prefill') {
          prefillMs = event.ms;
          started = performance.now();
          continue;
        }
        const run = runs[event.request] as (typeof runs)[number];
        if (event.type === 'token') run.tokens.push(event.token);
        else {
          run.text.end();
          const decodeMs = performance.now() - started;
          results[run.index] = this.#answer(run.prepared, run.text.text, run.tokens, event.reason, prefillMs, decodeMs);
        }
      }
      return results;
    } finally {
      for (const { generate } of runs) if ('embeds' in generate.prompt) generate.prompt.embeds.dispose();
    }
  }

  /** Which model it is; from its files, without reading all of large ones. */
  identity(): ModelIdentity {
    return this.#identify();
  }

  /** Starts a conversation that keeps its pictures and the keys and values of what was said. */
  chat(options: { readonly system?: string } = {}): ChatSession {
    checkChatOptions(options);
    this.#refuseClosed();
    return new ChatSession(this, options.system);
  }

  /** Frees the weights and caches; what was not answered yet rejects with `generate/closed`. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#decoder.close();
    this.#images.dispose();
    // A module disposes of parameters; the decoder's rotary tables are its own.
    this.#comm.languageModel.model.dispose();
    this.#comm.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Renders turns whose pictures are decoded; the last one is open. @internal */
  prepareTurns(
    turns: readonly { readonly question: string; readonly images: readonly RgbImage[]; readonly answer?: string }[],
    system: string | undefined,
    decodeMs: number,
  ): PreparedPrompt {
    this.#refuseClosed();
    const started = performance.now();
    // All pictures of the prompt at once: none of them may leave the cache before the prompt is embedded.
    const encoded = this.#images.encode(turns.flatMap((turn) => turn.images));
    let next = 0;
    const encodedTurns = turns.map(({ question, images, answer }): PictureTurn => {
      const own: EncodedImage[] = encoded.slice(next, next + images.length);
      next += images.length;
      return { question, images: own, ...(answer === undefined ? {} : { answer }) };
    });
    const visionMs = decodeMs + performance.now() - started;
    const frame = encodedTurns.findLast(({ images }) => images.length > 0)?.images[0];
    return { rendered: renderPrompt(this.#comm, this.tokenizer, encodedTurns, system), frame, visionMs };
  }

  /** A cache for one growing conversation. @internal */
  createCache(): KvCache {
    return this.#decoder.createCache(1, CONVERSATION_CAPACITY);
  }

  /** Runs a prepared prompt; with a `past`, only what stands behind the positions it holds. @internal */
  async *answerPrompt(
    prepared: PreparedPrompt,
    settings: DecodingSettings & { readonly signal?: AbortSignal },
    past?: KvCache,
    onToken?: (token: number) => void,
  ): AsyncGenerator<AnswerDelta, Answer, void> {
    const { signal } = settings;
    const text = new TextStream(this.tokenizer.stream(), settings.stop ?? []);
    const embeds = embedPrompt(this.#comm, prepared.rendered, past?.length ?? 0);
    const tokens: number[] = [];
    let prefillMs = 0;
    let reason: FinishReason = 'length';
    let numShown = 0;
    const news = (): AnswerDelta => {
      const delta = { text: text.text.slice(numShown) };
      numShown = text.text.length;
      return delta;
    };
    let started = performance.now();
    try {
      const run = this.#engine.run([this.#toGenerate(embeds, settings, text)], {
        ...(signal === undefined ? {} : { signal }),
        ...(past === undefined ? {} : { past }),
      });
      for await (const event of run) {
        if (event.type === 'prefill') {
          prefillMs = event.ms;
          started = performance.now();
        } else if (event.type === 'token') {
          tokens.push(event.token);
          onToken?.(event.token);
          if (text.text.length > numShown) yield news();
        } else reason = event.reason;
      }
    } finally {
      embeds.dispose();
    }
    const decodeMs = performance.now() - started;
    text.end();
    if (text.text.length > numShown) yield news();
    return this.#answer(prepared, text.text, tokens, reason, prefillMs, decodeMs);
  }

  /** The model itself, for what measures it; the session disposes of it. @internal */
  get comm(): Comm {
    this.#refuseClosed();
    return this.#comm;
  }

  #refuseClosed(): void {
    if (this.#disposed) throw closedError();
  }

  #prepare(
    { question, history = [], system }: AskRequest,
    images: readonly RgbImage[],
    decodeMs: number,
  ): PreparedPrompt {
    const turns = [...history, { question }].map((turn, index) => ({ ...turn, images: index === 0 ? images : [] }));
    return this.prepareTurns(turns, system, decodeMs);
  }

  #toGenerate(embeds: Tensor, settings: DecodingSettings, text: TextStream): GenerateRequest {
    const { maxNewTokens = this.#defaults.maxNewTokens, temperature = 0, topP = 1, seed = 0 } = settings;
    return {
      prompt: { embeds },
      maxNewTokens,
      sampling: { temperature, topP, seed },
      stopIds: this.#defaults.stopIds,
      stopWhen: (token) => {
        text.push(token);
        return text.stopped;
      },
    };
  }

  #answer(
    { rendered, frame, visionMs }: PreparedPrompt,
    answer: string,
    tokens: readonly number[],
    finishReason: FinishReason,
    prefillMs: number,
    decodeMs: number,
  ): Answer {
    const imageTokens = rendered.slots.reduce((sum, { length }) => sum + length, 0);
    return {
      model: this.name,
      answer,
      boxes: this.#boxes(answer, frame),
      usage: { promptTokens: rendered.ids.length, completionTokens: tokens.length, imageTokens },
      timings: { loadMs: this.#loadMs, visionMs, prefillMs, decodeMs },
      finishReason,
      tokens,
    };
  }

  /** Boxes of an answer in the frame of its picture; none without a picture. */
  #boxes(answer: string, image: EncodedImage | undefined): AnswerBox[] {
    if (image === undefined) return [];
    const { conversation } = this.config;
    // Models of other makers write other lists of numbers too: a box of theirs lies within the square.
    const isBox = (box: readonly number[]): boolean => conversation === undefined || box.every((x) => x >= 0 && x <= 1);
    const found = findBoxes(answer).filter(({ box }) => isBox(box));
    return found.map(({ label, box }) => {
      const { box: pixels, clamped } = clampPixelBox(normalizedToPixel(box, image.frame), image.frame);
      const [x1, y1, x2, y2] = pixels;
      return {
        ...(label === undefined ? {} : { label }),
        box: [hundredths(x1), hundredths(y1), hundredths(x2), hundredths(y2)],
        normalized: box,
        ...(clamped ? { clamped: true as const } : {}),
      };
    });
  }
}

/** Answers have three decimals of the square's side: more than hundredths of a pixel would be noise. */
const hundredths = (value: number): number => Math.round(value * 100) / 100;

async function decodeAll(request: AskRequest): Promise<{ images: RgbImage[]; ms: number }> {
  const started = performance.now();
  const images = await Promise.all((request.images ?? []).map((picture) => openPicture(picture, request)));
  return { images, ms: performance.now() - started };
}
