/** Answers from any server that speaks OpenAI's chat completions: pictures as data: URLs, retries, several at a time. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CommError } from '../config/errors.js';
import { encodePicture } from '../images/draw.js';
import { readCompletion, shorten } from './completion.js';
import { FailedTry, post } from './post.js';
import { type AskedQuestion, aboutQuestion, greyOf, type Reply, type Respondent } from './respondent.js';

/** Which server, and how it is asked. */
export interface EndpointOptions {
  /** Address up to and with `/v1`, or of `/chat/completions` itself. */
  readonly url: string;
  readonly model: string;
  /** Sent as a bearer token; never written anywhere. */
  readonly key?: string | undefined;
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
  /** Gets a line about each try that failed, and about each new reason for a question to stay without an answer. */
  readonly onNotice?: (line: string) => void;
}

const MAX_TRIES = 6;
const FIRST_WAIT_MS = 1000;
const MAX_WAIT_MS = 60_000;
const TIMEOUT_MS = 600_000;
/** Statuses of a server that may do better the next time. */
const canHelp = (status: number): boolean => status === 408 || status === 409 || status === 429 || status >= 500;
/** Statuses about what was asked, such as a picture that a filter refuses: other questions may fare better. */
const isAboutQuestion = (status: number): boolean => [400, 413, 415, 422].includes(status);

/** What helps where asking again does not. */
const FIXES: ReadonlyMap<number, string> = new Map([
  [401, 'Name the variable that holds a valid key with --endpoint-key-env.'],
  [403, 'Name the variable that holds a key for this model with --endpoint-key-env.'],
  [404, 'Check the address with --endpoint, which ends in /v1 at most servers, and the name with --endpoint-model.'],
  [405, 'Check the address with --endpoint; it ends in /v1 at most servers.'],
]);

const TYPES: ReadonlyArray<readonly [type: string, start: readonly number[]]> = [
  ['image/jpeg', [0xff, 0xd8, 0xff]],
  ['image/png', [0x89, 0x50, 0x4e, 0x47]],
  ['image/gif', [0x47, 0x49, 0x46, 0x38]],
];

/** Bytes of an encoded picture as a data: URL; what is not JPEG, PNG or GIF becomes PNG. */
async function toDataUrl(bytes: Uint8Array): Promise<string> {
  const type = TYPES.find(([, start]) => start.every((byte, i) => bytes[i] === byte))?.[0];
  if (type !== undefined) return `data:${type};base64,${Buffer.from(bytes).toString('base64')}`;
  const { default: sharp } = await import('sharp');
  return `data:image/png;base64,${(await sharp(bytes).png().toBuffer()).toString('base64')}`;
}

async function pictureUrl({ picture, blind }: AskedQuestion): Promise<string | undefined> {
  const bytes = await picture?.();
  if (bytes === undefined) return undefined;
  if (!blind) return toDataUrl(bytes);
  return toDataUrl(await encodePicture(await greyOf(bytes)));
}

function completionsUrl(url: string): string {
  const address = new URL(url);
  const path = address.pathname.replace(/\/+$/, '');
  address.pathname = path.endsWith('/chat/completions') ? path : `${path}/chat/completions`;
  return address.href;
}

/** Checks an address. @throws CommError for what is no http address, and for one that holds a password */
export function checkEndpoint(url: string): void {
  const fail = (message: string, fix: string): CommError =>
    new CommError(message, { code: 'eval/endpoint', exitCode: 2, fix });
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw fail(`The endpoint ${url} is no http address.`, 'Give it as in --endpoint http://localhost:8000/v1.');
  }
  const { username, password } = new URL(url);
  if (username !== '' || password !== '') {
    throw fail('The address of the endpoint holds a name or a password.', 'Give the key with --endpoint-key-env.');
  }
}

/** Answers through an endpoint. */
export class EndpointRespondent implements Respondent {
  readonly #options: EndpointOptions;
  /** Reasons that were told: a filter may refuse thousands of questions. */
  readonly #told = new Set<string>();

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
          const reply = this.#ask(questions[index]!, index, stopped);
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
    const { maxTries = MAX_TRIES, firstWaitMs = FIRST_WAIT_MS, onNotice } = this.#options;
    const body = JSON.stringify(await this.#body(question));
    for (let tries = 1; ; tries++) {
      try {
        return { index, ...(await this.#try(body, signal, tries >= maxTries)) };
      } catch (error) {
        if (!(error instanceof FailedTry)) throw error;
        if (!error.retry || tries >= maxTries) {
          const after = error.retry ? ` after ${tries} tries` : '';
          throw new CommError(
            `The endpoint gave no answer to question ${JSON.stringify(question.id)}${after}: ${error.message}`,
            {
              code: 'eval/endpoint',
              fix: error.fix ?? 'What was answered is kept: the same command goes on from there.',
              cause: error,
            },
          );
        }
        const wait = Math.min(MAX_WAIT_MS, error.waitMs ?? firstWaitMs * 2 ** (tries - 1));
        onNotice?.(`${error.message} Trying again in ${(wait / 1000).toFixed(1)} s (${tries} of ${maxTries} tries).`);
        // The wait ends with an error of its own, the run with the reason of the signal.
        await sleep(wait, undefined, { signal }).catch(() => signal.throwIfAborted());
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

  /** Asks once. @throws FailedTry where another try may help, and where no question would be answered */
  async #try(body: string, signal: AbortSignal, isLast: boolean): Promise<Omit<Reply, 'index'>> {
    const { url, key, timeoutMs = TIMEOUT_MS } = this.#options;
    const headers = {
      'content-type': 'application/json',
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
    };
    const {
      status,
      headers: replied,
      text,
    } = await post({ url: completionsUrl(url), body, headers, signal, timeoutMs });
    if (status < 200 || status > 299) {
      if (isAboutQuestion(status)) return this.#unanswered(`status ${status}`, shorten(text));
      const seconds = Number(replied.get('retry-after'));
      const waitMs = seconds > 0 ? seconds * 1000 : undefined;
      throw new FailedTry(`status ${status}: ${shorten(text)}.`, canHelp(status), { waitMs, fix: FIXES.get(status) });
    }
    const completion = readCompletion(text);
    switch (completion.kind) {
      case 'answer':
        return { answer: completion.answer, finishReason: completion.finishReason };
      case 'none':
        return this.#unanswered(completion.why, completion.said);
      case 'error': {
        const { why, said, status: named } = completion;
        const isHopeless = named !== undefined && !canHelp(named) && !isAboutQuestion(named);
        if (isHopeless || (named !== undefined && canHelp(named) && !isLast)) {
          throw new FailedTry(`${why} in a reply of status ${status}: ${said}.`, !isHopeless);
        }
        return this.#unanswered(why, said);
      }
      case 'foreign':
        throw new FailedTry(`this is no chat completion: ${shorten(text)}.`, false, {
          fix: 'Check the address with --endpoint; it ends in /v1 at most servers.',
        });
    }
  }

  #unanswered(why: string, said?: string): Omit<Reply, 'index'> {
    if (!this.#told.has(why)) {
      this.#told.add(why);
      this.#options.onNotice?.(`A question stays without an answer: ${why}${said ? `: ${said}` : ''}.`);
    }
    return { answer: '', finishReason: 'none', unanswered: why };
  }
}
