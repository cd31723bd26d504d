/**
 * SPICE by an outside command: its scene-graph parser is not re-implemented. The command is that of the SPICE release,
 * for example `java -Xmx8G -jar spice-1.0.jar`, and gets an input file and `-out FILE -subset -silent` behind it.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommError } from '../../config/errors.js';

/** Mean and the F score of each image; null where the tool gives none. */
export interface SpiceScores {
  readonly corpus: number | null;
  readonly perCaption: ReadonlyArray<number | null>;
}

function spiceError(problem: string, cause?: unknown): CommError {
  return new CommError(`The SPICE command ${problem}.`, {
    code: 'score/spice',
    fix: 'Run it by hand first; SPICE needs Java 8 or 11 and the CoreNLP models beside its jar.',
    cause,
  });
}

async function runCommand(command: string): Promise<void> {
  const child = spawn(command, { shell: true, stdio: ['ignore', 'ignore', 'pipe'] });
  let messages = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    messages = (messages + text).slice(-2000);
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject).on('close', resolve);
  });
  if (code === 0) return;
  const last = messages.trim().split('\n').at(-1) ?? '';
  throw spiceError(`ended with ${code === null ? 'a signal' : `exit code ${code}`}${last === '' ? '' : `: ${last}`}`);
}

function readScores(text: string, count: number): Array<number | null> {
  const scores = new Array<number | null | undefined>(count).fill(undefined);
  for (const entry of JSON.parse(text) as ReadonlyArray<{ image_id: number; scores: { All: { f: unknown } } }>) {
    const score = entry.scores.All.f;
    scores[entry.image_id] = typeof score === 'number' && Number.isFinite(score) ? score : null;
  }
  const missing = scores.indexOf(undefined);
  if (scores.length !== count || missing >= 0) throw new RangeError('not every image has a score');
  return scores as Array<number | null>;
}

/** Runs SPICE on PTB-tokenised captions. @throws CommError when the command fails or writes something else */
export async function scoreSpice(
  command: string,
  references: ReadonlyArray<readonly string[]>,
  candidates: readonly string[],
): Promise<SpiceScores> {
  const folder = await mkdtemp(join(tmpdir(), 'commlm-spice-'));
  try {
    const [input, output] = [join(folder, 'input.json'), join(folder, 'output.json')];
    const entries = candidates.map((test, i) => ({ image_id: i, test, refs: references[i] }));
    await writeFile(input, JSON.stringify(entries));
    await runCommand(`${command} ${JSON.stringify(input)} -out ${JSON.stringify(output)} -subset -silent`);
    let perCaption: Array<number | null>;
    try {
      perCaption = readScores(await readFile(output, 'utf8'), candidates.length);
    } catch (cause) {
      throw spiceError('did not write the scores that are expected', cause);
    }
    const known = perCaption.filter((score) => score !== null);
    const isWhole = known.length === perCaption.length && known.length > 0;
    return { corpus: isWhole ? known.reduce((sum, score) => sum + score, 0) / known.length : null, perCaption };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
