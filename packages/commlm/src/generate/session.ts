/**
 * A loaded model that answers: pictures and a question in, text and boxes out. The command line, the library and a
 * server stand on this; what runs the tokens is an Engine behind it.
 */
import type { Device, DType } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import type { CommConfig } from '../config/model.js';
import { openPicture, type Picture } from '../images/picture.js';
import type { Comm } from '../models/comm.js';
import type { Tokenizer } from '../text/tokenizer.js';
import type { Answer, AnswerDelta, Answerer, AnswerOptions, AskRequest } from './answer.js';
import { AskQueue } from './ask-queue.js';
import { ChatSession } from './chat.js';
import { checkAnswerOptions, checkAskSettings, checkChatOptions, checkRequest } from './check-request.js';
import type { ModelIdentity } from './model-identity.js';
import type { ModelRuntime, OpenAnswer, Question } from './runtime.js';

/** Settings of one `ask` beside its pictures and question. */
export type AskSettings = Omit<AskRequest, 'images' | 'question'> & AnswerOptions;

/** A model with its tokenizer, engine and caches. */
export class CommSession implements Answerer {
  readonly #runtime: ModelRuntime;
  readonly #queue: AskQueue;
  readonly #identify: () => ModelIdentity;

  /** @param runtime - goes over to the session, which disposes of it */
  constructor(runtime: ModelRuntime, identify: () => ModelIdentity) {
    this.#runtime = runtime;
    this.#queue = new AskQueue(runtime);
    this.#identify = identify;
  }

  /** Name of the model: its folder's name. */
  get name(): string {
    return this.#runtime.name;
  }

  /** What the model is made of. */
  get config(): CommConfig {
    return this.#runtime.config;
  }

  /** The model's tokenizer. */
  get tokenizer(): Tokenizer {
    return this.#runtime.tokenizer;
  }

  /** The model itself, for what measures it; the session disposes of it. */
  get comm(): Comm {
    return this.#runtime.comm;
  }

  /** Number format that the language model computes in. */
  get dtype(): DType {
    return this.#runtime.dtype;
  }

  /** Where the model runs. */
  get device(): Device {
    return this.#runtime.device;
  }

  /** Answers one question, whole. */
  async ask(request: AskRequest, options?: AnswerOptions): Promise<Answer>;
  /** Answers one question about one picture, several, or none (`[]`). */
  async ask(images: Picture | readonly Picture[], question: string, settings?: AskSettings): Promise<Answer>;
  async ask(
    first: AskRequest | Picture | readonly Picture[],
    second?: AnswerOptions | string,
    settings?: AskSettings,
  ): Promise<Answer> {
    const { request, options } = readArguments(first, second, settings);
    const stream = this.askStream(request, options);
    let step = await stream.next();
    while (!step.done) step = await stream.next();
    return step.value;
  }

  /**
   * Answers one question piece by piece; the pieces together are the answer's text, the return value the whole answer.
   * Questions that are asked at the same time are answered together where temperature and topP agree.
   */
  async *askStream(request: AskRequest, options: AnswerOptions = {}): AsyncGenerator<AnswerDelta, Answer, void> {
    checkRequest(request);
    checkAnswerOptions(options);
    this.#runtime.refuseClosed();
    return yield* this.#queue.ask(await openQuestion(request), options.signal);
  }

  /**
   * Answers many questions together. The answers are those of each question alone; a question that cannot be answered
   * (a broken picture, too long a text) gives its CommError in its place. Aborting rejects the whole call.
   */
  async askBatch(requests: readonly AskRequest[], options: AnswerOptions = {}): Promise<(Answer | CommError)[]> {
    checkAnswerOptions(options);
    const { signal } = options;
    if (!Array.isArray(requests)) {
      throw new CommError('askBatch takes a list of requests.', { code: 'generate/request', exitCode: 2 });
    }
    this.#runtime.refuseClosed();
    const results = new Array<Answer | CommError>(requests.length);
    const open: { place: number; answer: OpenAnswer }[] = [];
    try {
      for (const [place, request] of requests.entries()) {
        // A model that was closed ends the whole call, as the answers of the others cannot come any more.
        this.#runtime.refuseClosed();
        try {
          checkRequest(request);
          const question = await openQuestion(request);
          signal?.throwIfAborted();
          open.push({ place, answer: this.#runtime.open(question) });
        } catch (error) {
          // The reason of an abort is no fault of this question, also where it is a CommError.
          signal?.throwIfAborted();
          results[place] = ownError(error);
        }
      }
      const answers = open.map(({ answer }) => answer);
      for await (const event of this.#runtime.answer(answers, { signal })) {
        if ('answer' in event) results[open[event.index]!.place] = event.answer;
        else if ('error' in event) results[open[event.index]!.place] = ownError(event.error);
      }
      return results;
    } finally {
      for (const { answer } of open) answer.generate.prompt.embeds.dispose();
    }
  }

  /** Which model it is; from its files, without reading all of large ones. */
  identity(): ModelIdentity {
    return this.#identify();
  }

  /** Starts a conversation that keeps its pictures and the keys and values of what was said. */
  chat(options: { readonly system?: string | undefined } = {}): ChatSession {
    checkChatOptions(options);
    this.#runtime.refuseClosed();
    return new ChatSession(this.#runtime, options.system);
  }

  /** Frees the weights and caches; what was not answered yet rejects with `generate/closed`. */
  dispose(): void {
    this.#runtime.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The two ways to ask as one. */
function readArguments(
  first: AskRequest | Picture | readonly Picture[],
  second: AnswerOptions | string | undefined,
  settings: AskSettings | undefined,
): { request: AskRequest; options: AnswerOptions | undefined } {
  if (settings === undefined && (second === undefined || (typeof second === 'object' && second !== null))) {
    return { request: first as AskRequest, options: second };
  }
  if (settings !== undefined) checkAskSettings(settings);
  const { signal, ...rest } = settings ?? {};
  const images = (Array.isArray(first) ? first : [first]) as readonly Picture[];
  return { request: { ...rest, question: second as string, images }, options: { signal } };
}

/** The turns of a request with their pictures decoded. */
async function openQuestion(request: AskRequest): Promise<Question> {
  const { question, history = [], images = [], system } = request;
  const started = performance.now();
  const bringOwn = history.some((turn) => turn.images !== undefined);
  const turns = [...history, { question, images: undefined, answer: undefined }].map((turn, index, all) => {
    const isPlace = bringOwn ? index === all.length - 1 : index === 0;
    return { ...turn, images: isPlace ? images : (turn.images ?? []) };
  });
  const opened = await Promise.all(
    turns.map(async (turn) => ({
      ...turn,
      images: await Promise.all(turn.images.map((picture) => openPicture(picture, request))),
    })),
  );
  return { turns: opened, system, settings: request, decodeMs: performance.now() - started };
}

/** An error that one question ends with; what ends all of them is thrown on. */
function ownError(error: unknown): CommError {
  if (error instanceof CommError && error.code !== 'generate/closed') return error;
  throw error;
}
