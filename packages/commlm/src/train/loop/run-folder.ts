/** What the folder of a run holds already, and whether a run may begin or go on there: nothing of one is overwritten. */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { CommError } from '../../config/errors.js';
import { holdsDamaged, listCheckpoints } from './checkpoint.js';
import { readStarts } from './run-facts.js';
import { readMetrics } from './run-log.js';

/** What a run exports. */
const EXPORTS = ['result', 'best'];

/** The error of something that lies where a run or a result would be written. */
export const inTheWay = (message: string, fix: string): CommError =>
  new CommError(message, { code: 'train/exists', fix, exitCode: 2 });

const exportIn = (out: string): string | undefined => EXPORTS.find((name) => existsSync(join(out, name)));

const holdsCheckpoints = (out: string): boolean => listCheckpoints(out).length > 0 || holdsDamaged(out);

/** @throws CommError `train/exists` where a new run would overwrite one. */
export function refuseRun(out: string): void {
  const [newest] = listCheckpoints(out);
  const exported = exportIn(out);
  const found =
    (newest !== undefined ? basename(newest) : undefined) ??
    (holdsDamaged(out) ? 'damaged checkpoints' : undefined) ??
    exported ??
    (readMetrics(out).length > 0 ? 'metrics.jsonl' : undefined);
  if (found === undefined) return;
  // Without its checkpoints, a run that has exported cannot go on.
  const canGoOn = newest !== undefined || (exported === undefined && !holdsDamaged(out));
  throw inTheWay(
    `${out} holds a run already (${found}).`,
    canGoOn
      ? 'Add --resume to go on with it, or name another --out.'
      : 'Name another --out, or move this one elsewhere.',
  );
}

/** Throws where there is no run to go on with; one that was killed before its first checkpoint is one. */
export function requireRun(out: string, saveEvery: number): void {
  if (!holdsCheckpoints(out) && readStarts(out) === null && exportIn(out) === undefined) {
    throw new CommError(`${out} holds no run to go on with.`, {
      code: 'train/no-run',
      fix: 'Leave out --resume to begin one, or name the folder of the run with --out.',
      exitCode: 2,
    });
  }
  refuseLost(out, saveEvery);
}

/** @throws CommError `train/no-sound-checkpoint` where checkpoints were written and are gone: going on would begin anew. */
export function refuseLost(out: string, saveEvery: number): void {
  if (holdsCheckpoints(out)) return;
  const started = Math.max(0, ...(readStarts(out) ?? []).map(({ step }) => step));
  const logged = readMetrics(out).at(-1)?.step ?? 0;
  const exported = exportIn(out);
  let sign: string;
  if (started > 0) sign = `its run.json tells of step ${started}`;
  else if (exported !== undefined) sign = `it holds a ${exported}`;
  else if (logged > saveEvery) sign = `its metrics.jsonl tells of step ${logged}`;
  else return;
  throw new CommError(`${out} holds no checkpoint, though ${sign}.`, {
    code: 'train/no-sound-checkpoint',
    fix: 'Put the checkpoints back, or begin anew: without --resume and with another --out.',
  });
}
