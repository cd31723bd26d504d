/**
 * Requests to one hub: redirects followed without handing the token to other hosts, silence noticed, failures tried again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Asked, networkError, notAHub, statusError, TransientError } from './errors.js';
import type { HubSettings } from './settings.js';

/** Tells a user why something takes longer. */
export type Note = (line: string) => void;

/** What the client needs besides the settings. */
export interface ClientOptions {
  readonly signal?: AbortSignal | undefined;
  /** Gets a line for each second try. */
  readonly onNote?: Note | undefined;
}

/** An answer whose body is still to be read. */
export interface OpenAnswer {
  readonly response: Response;
  /** The body; ends with a TransientError when the hub falls silent or the connection breaks. */
  chunks(): AsyncGenerator<Uint8Array>;
  /** Ends the connection; needed unless the body was read to its end. */
  close(): void;
}

/** One page of an answer in JSON. */
export interface JsonAnswer {
  readonly body: unknown;
  readonly headers: Headers;
}

const MAX_REDIRECTS = 10;
/** No listing of a repository comes near this; a hostile endpoint must not fill the memory. */
const MAX_JSON_BYTES = 64 * 2 ** 20;
const MAX_BACK_OFF_MS = 30_000;

/** Cancels a request that nobody answers for `timeoutMs`; every sign of life starts the clock anew. */
class Watch {
  readonly controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #timeoutMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(timeoutMs: number, outer: AbortSignal | undefined) {
    this.#timeoutMs = timeoutMs;
    this.#outer = outer;
    if (outer?.aborted) this.controller.abort(outer.reason);
    outer?.addEventListener('abort', this.#onOuter, { once: true });
    this.alive();
  }

  readonly #onOuter = (): void => this.controller.abort(this.#outer?.reason);

  alive(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const silent = new Error(`it was silent for ${this.#timeoutMs / 1000} s`);
      this.controller.abort(Object.assign(silent, { code: 'SILENT' }));
    }, this.#timeoutMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener('abort', this.#onOuter);
  }
}

/** Talks to the hub of `settings`. */
export class HubClient {
  readonly settings: HubSettings;
  readonly #signal: AbortSignal | undefined;
  readonly #note: Note;
  /** Whether the hub answered anything yet: then a refused connection is a passing trouble, not a wrong address. */
  #reached = false;

  constructor(settings: HubSettings, options: ClientOptions = {}) {
    this.settings = settings;
    this.#signal = options.signal;
    this.#note = options.onNote ?? (() => {});
  }

  /** GET of an API address (path from the endpoint on), read as JSON. Throws CommError. */
  async json(path: string, asked: Asked): Promise<JsonAnswer> {
    return this.retrying(`asking about ${asked.model}`, async () => {
      const answer = await this.open('GET', path, asked, { timeoutMs: this.settings.metadataTimeoutMs });
      const chunks: Uint8Array[] = [];
      let numBytes = 0;
      try {
        for await (const chunk of answer.chunks()) {
          numBytes += chunk.length;
          if (numBytes > MAX_JSON_BYTES) throw notAHub('a listing has no end', this.settings);
          chunks.push(chunk);
        }
      } finally {
        answer.close();
      }
      try {
        return {
          body: JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown,
          headers: answer.response.headers,
        };
      } catch {
        throw notAHub('what came is not JSON', this.settings);
      }
    });
  }

  /** Headers of a file's address (HEAD); a redirect to a storage host is not followed: it carries them already. */
  async head(path: string, asked: Asked): Promise<Headers> {
    return this.retrying(`asking about ${asked.file ?? asked.model}`, async () => {
      const timeoutMs = this.settings.metadataTimeoutMs;
      const answer = await this.open('HEAD', path, asked, { timeoutMs, sameHost: true });
      answer.close();
      return answer.response.headers;
    });
  }

  /**
   * One try of one request, redirects followed. The token goes to the endpoint alone; an address that leaves https for
   * http is refused. Throws TransientError for what may pass, CommError for what will not.
   */
  async open(
    method: 'GET' | 'HEAD',
    path: string,
    asked: Asked,
    options: { timeoutMs: number; range?: number; sameHost?: boolean },
  ): Promise<OpenAnswer> {
    const { endpoint, token } = this.settings;
    const home = new URL(endpoint);
    let url = new URL(`${endpoint}${path}`);
    const watch = new Watch(options.timeoutMs, this.#signal);
    try {
      for (let redirects = 0; ; redirects++) {
        const response = await fetch(url, {
          method,
          redirect: 'manual',
          signal: watch.controller.signal,
          headers: {
            'user-agent': 'commlm',
            // Sizes and ranges are those of the file, not of a compressed form of it.
            'accept-encoding': 'identity',
            ...(options.range ? { range: `bytes=${options.range}-` } : {}),
            ...(token !== undefined && url.origin === home.origin ? { authorization: `Bearer ${token.value}` } : {}),
          },
        });
        watch.alive();
        if (url.origin === home.origin) this.#reached = true;
        const location = response.headers.get('location');
        if (response.status >= 300 && response.status < 400 && location !== null) {
          const next = this.#redirect(url, location);
          if (!(options.sameHost && next.origin !== url.origin)) {
            await response.body?.cancel();
            if (redirects >= MAX_REDIRECTS) throw notAHub('it redirects for ever', this.settings);
            url = next;
            continue;
          }
        } else if (!response.ok) {
          await response.body?.cancel().catch(() => {});
          // A storage host knows nothing of models: its refusals are those of an address that went stale.
          throw url.origin === home.origin
            ? statusError(response, asked, this.settings)
            : storageError(response, url, asked, this.settings);
        }
        return this.#answer(response, watch, url.host);
      }
    } catch (error) {
      watch.stop();
      throw this.#explain(error, watch, url.host);
    }
  }

  #redirect(from: URL, location: string): URL {
    const next = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
    if (
      next === undefined ||
      !/^https?:$/.test(next.protocol) ||
      (from.protocol === 'https:' && next.protocol === 'http:')
    ) {
      throw notAHub(`it redirects to ${next?.origin ?? 'no address'}`, this.settings);
    }
    return next;
  }

  #answer(response: Response, watch: Watch, host: string): OpenAnswer {
    const explain = (error: unknown): unknown => this.#explain(error, watch, host);
    return {
      response,
      close: () => {
        watch.stop();
        if (!response.bodyUsed) response.body?.cancel().catch(() => {});
        watch.controller.abort();
      },
      async *chunks() {
        if (response.body === null) return;
        try {
          for await (const chunk of response.body) {
            watch.alive();
            yield chunk as Uint8Array;
          }
        } catch (error) {
          throw explain(error);
        } finally {
          watch.stop();
        }
      },
    };
  }

  /** Our own errors and an interruption pass as they are; the rest is trouble of the network. */
  #explain(error: unknown, watch: Watch, host: string): unknown {
    if (this.#signal?.aborted) return this.#signal.reason;
    const { reason } = watch.controller.signal;
    if ((reason as { code?: unknown } | undefined)?.code === 'SILENT') return networkError(reason, host, this.settings);
    const fromNetwork = error instanceof TypeError || (error as NodeJS.ErrnoException).syscall !== undefined;
    return fromNetwork ? networkError(error, host, this.settings) : error;
  }

  /**
   * Runs `attempt` until it works, waiting twice as long each time. `progressed` tells whether a failed try still brought
   * something on; then counting starts anew. Throws the CommError of the last failure.
   */
  async retrying<T>(what: string, attempt: () => Promise<T>, progressed: () => boolean = () => false): Promise<T> {
    const { attempts, baseMs } = this.settings.retry;
    for (let failures = 1; ; failures++) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof TransientError)) throw error;
        if (progressed()) failures = 1;
        if (failures >= attempts || (error.unreachable && !this.#reached)) throw error.final;
        const backOff = Math.min(baseMs * 2 ** (failures - 1), MAX_BACK_OFF_MS) * (0.75 + Math.random() / 2);
        const waitMs = Math.max(error.waitMs ?? 0, backOff);
        const seconds = waitMs < 950 ? waitMs / 1000 : Math.round(waitMs / 1000);
        this.#note(
          `${what}: ${error.message}; trying again in ${seconds.toPrecision(2)} s (${failures} of ${attempts - 1})`,
        );
        await sleep(waitMs, undefined, { signal: this.#signal }).catch((reason) => {
          throw this.#signal?.reason ?? reason;
        });
      }
    }
  }
}

/** A refusal by a storage host (a signed address that ran out, most often): ask the hub for a fresh address. */
function storageError(response: Response, url: URL, asked: Asked, settings: HubSettings): unknown {
  const error = statusError(response, asked, settings);
  if (error instanceof TransientError) return error;
  if (response.status === 416) return new TransientError('the storage refused the range', error);
  const final = notAHub(
    `its storage ${url.host} refused ${asked.file ?? asked.model} with status ${response.status}`,
    settings,
  );
  return new TransientError(`the storage answered with status ${response.status}`, final);
}
