/** Where the hub and its cache are: the environment variables of Python's hub client, read the way it reads them. */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { CommError } from '../config/errors.js';

/** The key that opens private and gated models, and where it was found (never the key itself in a message). */
export interface HubToken {
  readonly value: string;
  /** `HF_TOKEN`, or the path of the token file. */
  readonly source: string;
}

/** How often and how fast a request is tried again. */
export interface RetrySettings {
  /** Tries in a row that bring nothing before giving up. */
  readonly attempts: number;
  /** Wait before the second try; doubles with each further one. */
  readonly baseMs: number;
}

/** Everything about a hub that does not depend on the model. */
export interface HubSettings {
  /** Folder of the cache: holds `models--org--name/`. */
  readonly cacheDir: string;
  /** Address of the hub without a slash at its end. */
  readonly endpoint: string;
  readonly token?: HubToken | undefined;
  /** True when nothing may be asked of the network. */
  readonly offline: boolean;
  /** Longest silence of the hub before an answer about a model. */
  readonly metadataTimeoutMs: number;
  /** Longest silence in the middle of a file. */
  readonly downloadTimeoutMs: number;
  readonly retry: RetrySettings;
}

const DEFAULT_ENDPOINT = 'https://huggingface.co';
const DEFAULT_TIMEOUT_S = 10;

type Environment = Readonly<Record<string, string | undefined>>;

/** The settings that the environment asks for; throws CommError for a value that cannot be used. */
export function readHubSettings(env: Environment = process.env): HubSettings {
  const home = hubHome(env);
  const cacheDir = first(env, 'HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE');
  const token = findToken(env, home);
  return {
    cacheDir: resolve(cacheDir === undefined ? join(home, 'hub') : expand(cacheDir, env)),
    endpoint: checkEndpoint(first(env, 'HF_ENDPOINT') ?? DEFAULT_ENDPOINT),
    token,
    offline: isTrue(first(env, 'HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE')),
    metadataTimeoutMs: seconds(env, 'HF_HUB_ETAG_TIMEOUT') * 1000,
    downloadTimeoutMs: seconds(env, 'HF_HUB_DOWNLOAD_TIMEOUT') * 1000,
    retry: { attempts: 6, baseMs: 1000 },
  };
}

/** The first of these variables that is set and not empty. */
function first(env: Environment, ...names: string[]): string | undefined {
  for (const name of names) if (env[name] !== undefined && env[name] !== '') return env[name];
  return undefined;
}

function hubHome(env: Environment): string {
  const named = first(env, 'HF_HOME');
  if (named !== undefined) return expand(named, env);
  const caches = first(env, 'XDG_CACHE_HOME') ?? join(first(env, 'HOME') ?? homedir(), '.cache');
  return expand(join(caches, 'huggingface'), env);
}

/** `~` and `$NAME` in a path, as a shell would read them (variables also come from files where no shell looks). */
function expand(path: string, env: Environment): string {
  const home = first(env, 'HOME') ?? homedir();
  return path
    .replace(/^~(?=$|[/\\])/, () => home)
    .replace(/\$(?:\{(\w+)\}|(\w+))/g, (text, braced: string | undefined, bare: string | undefined) => {
      return env[braced ?? bare ?? ''] ?? text;
    });
}

const isTrue = (value: string | undefined): boolean => /^(1|on|yes|true)$/i.test(value ?? '');

function seconds(env: Environment, name: string): number {
  const text = first(env, name);
  if (text === undefined) return DEFAULT_TIMEOUT_S;
  const value = Number(text);
  if (!(value > 0) || value > 86_400) {
    throw new CommError(`${name} is "${text}", but must be a number of seconds above 0.`, {
      code: 'hub/settings',
      fix: `Set it as in ${name}=30, or unset it (then it is ${DEFAULT_TIMEOUT_S}).`,
      exitCode: 2,
    });
  }
  return value;
}

function checkEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '' || url.search !== '') {
    throw new CommError(`HF_ENDPOINT is "${text}", but must be an http or https address without a user name.`, {
      code: 'hub/settings',
      fix: `Set it as in HF_ENDPOINT=${DEFAULT_ENDPOINT}, or unset it.`,
      exitCode: 2,
    });
  }
  return text.replace(/\/+$/, '');
}

function findToken(env: Environment, home: string): HubToken | undefined {
  // Set by people who keep a token for pushing and do not want it in every read.
  if (isTrue(env['HF_HUB_DISABLE_IMPLICIT_TOKEN'])) return undefined;
  for (const name of ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN']) {
    const value = env[name]?.trim();
    if (value) return checkToken({ value, source: name });
  }
  const path = expand(first(env, 'HF_TOKEN_PATH') ?? join(home, 'token'), env);
  try {
    const value = readFileSync(path, 'utf8').trim();
    return value === '' ? undefined : checkToken({ value, source: path });
  } catch {
    return undefined; // not logged in
  }
}

function checkToken(token: HubToken): HubToken {
  if (/^[\x21-\x7e]+$/.test(token.value)) return token;
  throw new CommError(`The token in ${token.source} holds characters that no token has.`, {
    code: 'hub/settings',
    fix: 'Copy it again; a token is one word such as hf_...',
    exitCode: 2,
  });
}
