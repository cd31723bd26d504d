/**
 * A conversation: its turns, its pictures, and the keys and values of what was said, so that a turn pays for itself alone.
 */
import { CommError } from '../config/errors.js';
import type { RgbImage } from '../images/decode.js';
import { openPicture, type Picture, type PictureSettings } from '../images/picture.js';
import { checkPixels } from '../images/pixels.js';
import type { KvCache } from '../models/kv-cache.js';
import type { Answer, AnswerDelta, DecodingSettings } from './answer.js';
import { checkQuestion, checkSaySettings, closedError } from './check-request.js';
import { prefixKeys, sharedPrefix } from './prompt.js';
import type { CommSession } from './session.js';

/** One finished turn. */
export interface ChatTurn {
  readonly question: string;
  readonly images: readonly RgbImage[];
  readonly answer: string;
}

/** Settings of one message. */
export interface SaySettings extends DecodingSettings {
  /** Aborting ends the answer; what was said so far stays in the conversation. */
  readonly signal?: AbortSignal;
}

/** A conversation with a model; the session that made it must outlive it. */
export class ChatSession {
  readonly #session: CommSession;
  readonly #system: string | undefined;
  readonly #turns: ChatTurn[] = [];
  #waiting: RgbImage[] = [];
  #cache: KvCache | undefined;
  /** One key for each position of the cache. */
  #keys: number[] = [];
  /** Ends the answer that is being given; absent at rest. */
  #answering: AbortController | undefined;
  #closed = false;

  constructor(session: CommSession, system: string | undefined) {
    this.#session = session;
    this.#system = system;
  }

  /** The turns so far. */
  get turns(): readonly ChatTurn[] {
    return this.#turns;
  }

  /** Positions whose keys and values are kept. */
  get numCached(): number {
    return this.#cache?.length ?? 0;
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
    this.#forgetCache();
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
      const prepared = this.#session.prepareTurns([...this.#turns, open], this.#system, 0);
      const keys = prefixKeys(prepared.rendered);
      const cache = this.#reuse(keys);
      this.#keys = keys;
      const stream = this.#session.answerPrompt(prepared, { ...settings, signal: stop.signal }, cache, (token) =>
        this.#keys.push(token),
      );
      let step = await stream.next();
      for (; !step.done; step = await stream.next()) {
        text += step.value.text;
        yield step.value;
      }
      whole = true;
      this.#turns.push({ ...open, answer: step.value.answer });
      return step.value;
    } finally {
      // A stopped answer stays as far as it came; a message that was not answered at all leaves no trace.
      if (!whole && text !== '') this.#turns.push({ ...open, answer: text });
      else if (!whole) this.#waiting = [...images, ...this.#waiting];
      // The last token drawn has not been through the model.
      this.#keys.length = Math.min(this.#keys.length, this.numCached);
      this.#answering = undefined;
      settings.signal?.removeEventListener('abort', passOn);
    }
  }

  /** Frees the keys and values; the session stays. An answer that is being given rejects with `generate/closed`. */
  dispose(): void {
    this.#closed = true;
    this.#answering?.abort(closedError());
    this.#forgetCache();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** The cache cut back to what the new prompt shares with it; at least one position is left to run. */
  #reuse(keys: readonly number[]): KvCache {
    this.#cache ??= this.#session.createCache();
    this.#cache.truncate(Math.min(sharedPrefix(this.#keys, keys), keys.length - 1, this.#cache.length));
    return this.#cache;
  }

  #refuseBusy(): void {
    if (this.#answering === undefined) return;
    throw new CommError('This conversation is answering already.', {
      code: 'generate/busy',
      fix: 'Wait for the answer or abort it.',
    });
  }

  #forgetCache(): void {
    this.#cache?.dispose();
    this.#cache = undefined;
    this.#keys = [];
  }
}
