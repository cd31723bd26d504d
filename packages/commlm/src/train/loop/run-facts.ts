/** What a run was made with, beside it: `run.json` with one entry for each start. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { versionInfo } from '@commlm/torch';
import { cloneRoot } from '@commlm/torch/setup';
import { CommError } from '../../config/errors.js';
import { codeVersion } from '../../files/code-version.js';
import { writeJson } from '../../files/durable.js';
import { readJson } from '../../files/read.js';
import type { DataIdentity } from './data-facts.js';

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
  readonly changes?: Readonly<Record<string, unknown>> | undefined;
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
  const { commlm, commit } = codeVersion();
  const start: RunStart = {
    time: new Date().toISOString(),
    step,
    commit,
    lockHash: lockHash(),
    versions: { commlm, node: process.versions.node, libtorch: versionInfo().torch },
    platform: `${process.platform} ${process.arch}`,
    changes,
    ...(data === undefined || data.changes.length === 0 ? {} : { changedData: data.changes }),
  };
  writeJson(join(out, FILE), { seed, data: data?.identity ?? {}, starts: [...(before ?? []), start] });
}

function lockHash(): string | null {
  const root = cloneRoot();
  if (root === undefined) return null;
  const bytes = readFileSync(join(root, 'package-lock.json'));
  return createHash('sha256').update(bytes).digest('hex');
}
