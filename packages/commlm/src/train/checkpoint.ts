/** Checkpoints of a training run: written whole or not at all, the newest readable one is resumed. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { io, type Tensor } from '@commlm/torch';

/** What lies beside the tensors of a checkpoint. */
export interface CheckpointFacts {
  /** Steps done. */
  readonly step: number;
  /** Samples seen. */
  readonly samples: number;
  /** Fingerprint of the resolved recipe: another recipe must not continue this run. */
  readonly recipe: string;
}

const NAME = /^checkpoint-(\d+)$/;

/** Folders of finished checkpoints, newest first. */
export function listCheckpoints(run: string): string[] {
  if (!existsSync(run)) return [];
  return readdirSync(run)
    .filter((name) => NAME.test(name))
    .sort((a, b) => Number(NAME.exec(b)?.[1]) - Number(NAME.exec(a)?.[1]))
    .map((name) => join(run, name));
}

/** Write a checkpoint under a temporary name, rename it, and drop all but the newest `keepLast`. */
export function saveCheckpoint(
  run: string,
  facts: CheckpointFacts,
  tensors: Iterable<[string, Tensor]>,
  keepLast: number,
): string {
  const target = join(run, `checkpoint-${facts.step}`);
  const temporary = `${target}.part`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  io.writeSafetensors(join(temporary, 'state.safetensors'), tensors);
  writeFileSync(join(temporary, 'facts.json'), `${JSON.stringify(facts, null, 2)}\n`);
  rmSync(target, { recursive: true, force: true });
  renameSync(temporary, target);
  for (const old of listCheckpoints(run).slice(keepLast)) rmSync(old, { recursive: true, force: true });
  return target;
}

/** The newest checkpoint that can be read, with its tensors mapped; null when there is none. */
export function loadCheckpoint(
  run: string,
  warn: (message: string) => void,
): { facts: CheckpointFacts; tensors: Map<string, Tensor> } | null {
  for (const folder of listCheckpoints(run)) {
    try {
      const facts = JSON.parse(readFileSync(join(folder, 'facts.json'), 'utf8')) as CheckpointFacts;
      return { facts, tensors: io.readSafetensors(join(folder, 'state.safetensors')) };
    } catch (error) {
      warn(`${folder} cannot be read (${(error as Error).message}); trying the one before.`);
    }
  }
  return null;
}
