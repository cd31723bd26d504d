/**
 * The figures of a run: `metrics.jsonl`, a line for each record, and from it a TensorBoard event file and a picture. A run
 * that goes on cuts the lines behind its checkpoint off, so that no step is told twice.
 */
import { appendFileSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { writeDurably } from '../../files/durable.js';
import { readBytes } from '../../files/read.js';
import { setAside } from '../../files/set-aside.js';
import type { MetricsLine } from '../../report/curve.js';
import { EventFile } from './event-file.js';

const METRICS = 'metrics.jsonl';
const EVENTS = 'events.out.tfevents.';

/** A run of a million steps that logs each of them. */
const LIMIT_BYTES = 2 ** 31;

/** The lines of a run; those that are no records are left out. */
export const readMetrics = (out: string): MetricsLine[] => readLines(out).records;

/** The records of a run, and how many lines are none: a crash cuts the last one short, nothing of ours damages another. */
function readLines(out: string): { records: MetricsLine[]; numBad: number } {
  const path = join(out, METRICS);
  if (!existsSync(path)) return { records: [], numBad: 0 };
  const lines = readBytes(path, { what: 'the figures of the run', limitBytes: LIMIT_BYTES })
    .toString('utf8')
    .split('\n');
  // Behind the last line's end there is nothing, or what a crash left of a line.
  lines.pop();
  const records = lines.map(parseLine).filter((record) => record !== undefined);
  return { records, numBad: lines.length - records.length };
}

function parseLine(line: string): MetricsLine | undefined {
  try {
    const value = JSON.parse(line) as MetricsLine | null;
    // A figure that is not finite is null in JSON.
    const isRecord =
      typeof value === 'object' &&
      Number.isSafeInteger(value?.step) &&
      Object.values(value as object).every((figure) => typeof figure === 'number' || figure === null);
    return isRecord ? (value as MetricsLine) : undefined;
  } catch {
    return undefined;
  }
}

/** Writes the figures of a run that begins at `step`. */
export class RunLog {
  readonly #out: string;
  readonly #events: EventFile;
  #numDrawn = 0;
  #numLines: number;

  /** @param log is told where the file held lines that are no records; it is set aside whole then. */
  constructor(out: string, step: number, log: (line: string) => void) {
    this.#out = out;
    const path = join(out, METRICS);
    const { records, numBad } = readLines(out);
    if (numBad > 0) {
      const name = basename(setAside(path));
      log(`${path} has lines that are no records (${numBad}); it is set aside as ${name}, its records are kept`);
    }
    // A run that begins anew writes those of its start again.
    const lines = step === 0 ? [] : records.filter((line) => line.step <= step);
    writeDurably(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    for (const name of readdirSync(out)) if (name.startsWith(EVENTS)) rmSync(join(out, name));
    const now = Date.now() / 1000;
    const name = `${EVENTS}${Math.floor(now).toString().padStart(10, '0')}.${hostname()}.${process.pid}.0`;
    this.#events = new EventFile(join(out, name), lines[0]?.time ?? now);
    for (const { step: at, time, ...figures } of lines) this.#events.add(time, at, figures);
    this.#numLines = lines.length;
  }

  /** Adds a line. */
  record(step: number, figures: Readonly<Record<string, number>>): void {
    const time = Date.now() / 1000;
    appendFileSync(join(this.#out, METRICS), `${JSON.stringify({ step, time, ...figures })}\n`);
    this.#events.add(time, step, figures);
    this.#numLines++;
  }

  /** Draws the curve of what has been written. A picture that cannot be made is no reason to end a run. */
  async draw(log: (line: string) => void): Promise<void> {
    if (this.#numDrawn === this.#numLines) return;
    this.#numDrawn = this.#numLines;
    try {
      const { drawCurve } = await import('../../report/curve.js');
      await drawCurve(this.#out, readMetrics(this.#out));
    } catch (error) {
      log(`the loss curve could not be drawn: ${(error as Error).message}`);
    }
  }

  /** Draws the last state. */
  async close(log: (line: string) => void): Promise<void> {
    await this.draw(log);
  }
}
