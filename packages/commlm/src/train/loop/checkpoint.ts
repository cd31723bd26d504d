/**
 * Checkpoints of a training run: written whole or not at all, each file with its checksum; the newest sound one is resumed.
 *
 *     checkpoint-500.part/       being written or removed, never read
 *     checkpoint-500/            state.safetensors and facts.json, flushed before the rename
 *     checkpoint-500.damaged/    did not match its checksum; kept for whoever wants to look at it
 *     checkpoint-500.damaged-2/  and so did the next one of that step
 *
 * One that cannot be read (permissions, an input error of the disk, too many open files) may be sound: that is an error,
 * never a damage.
 */
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { io, type Tensor } from '@commlm/torch';
import { openRegularFile } from '@commlm/torch/files';
import { z } from 'zod';
import { CommError } from '../../config/errors.js';
import { syncFolder, writeDurably } from '../../files/durable.js';
import { readError } from '../../files/read.js';
import { setAside } from '../../files/set-aside.js';

const Count = z.int().nonnegative();
/** A figure that is not finite is `null` in JSON. */
const Figure = z
  .number()
  .nullable()
  .transform((value) => value ?? Number.NaN);

const Facts = z.object({
  /** Steps done. */
  step: Count,
  /** Samples seen. */
  samples: Count,
  /** Position in the stream of batches: the index of the next one. */
  nextBatch: Count,
  /** Fingerprint of the resolved recipe: another recipe must not continue this run. */
  recipe: z.string(),
  /** Sums since the last log line, so that the next one is that of an undisturbed run. */
  pending: z.record(z.string(), z.object({ sum: Figure, count: Count })),
  /** Updates left out for their gradient norm: in all, and at the end of the run so far. */
  skipped: z.object({ total: Count, inARow: Count }),
  /** The best evaluation so far, where the recipe asks for it. */
  best: z.object({ step: Count, value: Figure }).nullable(),
  /** Whether this step's evaluation is still to be done. */
  evalDue: z.boolean(),
});

/** What lies beside the tensors of a checkpoint. */
export type CheckpointFacts = Readonly<z.infer<typeof Facts>>;

const Sealed = z.object({ crc32: z.number(), facts: z.string() });
const Checksum = z.object({ bytes: z.number(), crc32: z.number() });
type Checksum = z.infer<typeof Checksum>;

/** A checkpoint with its tensors mapped: they stay readable when its folder is removed. */
export interface Checkpoint {
  readonly facts: CheckpointFacts;
  readonly tensors: Map<string, Tensor>;
}

const STATE = 'state.safetensors';
const FACTS = 'facts.json';
const NAME = /^checkpoint-(\d+)$/;
const PART = /^checkpoint-\d+\.part$/;
const SET_ASIDE = /^checkpoint-\d+\.damaged(-\d+)?$/;
const CHUNK_BYTES = 2 ** 24;

const stepOf = (name: string): number => Number(NAME.exec(name)?.[1]);

function namesIn(run: string): string[] {
  try {
    return readdirSync(run);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw readError(error, run, 'the folder of the run');
  }
}

/** Folders of finished checkpoints, newest first. */
export function listCheckpoints(run: string): string[] {
  return namesIn(run)
    .filter((name) => NAME.test(name))
    .sort((a, b) => stepOf(b) - stepOf(a))
    .map((name) => join(run, name));
}

/** Whether a run has lost checkpoints: it holds some that were set aside. */
export const holdsDamaged = (run: string): boolean => namesIn(run).some((name) => SET_ASIDE.test(name));

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
  mkdirSync(temporary, { recursive: true });
  try {
    const state = join(temporary, STATE);
    io.writeSafetensors(state, tensors);
    const text = JSON.stringify({ ...facts, state: checksumOf(state) }, null, 2);
    writeDurably(join(temporary, FACTS), `${JSON.stringify({ crc32: crc32(text), facts: text })}\n`);
    syncFolder(temporary);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
  // One of that step is there only where a run was begun anew over the remains of another.
  if (existsSync(target)) setAside(target);
  renameSync(temporary, target);
  syncFolder(run);
  prune(run, facts, keepLast);
  return target;
}

function prune(run: string, { best }: CheckpointFacts, keepLast: number): void {
  for (const old of listCheckpoints(run).slice(keepLast)) {
    if (best !== null && old === join(run, `checkpoint-${best.step}`)) continue;
    // In one step: who reads meanwhile never meets half of it.
    rmSync(`${old}.part`, { recursive: true, force: true });
    renameSync(old, `${old}.part`);
  }
  // Also what a killed process was writing or removing.
  for (const name of namesIn(run)) if (PART.test(name)) rmSync(join(run, name), { recursive: true, force: true });
}

/** Says that a run has nothing to go by. */
export const noCheckpoint = (run: string): CommError =>
  new CommError(`${run} holds no checkpoint.`, {
    code: 'train/no-checkpoint',
    fix: 'Name the folder of a run with --out.',
    exitCode: 2,
  });

/** In the place of a checkpoint that is damaged or has gone. */
interface Fault {
  readonly folder: string;
  readonly why: string;
}

/**
 * The newest sound checkpoint, to go on from; null where the run has none yet. Damaged ones that are newer are set aside,
 * and `warn` is told; while none is sound they stay as they are.
 * @throws CommError where one cannot be read, or where there are some and none is sound.
 */
export function takeUpCheckpoint(run: string, warn: (message: string) => void): Checkpoint | null {
  const damaged: Fault[] = [];
  for (const folder of listCheckpoints(run)) {
    const found = openCheckpoint(folder);
    if ('why' in found) {
      damaged.push(found);
      continue;
    }
    for (const { folder, why } of damaged) {
      const name = basename(setAside(folder));
      warn(`${folder} is damaged (${why}); it is set aside as ${name}, the one before is taken.`);
    }
    return found;
  }
  if (damaged.length > 0 || holdsDamaged(run)) throw noneSound(run, damaged);
  return null;
}

/**
 * The newest sound checkpoint, to look at while the run may be going on: nothing is changed, and one that is removed in
 * the meantime gives way to the next.
 * @throws CommError where there is none, or where one cannot be read.
 */
export function readCheckpoint(run: string, warn: (message: string) => void): Checkpoint {
  const faults = new Map<string, Fault>();
  for (;;) {
    const folder = listCheckpoints(run).find((each) => !faults.has(each));
    if (folder === undefined) break;
    const found = openCheckpoint(folder);
    if (!('why' in found)) return found;
    faults.set(folder, found);
    if (listCheckpoints(run).includes(folder)) warn(`${folder} is damaged (${found.why}); the one before is taken.`);
  }
  const there = listCheckpoints(run);
  if (there.length === 0 && !holdsDamaged(run)) throw noCheckpoint(run);
  throw noneSound(
    run,
    there.flatMap((folder) => faults.get(folder) ?? []),
  );
}

function noneSound(run: string, damaged: readonly Fault[]): CommError {
  const each = damaged.map(({ folder, why }) => `${basename(folder)}: ${why}`).join('; ');
  return new CommError(`No checkpoint in ${run} is sound${each === '' ? '' : ` (${each})`}.`, {
    code: 'train/no-sound-checkpoint',
    fix: 'Put a copy of one of them back, or begin anew: without --resume and with another --out.',
  });
}

/**
 * Opens both files before it reads them, so that a run that prunes meanwhile cannot take one away in between.
 * @throws CommError where it cannot be read, which says nothing about whether it is sound.
 */
function openCheckpoint(folder: string): Checkpoint | Fault {
  const damaged = (why: string): Fault => ({ folder, why });
  const open: number[] = [];
  let mapped: Map<string, Tensor> | Error | undefined;
  let found: Checkpoint | Fault;
  try {
    for (const name of [FACTS, STATE]) open.push(openRegularFile(join(folder, name)));
    const [factsFile, stateFile] = open as [number, number];
    mapped = mapState(folder);
    const facts = readFacts(readFileSync(factsFile, 'utf8'));
    const why = typeof facts === 'string' ? facts : difference(facts.state, checksum(stateFile));
    // What matches its checksum is what was written: if it cannot be mapped, it is not the file that is at fault.
    if (why === undefined && mapped instanceof Error) throw mapped;
    found =
      why === undefined
        ? { facts: (facts as SealedFacts).facts, tensors: mapped as Map<string, Tensor> }
        : damaged(why);
  } catch (error) {
    if (![FACTS, STATE].some((name) => isMissing(join(folder, name)))) throw unreadable(folder, error);
    found = damaged('a file of it is missing');
  } finally {
    for (const fd of open) closeSync(fd);
  }
  if ('why' in found && mapped instanceof Map) for (const tensor of mapped.values()) tensor.dispose();
  return found;
}

/** Whether surely nothing is there; a folder that may not be looked into tells nothing. */
function isMissing(path: string): boolean {
  try {
    lstatSync(path);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

/** How a file differs from what was written, if it does. */
function difference(written: Checksum, found: Checksum): string | undefined {
  if (found.bytes !== written.bytes) return `${STATE} has ${found.bytes} bytes, not ${written.bytes}`;
  return found.crc32 === written.crc32 ? undefined : `${STATE} does not match its checksum`;
}

interface SealedFacts {
  readonly facts: CheckpointFacts;
  readonly state: Checksum;
}

/** All tensors, or why there are none: a file that is damaged cannot be mapped either, and its checksum says so. */
function mapState(folder: string): Map<string, Tensor> | Error {
  try {
    return io.readSafetensors(join(folder, STATE));
  } catch (error) {
    return error as Error;
  }
}

/** What facts.json says, or what is wrong with it. */
function readFacts(text: string): SealedFacts | string {
  const sealed = Sealed.safeParse(parse(text)).data;
  if (sealed === undefined) return `${FACTS} is no JSON of a checkpoint`;
  if (crc32(sealed.facts) !== sealed.crc32) return `${FACTS} does not match its checksum`;
  const value = parse(sealed.facts);
  const facts = Facts.safeParse(value);
  const state = z.object({ state: Checksum }).safeParse(value).data?.state;
  if (facts.success && state !== undefined) return { facts: facts.data, state };
  return `${FACTS} lacks ${facts.error?.issues[0]?.path.join('.') ?? 'the checksum of the state'}`;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function unreadable(folder: string, error: unknown): CommError {
  const { message } = readError(error, folder, 'a checkpoint');
  return new CommError(`${message.replace(/\.$/, '')}; it may be sound, so nothing was changed.`, {
    code: 'train/unreadable',
    fix: `Make it readable and run the command again. To go on from the one before instead, move ${folder} elsewhere.`,
    cause: error,
  });
}

function checksum(fd: number): Checksum {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let bytes = 0;
  let crc = 0;
  for (let read = readSync(fd, chunk, 0, chunk.length, bytes); read > 0; ) {
    crc = crc32(chunk.subarray(0, read), crc);
    bytes += read;
    read = readSync(fd, chunk, 0, chunk.length, bytes);
  }
  return { bytes, crc32: crc };
}

function checksumOf(path: string): Checksum {
  const fd = openRegularFile(path);
  try {
    return checksum(fd);
  } finally {
    closeSync(fd);
  }
}
