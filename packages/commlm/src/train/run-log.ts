/**
 * The figures of a run: `metrics.jsonl`, a line for each record, and from it a TensorBoard event file and a picture. A run
 * that goes on cuts the lines behind its checkpoint off, so that no step is told twice.
 */
import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { replaceFile } from './checkpoint.js';
import { EventFile } from './event-file.js';

/** A line of `metrics.jsonl`: the step, when it was written in seconds since 1970, and figures by name. */
export type MetricsLine = Readonly<Record<string, number>> & { readonly step: number; readonly time: number };

const METRICS = 'metrics.jsonl';
const EVENTS = 'events.out.tfevents.';

/** The lines of a run; one that a crash cut short is left out. */
export function readMetrics(out: string): MetricsLine[] {
  const path = join(out, METRICS);
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.flatMap((line) => {
    try {
      return [JSON.parse(line) as MetricsLine];
    } catch {
      return [];
    }
  });
}

/** Writes the figures of a run that begins at `step`. */
export class RunLog {
  readonly #out: string;
  readonly #events: EventFile;
  #numDrawn = 0;
  #numLines: number;

  constructor(out: string, step: number) {
    this.#out = out;
    const lines = readMetrics(out).filter((line) => line.step <= step);
    replaceFile(join(out, METRICS), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
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
      const { drawCurve } = await import('./curve.js');
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
