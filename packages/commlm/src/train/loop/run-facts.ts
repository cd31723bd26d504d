/** What a run was made with, beside it: `run.json` with one entry for each start. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { versionInfo } from '@commlm/torch';
import { CommError } from '../../config/errors.js';
import { writeJson } from '../../files/durable.js';
import { readJson } from '../../files/read.js';
import type { DataIdentity } from './data-identity.js';

const FILE = 'run.json';

/** One start of a run. */
export interface RunStart {
  readonly time: string;
  /** Step that it began at. */
  readonly step: number;
  /** Commit of the code, with `+` behind it where files differ; null outside a clone. */
  readonly commit: string | null;
  /** SHA-256 of package-lock.json, null outside a clone. */
  readonly lockHash: string | null;
  readonly versions: Readonly<Record<string, string>>;
  readonly platform: string;
  /** Fields of the recipe that are other ones from this start on. */
  readonly changes?: Readonly<Record<string, unknown>>;
  /** What of the data was other than before, where the run went on all the same. */
  readonly changedData?: readonly string[];
}

/** The data of a run, and what of them changed since it began. */
export interface RunData {
  readonly identity: DataIdentity;
  readonly changes: readonly string[];
}

/** The starts of the run in a folder; null where none was begun. @throws CommError for a file that is not of a run. */
export function readStarts(out: string): RunStart[] | null {
  const path = join(out, FILE);
  if (!existsSync(path)) return null;
  const { starts } = (readJson(path, { what: 'the starts of the run' }) ?? {}) as { starts?: unknown };
  const isStart = (start: unknown): start is RunStart => Number.isSafeInteger((start as RunStart | null)?.step);
  if (Array.isArray(starts) && starts.every(isStart)) return starts;
  throw new CommError(`${path} does not list the starts of a run.`, {
    code: 'train/run-json',
    fix: 'Correct it or move it elsewhere: a run goes on from its checkpoints, and a new list is begun.',
  });
}

/** How a run starts. */
export interface Starting {
  readonly step: number;
  readonly seed: number;
  readonly changes?: RunStart['changes'] | undefined;
  readonly data?: RunData | undefined;
}

/** Adds this start to `run.json`; a run that begins anew replaces it. */
export function recordStart(out: string, { step, seed, changes, data }: Starting): void {
  const before = step > 0 ? readStarts(out) : null;
  const root = findRoot();
  const start: RunStart = {
    time: new Date().toISOString(),
    step,
    commit: root === null ? null : commitOf(root),
    lockHash:
      root === null
        ? null
        : createHash('sha256')
            .update(readFileSync(join(root, 'package-lock.json')))
            .digest('hex'),
    versions: { commlm: ownVersion(), node: process.versions.node, libtorch: versionInfo().torch },
    platform: `${process.platform} ${process.arch}`,
    ...(changes === undefined ? {} : { changes }),
    ...(data === undefined || data.changes.length === 0 ? {} : { changedData: data.changes }),
  };
  writeJson(join(out, FILE), { seed, data: data?.identity ?? {}, starts: [...(before ?? []), start] });
}

/** The clone that this code runs from; null when it was installed as a package. */
function findRoot(): string | null {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, '.git')) || !existsSync(join(folder, 'package-lock.json'))) {
    const above = dirname(folder);
    if (above === folder) return null;
    folder = above;
  }
  return folder;
}

function commitOf(root: string): string | null {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    return `${git('rev-parse', 'HEAD')}${git('status', '--porcelain', '--untracked-files=no') === '' ? '' : '+'}`;
  } catch {
    return null; // no git here, or no commit yet
  }
}

function ownVersion(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
