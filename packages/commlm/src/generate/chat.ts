/**
 * A conversation: its turns, its pictures, and the keys and values of what was said, so that a turn pays for itself alone.
 */
import { CommError } from '../config/errors.js';
import type { RgbImage } from '../images/decode.js';
import { openPicture, type Picture, type PictureSettings } from '../images/picture.js';
import { checkPixels } from '../images/pixels.js';
import type { Answer, AnswerDelta, AnswerOptions, DecodingSettings } from './answer.js';
import { checkQuestion, checkSaySettings } from './check-request.js';
import { closedError } from './decoder.js';
import { PrefixCache } from './prefix-cache.js';
import type { ModelRuntime } from './runtime.js';

/** One finished turn. */
export interface ChatTurn {
  readonly question: string;
  readonly images: readonly RgbImage[];
  readonly answer: string;
}

/** Settings of one message. Aborting ends the answer; what was said so far stays in the conversation. */
export type SaySettings = DecodingSettings & AnswerOptions;

/** A conversation with a model; the session that made it must outlive it. */
export class ChatSession {
  readonly #runtime: ModelRuntime;
  readonly #system: string | undefined;
  readonly #turns: ChatTurn[] = [];
  #waiting: RgbImage[] = [];
  readonly #prefix = new PrefixCache();
  /** Ends the answer that is being given; absent at rest. */
  #answering: AbortController | undefined;
  #closed = false;

  constructor(runtime: ModelRuntime, system: string | undefined) {
    this.#runtime = runtime;
    this.#system = system;
  }

  /** The turns so far. */
  get turns(): readonly ChatTurn[] {
    return this.#turns;
  }

  /** Positions whose keys and values are kept. */
  get numCached(): number {
    return this.#prefix.length;
  }

  /** Adds a decoded picture to the next message. */
  addImage(image: RgbImage): void {
    this.#waiting.push(checkPixels(image));
  }

  /** Adds a picture to the next message; throws CommError for what is no picture. */
  async addPicture(picture: Picture, settings: PictureSettings = {}): Promise<void> {
    this.addImage(await openPicture(picture, settings));
  }

  /** Forgets the conversation and its pictures; throws CommError while it answers. */
  reset(): void {
    this.#refuseBusy();
    this.#turns.length = 0;
    this.#waiting = [];
    this.#prefix.dispose();
  }

  /**
   * Takes the last message back, question and answer: the conversation is as it was before, and its pictures go with the
   * next message. Nothing is left to take back in an empty conversation. Throws CommError while it answers.
   */
  takeBack(): void {
    this.#refuseBusy();
    const turn = this.#turns.pop();
    if (turn !== undefined) this.#waiting = [...turn.images, ...this.#waiting];
  }

  /** Answers a message piece by piece; the return value is the whole answer. One message at a time. */
  async *say(message: string, settings: SaySettings = {}): AsyncGenerator<AnswerDelta, Answer, void> {
    checkQuestion(message);
    checkSaySettings(settings);
    if (this.#closed) throw closedError();
    this.#refuseBusy();
    const stop = new AbortController();
    const passOn = (): void => stop.abort(settings.signal?.reason);
    if (settings.signal?.aborted) passOn();
    settings.signal?.addEventListener('abort', passOn);
    this.#answering = stop;
    const images = this.#waiting;
    this.#waiting = [];
    const open = { question: message, images };
    let text = '';
    let whole = false;
    try {
      const turns = [...this.#turns, open];
      const answer = this.#runtime.open({
        turns,
        system: this.#system,
        settings,
        decodeMs: 0,
        prefix: this.#prefix,
      });
      for await (const event of this.#runtime.answer([answer], { signal: stop.signal })) {
        if ('error' in event) throw event.error;
        if (!('delta' in event)) continue;
        text += event.delta.text;
        yield event.delta;
      }
      whole = true;
      const given = answer.builder.answer!;
      this.#turns.push({ ...open, answer: given.answer });
      return given;
    } finally {
      // A stopped answer stays as far as it came; a message that was not answered at all leaves no trace.
      if (!whole && text !== '') this.#turns.push({ ...open, answer: text });
      else if (!whole) this.#waiting = [...images, ...this.#waiting];
      this.#answering = undefined;
      settings.signal?.removeEventListener('abort', passOn);
    }
  }

  /** Frees the keys and values; the session stays. An answer that is being given rejects with `generate/closed`. */
  dispose(): void {
    this.#closed = true;
    this.#answering?.abort(closedError());
    this.#prefix.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #refuseBusy(): void {
    if (this.#answering === undefined) return;
    throw new CommError('This conversation is answering already.', {
      code: 'generate/busy',
      fix: 'Wait for the answer or abort it.',
    });
  }
}
