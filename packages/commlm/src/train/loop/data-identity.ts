/**
 * Which data a run learns from, by size and digest, in its `run.json`: a run that goes on with other files under the same
 * names would be a mixture of two runs, which nobody could tell.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CommError } from '../../config/errors.js';
import type { Recipe } from '../../config/recipe.js';
import { readJson } from '../../files/read.js';
import { BatchPool } from './batch-pool.js';
import { type DataFacts, DataIdentity } from './data-facts.js';
import { dataOf } from './data-sources.js';
import type { IdentityBatch } from './data-thread.js';

/** Looks at the files of a recipe's data, in a thread; throws the signal's reason when it is aborted. */
export async function identifyData(recipe: Recipe, signal?: AbortSignal): Promise<DataIdentity> {
  const data = dataOf(recipe);
  if (data.sources.length === 0) return {};
  const pool = new BatchPool<IdentityBatch>(new URL('./data-thread.js', import.meta.url), data, { ahead: 1 });
  const aborted = new Promise<never>((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  try {
    signal?.throwIfAborted();
    return (await Promise.race([pool.next(), aborted])).identity;
  } finally {
    await pool.close();
  }
}

/** The data that the run in a folder began with; undefined where its record does not say. */
export function recordedData(out: string): DataIdentity | undefined {
  const path = join(out, 'run.json');
  if (!existsSync(path)) return undefined;
  const fix = 'Remove it: the run then goes on with the data that are there, whatever it began with.';
  let record: unknown;
  try {
    record = readJson(path, { what: 'the record of the run' });
  } catch (error) {
    if (!(error instanceof CommError)) throw error;
    if (error.code === 'file/unreadable') throw error;
    throw new CommError(error.message, { code: error.code, fix, cause: error });
  }
  const data = (record as { data?: unknown } | null)?.data;
  if (data === undefined) return undefined;
  const identity = DataIdentity.safeParse(data);
  if (identity.success) return identity.data;
  throw new CommError(`${path} does not say in a form of ours which data the run began with.`, {
    code: 'train/run-json',
    fix,
  });
}

/** What differs, a part of a sentence each. */
export function changesOf(before: DataIdentity, now: DataIdentity): string[] {
  return Object.entries(before).flatMap(([name, facts]) => {
    const found = now[name];
    return found === undefined ? [] : changeOf(name, facts, found);
  });
}

function changeOf(name: string, before: DataFacts, now: DataFacts): string[] {
  if (before.pictures !== undefined) return picturesChanged(name, before.pictures, now.pictures ?? {});
  if (before.files !== now.files) return [`${name} has ${now.files} files in place of ${before.files}`];
  if (before.bytes !== now.bytes) return [`${name} has ${now.bytes} bytes in place of ${before.bytes}`];
  return before.sha256 === now.sha256 ? [] : [`${name} has other content of the same size`];
}

const MAX_NAMED = 5;

function picturesChanged(
  name: string,
  before: Readonly<Record<string, string>>,
  now: Readonly<Record<string, string>>,
): string[] {
  // Other annotations may show other pictures, which is told of the annotations.
  const keys = Object.keys(before).filter((key) => now[key] !== undefined && now[key] !== before[key]);
  if (keys.length === 0) return [];
  const more = keys.length > MAX_NAMED ? ` and ${keys.length - MAX_NAMED} more` : '';
  return [`${name}: ${keys.slice(0, MAX_NAMED).join(', ')}${more} with other content`];
}

/** @throws CommError `train/data` for data that changed since the run began. */
export function refuseChanges(out: string, changes: readonly string[]): void {
  if (changes.length === 0) return;
  throw new CommError(`The data of the run in ${out} changed: ${changes.join('; ')}.`, {
    code: 'train/data',
    fix: 'Put the old files back, begin a new run with another --out, or go on with the new files by --resume --changed-data.',
    exitCode: 2,
  });
}
