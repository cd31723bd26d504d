/** Progress of a long command on stderr: a bar that redraws itself on a terminal, a line now and then otherwise. */
import { formatDuration, isInteractive } from './output.js';

/** Settings of a progress display. */
export interface ProgressOptions {
  /** What is being done, e.g. `answering`. */
  readonly label: string;
  /** Number of units of work in all. */
  readonly total: number;
  /** The plural name of a unit, e.g. `questions`. */
  readonly unit: string;
  /** Units already done before this run (they count in the bar, not in the rate). */
  readonly start?: number;
  /** Where to write; stderr by default. */
  readonly stream?: NodeJS.WriteStream;
  /** Clock in ms, for tests. */
  readonly now?: () => number;
  /** Draw a bar (true) or print lines (false); by default a bar on a terminal. */
  readonly bar?: boolean;
}

const BAR_WIDTH = 24;
const REDRAW_MS = 100;
const LINE_MS = 5000;

/** Shows how far a command is, how fast it goes and how long it will take; never writes to stdout. */
export class Progress {
  readonly #label: string;
  readonly #total: number;
  readonly #unit: string;
  readonly #first: number;
  readonly #stream: NodeJS.WriteStream;
  readonly #now: () => number;
  readonly #bar: boolean;
  readonly #started: number;
  #shown: number;
  #done: number;
  #open = false;

  constructor(options: ProgressOptions) {
    this.#label = options.label;
    this.#total = options.total;
    this.#unit = options.unit;
    this.#first = options.start ?? 0;
    this.#stream = options.stream ?? process.stderr;
    this.#now = options.now ?? Date.now;
    this.#bar = options.bar ?? isInteractive(this.#stream);
    this.#started = this.#now();
    this.#shown = this.#bar ? Number.NEGATIVE_INFINITY : this.#started;
    this.#done = this.#first;
  }

  /** Reports that `done` units of the total are finished. */
  update(done: number): void {
    this.#done = done;
    if (this.#now() - this.#shown < (this.#bar ? REDRAW_MS : LINE_MS)) return;
    this.#draw();
  }

  /** Prints a message without breaking the bar. */
  note(line: string): void {
    if (this.#open) this.#stream.write('\r\x1b[K');
    this.#open = false;
    this.#stream.write(`${line}\n`);
    if (this.#bar) this.#draw();
  }

  /** Draws the last state and ends the line. */
  finish(): void {
    this.#draw();
    if (this.#open) this.#stream.write('\n');
    this.#open = false;
  }

  #draw(): void {
    this.#shown = this.#now();
    const text = this.#describe();
    if (this.#bar) {
      this.#stream.write(`\r\x1b[K${text}`);
      this.#open = true;
    } else {
      this.#stream.write(`${text}\n`);
    }
  }

  #describe(): string {
    const elapsed = this.#now() - this.#started;
    const fresh = this.#done - this.#first;
    const rate = elapsed > 0 ? (fresh * 1000) / elapsed : 0;
    const parts = [`${this.#done}/${this.#total} ${this.#unit}`];
    if (rate > 0) parts.push(`${rate.toPrecision(3)}/s`);
    if (rate > 0 && this.#done < this.#total) {
      parts.push(`${formatDuration(((this.#total - this.#done) * 1000) / rate)} left`);
    } else if (this.#done >= this.#total) {
      parts.push(`took ${formatDuration(elapsed)}`);
    }
    const share = this.#total > 0 ? Math.min(1, this.#done / this.#total) : 1;
    const filled = Math.round(share * BAR_WIDTH);
    const bar = this.#bar ? ` [${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}]` : '';
    return `${this.#label}${bar} ${parts.join(', ')}`;
  }
}
