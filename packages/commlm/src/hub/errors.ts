/** What can go wrong between here, the hub and the disk, each as one sentence with what fixes it. */
import { CommError } from '../config/errors.js';
import type { HubSettings } from './settings.js';

/** What was being asked of the hub, for the sentence of an error. */
export interface Asked {
  readonly model: string;
  readonly revision: string;
  /** Path of the file in the repository; none when it was about the model itself. */
  readonly file?: string;
}

/** A failure that may be gone the next time; `final` is what the user reads when it is not. */
export class TransientError extends Error {
  override readonly name = 'TransientError';
  readonly final: CommError;
  /** The hub's own wish how long to wait. */
  readonly waitMs: number | undefined;
  /** True when there was no contact at all. */
  readonly unreachable: boolean;

  constructor(
    reason: string,
    final: CommError,
    options: { waitMs?: number | undefined; unreachable?: boolean | undefined } = {},
  ) {
    super(reason);
    this.final = final;
    this.waitMs = options.waitMs;
    this.unreachable = options.unreachable ?? false;
  }
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** Bytes as the hub's pages print them, in powers of 1000: `13.5 GB`. */
export function formatSize(numBytes: number): string {
  let value = numBytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${UNITS[unit]}`;
}

/** Longest wait that a hub may ask for and get. */
const MAX_WAIT_MS = 300_000;

/** `Retry-After` in seconds or as a date, or the `t=` of a `RateLimit` header. */
function askedWait(headers: Headers): number | undefined {
  const after = headers.get('retry-after');
  const seconds = /^\d+$/.test(after ?? '') ? Number(after) : /\bt=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1];
  if (seconds !== undefined) return Math.min(Number(seconds) * 1000, MAX_WAIT_MS);
  const date = after === null ? Number.NaN : Date.parse(after);
  return Number.isNaN(date) ? undefined : Math.min(Math.max(0, date - Date.now()), MAX_WAIT_MS);
}

/** The error of an answer that is none of 2xx; statuses that pass by themselves give a TransientError. */
export function statusError(response: Response, asked: Asked, settings: HubSettings): CommError | TransientError {
  const { status, headers } = response;
  const code = headers.get('x-error-code');
  const message = headers.get('x-error-message');
  const { model, revision, file } = asked;
  const { endpoint, token } = settings;
  const page = `${endpoint}/${model}`;
  const badToken =
    token !== undefined &&
    (/invalid (credentials|user ?name)|token/i.test(message ?? '') || (status === 401 && code === null));

  if (status === 429) {
    const waitMs = askedWait(headers);
    const final = new CommError(`The hub ${endpoint} takes no more requests from here for now (status 429).`, {
      code: 'hub/rate-limit',
      fix: `Run the command again in a while${token === undefined ? '; with HF_TOKEN set the limit is higher' : ''}.`,
    });
    return new TransientError('the hub asks to slow down', final, { waitMs });
  }
  if (status === 408 || status >= 500) {
    const waitMs = askedWait(headers);
    const final = new CommError(`The hub ${endpoint} failed with status ${status}.`, {
      code: 'hub/server-error',
      fix: 'Run the command again later; what is downloaded stays and is not asked for again.',
    });
    return new TransientError(`the hub failed with status ${status}`, final, { waitMs });
  }
  if (code === 'GatedRepo') {
    return new CommError(
      token === undefined
        ? `The model ${model} is gated: its owners give access to people who accept their terms and log in.`
        : `The model ${model} is gated, and the token in ${token.source} has no access to it.`,
      {
        code: 'hub/gated',
        fix: `Accept the terms at ${page}${token === undefined ? ', then set HF_TOKEN to a token of your account' : ' with the account of that token (a fine-grained token needs the right to read gated models)'}.`,
      },
    );
  }
  if (code === 'RevisionNotFound') {
    return new CommError(`The model ${model} has no revision "${revision}".`, {
      code: 'hub/no-revision',
      fix: `Its branches and tags are listed at ${page}/tree/main.`,
    });
  }
  if (code === 'EntryNotFound' || (status === 404 && file !== undefined)) {
    return new CommError(`The model ${model} has no file ${file ?? ''} at revision ${revision}.`, {
      code: 'hub/no-file',
      fix: `Its files are listed at ${page}/tree/${revision}.`,
    });
  }
  if (badToken && code !== 'RepoNotFound') {
    return new CommError(`The hub ${endpoint} refused the token in ${token.source} (status ${status}).`, {
      code: 'hub/bad-token',
      fix: 'Make a new token in the settings of your account, or unset it: public models need none.',
    });
  }
  if (code === 'RepoNotFound' || status === 404 || status === 401) {
    return new CommError(
      token === undefined
        ? `There is no public model ${model} on ${endpoint}: the name is misspelt or the model is private.`
        : `There is no model ${model} on ${endpoint} that the token in ${token.source} can see.`,
      {
        code: 'hub/no-model',
        fix:
          token === undefined
            ? 'Check the name (upper and lower case count); for a private model set HF_TOKEN.'
            : 'Check the name (upper and lower case count) and the rights of the token.',
      },
    );
  }
  return new CommError(
    `The hub ${endpoint} refused ${file ?? model} with status ${status}${message ? `: ${message}` : ''}.`,
    {
      code: 'hub/refused',
      fix: `See ${page} in a browser.`,
    },
  );
}

const NOT_TRUSTED = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ERR_TLS/;

/** What the network said, in words. */
function networkReason(error: unknown): { reason: string; code: string } {
  const cause = (error as { cause?: unknown }).cause ?? error;
  const code = String((cause as NodeJS.ErrnoException).code ?? '');
  const words: Record<string, string> = {
    ECONNREFUSED: 'the connection was refused',
    ENOTFOUND: 'there is no such host, or no network',
    EAI_AGAIN: 'the name of the host could not be looked up',
    ENETUNREACH: 'there is no network',
    EHOSTUNREACH: 'the host cannot be reached',
    ETIMEDOUT: 'it did not answer in time',
    UND_ERR_CONNECT_TIMEOUT: 'it did not answer in time',
    ECONNRESET: 'the connection was dropped',
    EPIPE: 'the connection was dropped',
    UND_ERR_SOCKET: 'the connection was dropped',
  };
  if (words[code] !== undefined) return { reason: words[code], code };
  if (NOT_TRUSTED.test(code)) return { reason: `its certificate is not trusted (${code})`, code };
  if (code.startsWith('HPE_') || code.startsWith('ERR_SSL'))
    return { reason: `it does not speak this protocol (${code})`, code };
  return { reason: (cause as Error).message || 'the connection failed', code };
}

/** Addresses that no request can go to, such as the ports that fetch refuses. */
const NEVER = /^(bad port|invalid URL)$/i;
const NO_CONTACT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ENETUNREACH', 'EHOSTUNREACH']);

/** The error of a request that got no answer, or whose answer broke off. `host` is where it went. */
export function networkError(error: unknown, host: string, settings: HubSettings): CommError | TransientError {
  const { reason, code } = networkReason(error);
  const proxied = process.env['HTTPS_PROXY'] ?? process.env['https_proxy'];
  const fix = NOT_TRUSTED.test(code)
    ? 'Behind a proxy that looks into connections, name its certificate with NODE_EXTRA_CA_CERTS=FILE.'
    : `Check the network; HF_ENDPOINT names another hub or a mirror, HF_HUB_OFFLINE=1 keeps to what is in ${settings.cacheDir}.${
        proxied ? ' A proxy is set: Node takes it from version 22.21 or 24 on, with NODE_USE_ENV_PROXY=1.' : ''
      }`;
  const final = new CommError(`Could not reach ${host}: ${reason}.`, { code: 'hub/unreachable', fix, cause: error });
  if (NEVER.test(reason) || NOT_TRUSTED.test(code) || code.startsWith('HPE_') || code.startsWith('ERR_SSL'))
    return final;
  return new TransientError(reason, final, { unreachable: NO_CONTACT.has(code) });
}

/** The error of an answer that no hub gives: a login page of a network, another server, another file. */
export function notAHub(what: string, settings: HubSettings): CommError {
  return new CommError(`${settings.endpoint} does not answer like a Hugging Face hub: ${what}.`, {
    code: 'hub/not-a-hub',
    fix: 'Check HF_ENDPOINT, and that no login page of the network stands in between.',
  });
}

/** The error of what may not be asked because of `HF_HUB_OFFLINE`; `missing` says what is not in the cache. */
export function offlineError(model: string, missing: string, settings: HubSettings): CommError {
  return new CommError(`HF_HUB_OFFLINE is set, and ${missing} in ${settings.cacheDir}.`, {
    code: 'hub/offline',
    fix: `Unset HF_HUB_OFFLINE and run "commlm pull ${model}", or point HF_HOME at a cache that has it.`,
  });
}

/** The error of a disk without room for what is to come. */
export function diskFullError(path: string, needed?: { bytes: number; free: number }): CommError {
  return new CommError(
    needed === undefined
      ? `The disk is full; could not write ${path}.`
      : `The download needs ${formatSize(needed.bytes)}, but the disk of ${path} has ${formatSize(needed.free)} free.`,
    {
      code: 'hub/disk-full',
      fix: 'Free some space or point HF_HOME at another disk, then run the command again: it goes on where it stopped.',
    },
  );
}

/** An error of the file system inside the cache as a sentence; other errors come back as they are. */
export function cacheError(error: unknown, path: string): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (syscall === undefined || code === undefined) return error;
  if (code === 'ENOSPC' || code === 'EDQUOT') return diskFullError(path);
  const why: Record<string, string> = {
    EACCES: 'there is no permission',
    EPERM: 'there is no permission',
    EROFS: 'the file system is read-only',
    ENOTDIR: 'a part of the path is a file',
    EFBIG: 'the file system takes no file of that size',
    EIO: 'the disk failed',
  };
  return new CommError(`Cannot write ${path}: ${why[code] ?? (error as Error).message}.`, {
    code: 'hub/cache',
    fix: 'Point HF_HOME at a folder that you may write to.',
    cause: error,
  });
}
