/** Answers from any server that speaks OpenAI's chat completions: pictures as data: URLs, retries, several at a time. */
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { CommError } from '../config/errors.js';
import { type AskedQuestion, aboutQuestion, greyPicture, type Reply, type Respondent } from './respondent.js';

/** Which server, and how it is asked. */
export interface EndpointOptions {
  /** Address up to and with `/v1`, or of `/chat/completions` itself. */
  readonly url: string;
  readonly model: string;
  /** Sent as a bearer token; never written anywhere. */
  readonly key?: string;
  readonly maxNewTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly seed: number;
  /** Requests under way at a time. */
  readonly concurrency: number;
  /** Tries of one question in all; 6 by default. */
  readonly maxTries?: number;
  /** Wait before the second try, doubled each time; 1,000 ms by default. */
  readonly firstWaitMs?: number;
  /** How long one try may take; 10 minutes by default. */
  readonly timeoutMs?: number;
  readonly onRetry?: (line: string) => void;
}

const MAX_TRIES = 6;
const FIRST_WAIT_MS = 1000;
const MAX_WAIT_MS = 60_000;
const TIMEOUT_MS = 600_000;
/** Start of a server's error that a message repeats. */
const SHOWN_CHARACTERS = 200;

const TYPES: ReadonlyArray<readonly [type: string, start: readonly number[]]> = [
  ['image/jpeg', [0xff, 0xd8, 0xff]],
  ['image/png', [0x89, 0x50, 0x4e, 0x47]],
  ['image/gif', [0x47, 0x49, 0x46, 0x38]],
];

/** Bytes of an encoded picture as a data: URL; what is not JPEG, PNG or GIF becomes PNG. */
async function toDataUrl(bytes: Uint8Array): Promise<string> {
  const type = TYPES.find(([, start]) => start.every((byte, i) => bytes[i] === byte))?.[0];
  const encoded = type === undefined ? await sharp(bytes).png().toBuffer() : Buffer.from(bytes);
  return `data:${type ?? 'image/png'};base64,${encoded.toString('base64')}`;
}

async function pictureUrl({ picture, blind }: AskedQuestion): Promise<string | undefined> {
  const bytes = await picture?.();
  if (bytes === undefined) return undefined;
  if (!blind) return toDataUrl(bytes);
  const { width, height, data } = await greyPicture(bytes);
  return toDataUrl(
    await sharp(data, { raw: { width, height, channels: 3 } })
      .png()
      .toBuffer(),
  );
}

function completionsUrl(url: string): string {
  const bare = url.replace(/\/+$/, '');
  return bare.endsWith('/chat/completions') ? bare : `${bare}/chat/completions`;
}

/** Checks an address. @throws CommError for what is no http address */
export function checkEndpoint(url: string): void {
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return;
  throw new CommError(`The endpoint ${url} is no http address.`, {
    code: 'eval/endpoint',
    exitCode: 2,
    fix: 'Give it as in --endpoint http://localhost:8000/v1.',
  });
}

/** A failed try, and whether another one makes sense. */
class FailedTry extends Error {
  readonly retry: boolean;
  readonly waitMs: number | undefined;

  constructor(message: string, retry: boolean, waitMs?: number) {
    super(message);
    this.retry = retry;
    this.waitMs = waitMs;
  }
}

/** Answers through an endpoint. */
export class EndpointRespondent implements Respondent {
  readonly #options: EndpointOptions;

  constructor(options: EndpointOptions) {
    checkEndpoint(options.url);
    this.#options = options;
  }

  async *answer(questions: readonly AskedQuestion[], signal?: AbortSignal): AsyncGenerator<readonly Reply[]> {
    // One failed question ends the run, and with it the requests that are under way.
    const stop = new AbortController();
    const stopped = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
    const running = new Map<number, Promise<Reply>>();
    let next = 0;
    try {
      while (next < questions.length || running.size > 0) {
        signal?.throwIfAborted();
        while (next < questions.length && running.size < this.#options.concurrency) {
          const index = next++;
          const reply = this.#ask(questions[index] as AskedQuestion, index, stopped);
          reply.catch(() => {}); // reported by the race below, or given up with the run
          running.set(index, reply);
        }
        const reply = await Promise.race(running.values());
        running.delete(reply.index);
        yield [reply];
      }
    } finally {
      stop.abort();
    }
  }

  async #ask(question: AskedQuestion, index: number, signal: AbortSignal): Promise<Reply> {
    const { maxTries = MAX_TRIES, firstWaitMs = FIRST_WAIT_MS, onRetry } = this.#options;
    const body = JSON.stringify(await this.#body(question));
    for (let tries = 1; ; tries++) {
      try {
        return { index, ...(await this.#post(body, signal)) };
      } catch (error) {
        if (!(error instanceof FailedTry)) throw error;
        if (!error.retry || tries >= maxTries) {
          const after = error.retry ? ` after ${tries} tries` : '';
          throw new CommError(
            `The endpoint gave no answer to question ${JSON.stringify(question.id)}${after}: ${error.message}`,
            {
              code: 'eval/endpoint',
              fix: 'What was answered is kept: the same command goes on from there.',
              cause: error,
            },
          );
        }
        const wait = Math.min(MAX_WAIT_MS, error.waitMs ?? firstWaitMs * 2 ** (tries - 1));
        onRetry?.(`${error.message} Trying again in ${(wait / 1000).toFixed(1)} s (${tries} of ${maxTries} tries).`);
        await sleep(wait, undefined, { signal });
      }
    }
  }

  async #body(question: AskedQuestion): Promise<object> {
    const { model, maxNewTokens, temperature, topP, seed } = this.#options;
    let url: string | undefined;
    try {
      url = await pictureUrl(question);
    } catch (error) {
      throw error instanceof CommError ? aboutQuestion(question.id, error) : error;
    }
    const content = [
      ...(url === undefined ? [] : [{ type: 'image_url', image_url: { url } }]),
      { type: 'text', text: question.text },
    ];
    // Servers refuse settings that they do not know, so those of sampling are sent with sampling alone.
    const sampling = temperature === 0 ? {} : { top_p: topP, seed };
    return { model, messages: [{ role: 'user', content }], max_tokens: maxNewTokens, temperature, ...sampling };
  }

  async #post(body: string, signal: AbortSignal): Promise<Omit<Reply, 'index'>> {
    const { url, key, timeoutMs = TIMEOUT_MS } = this.#options;
    const headers = {
      'content-type': 'application/json',
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
    };
    const timeout = AbortSignal.timeout(timeoutMs);
    let response: Response;
    let text: string;
    try {
      response = await fetch(completionsUrl(url), {
        method: 'POST',
        headers,
        body,
        signal: AbortSignal.any([signal, timeout]),
      });
      text = await response.text();
    } catch (error) {
      if (signal.aborted) throw error;
      const { cause, message } = error as Error;
      const why = timeout.aborted
        ? `no answer within ${timeoutMs / 1000} s`
        : cause instanceof Error
          ? cause.message
          : message;
      throw new FailedTry(`${completionsUrl(url)}: ${why}.`, true);
    }
    if (!response.ok) {
      const { status } = response;
      const wait = Number(response.headers.get('retry-after'));
      const said = text.replace(/\s+/g, ' ').slice(0, SHOWN_CHARACTERS);
      const canHelp = status === 408 || status === 409 || status === 429 || status >= 500;
      throw new FailedTry(`status ${status}: ${said}.`, canHelp, wait > 0 ? wait * 1000 : undefined);
    }
    return readCompletion(text);
  }
}

interface Completion {
  readonly choices?: readonly {
    readonly message?: { readonly content?: unknown };
    readonly finish_reason?: unknown;
  }[];
}

function readCompletion(text: string): Omit<Reply, 'index'> {
  const unreadable = new FailedTry(`this is no chat completion: ${text.slice(0, SHOWN_CHARACTERS)}.`, false);
  let completion: Completion;
  try {
    completion = JSON.parse(text) as Completion;
  } catch {
    throw unreadable;
  }
  const choice = completion?.choices?.[0];
  const content = choice?.message?.content;
  if (choice === undefined || (typeof content !== 'string' && content !== null)) throw unreadable;
  const reason = choice.finish_reason;
  return { answer: content ?? '', finishReason: typeof reason === 'string' ? reason : 'stop' };
}
