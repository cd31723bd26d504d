/**
 * Checkpoints of a training run: written whole or not at all, each file with its checksum; the newest sound one is resumed.
 *
 *     checkpoint-500.part/   being written, never read
 *     checkpoint-500/        state.safetensors and facts.json, flushed before the rename
 *     checkpoint-500.damaged/  did not match its checksum
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { io, type Tensor } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import type { MeansState } from './means.js';

/** What lies beside the tensors of a checkpoint. */
export interface CheckpointFacts {
  /** Steps done. */
  readonly step: number;
  /** Samples seen. */
  readonly samples: number;
  /** Position in the stream of batches: the index of the next one. */
  readonly nextBatch: number;
  /** Fingerprint of the resolved recipe: another recipe must not continue this run. */
  readonly recipe: string;
  /** Sums since the last log line, so that the next one is that of an undisturbed run. */
  readonly pending: MeansState;
  /** Updates left out for their gradient norm: in all, and at the end of the run so far. */
  readonly skipped: { readonly total: number; readonly inARow: number };
  /** The best evaluation so far, where the recipe asks for it. */
  readonly best: { readonly step: number; readonly value: number } | null;
  /** Whether this step's evaluation is still to be done. */
  readonly evalDue: boolean;
}

interface Checksum {
  readonly bytes: number;
  readonly crc32: number;
}

const STATE = 'state.safetensors';
const FACTS = 'facts.json';
const NAME = /^checkpoint-(\d+)$/;
const CHUNK_BYTES = 2 ** 24;

const stepOf = (name: string): number => Number(NAME.exec(name)?.[1]);

/** Folders of finished checkpoints, newest first. */
export function listCheckpoints(run: string): string[] {
  if (!existsSync(run)) return [];
  return readdirSync(run)
    .filter((name) => NAME.test(name))
    .sort((a, b) => stepOf(b) - stepOf(a))
    .map((name) => join(run, name));
}

/** Write a checkpoint under a temporary name, flush and rename it; then drop all but the newest `keepLast` and that of `facts.best`. */
export function saveCheckpoint(
  run: string,
  facts: CheckpointFacts,
  tensors: Iterable<[string, Tensor]>,
  keepLast: number,
): string {
  // A run that goes on with fewer of them, because the disk was full, makes room first.
  prune(run, facts, keepLast);
  const target = join(run, `checkpoint-${facts.step}`);
  const temporary = `${target}.part`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  try {
    const state = join(temporary, STATE);
    io.writeSafetensors(state, tensors);
    const text = JSON.stringify({ ...facts, state: checksum(state) }, null, 2);
    writeDurably(join(temporary, FACTS), `${JSON.stringify({ crc32: crc32(text), facts: text })}\n`);
    io.syncFolder(temporary);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
  rmSync(target, { recursive: true, force: true });
  renameSync(temporary, target);
  io.syncFolder(run);
  prune(run, facts, keepLast);
  return target;
}

function prune(run: string, { best }: CheckpointFacts, keepLast: number): void {
  for (const old of listCheckpoints(run).slice(keepLast)) {
    if (best === null || old !== join(run, `checkpoint-${best.step}`)) rmSync(old, { recursive: true, force: true });
  }
}

/** Says that a run has nothing to go by. */
export const noCheckpoint = (run: string): CommError =>
  new CommError(`${run} holds no checkpoint.`, {
    code: 'train/no-checkpoint',
    fix: 'Name the folder of a run with --out.',
    exitCode: 2,
  });

/** The newest sound checkpoint, with its tensors mapped; null when there is none. A damaged one is set aside, and `warn` is told. */
export function loadCheckpoint(
  run: string,
  warn: (message: string) => void,
): { facts: CheckpointFacts; tensors: Map<string, Tensor> } | null {
  for (const folder of listCheckpoints(run)) {
    try {
      const sealed = JSON.parse(readFileSync(join(folder, FACTS), 'utf8')) as { crc32: number; facts: string };
      if (crc32(sealed.facts) !== sealed.crc32) throw new Error(`${FACTS} does not match its checksum`);
      const { state, ...facts } = JSON.parse(sealed.facts) as CheckpointFacts & { state: Checksum };
      const found = checksum(join(folder, STATE));
      if (found.bytes !== state.bytes) throw new Error(`${STATE} has ${found.bytes} bytes, not ${state.bytes}`);
      if (found.crc32 !== state.crc32) throw new Error(`${STATE} does not match its checksum`);
      return { facts, tensors: io.readSafetensors(join(folder, STATE)) };
    } catch (error) {
      warn(`${folder} is damaged (${(error as Error).message}); it is set aside, the one before is tried.`);
      rmSync(`${folder}.damaged`, { recursive: true, force: true });
      renameSync(folder, `${folder}.damaged`);
    }
  }
  return null;
}

/** Replaces a small file: the old text or the new one survives a crash, never half of one. */
export function replaceFile(path: string, text: string): void {
  const temporary = `${path}.part`;
  writeDurably(temporary, text);
  renameSync(temporary, path);
}

function checksum(path: string): Checksum {
  const fd = openSync(path, 'r');
  try {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, Math.max(1, statSync(path).size)));
    let bytes = 0;
    let crc = 0;
    for (let read = readSync(fd, chunk); read > 0; read = readSync(fd, chunk)) {
      crc = crc32(chunk.subarray(0, read), crc);
      bytes += read;
    }
    return { bytes, crc32: crc };
  } finally {
    closeSync(fd);
  }
}

function writeDurably(path: string, text: string): void {
  writeFileSync(path, text, { flush: true });
}
