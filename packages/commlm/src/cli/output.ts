/** What the commands print: results on stdout, everything else on stderr, colour only on a terminal that wants it. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { printable } from './terminal-text.js';

/** True when `stream` is a terminal that a person watches (not CI, not a pipe). */
export function isInteractive(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY === true && process.env['CI'] === undefined && process.env['TERM'] !== 'dumb';
}

function colourful(stream: NodeJS.WriteStream): boolean {
  const noColor = process.env['NO_COLOR'];
  return (noColor === undefined || noColor === '') && isInteractive(stream);
}

type Paint = (text: string) => string;

/** ANSI styles for one stream; every style is the identity when the stream takes no colour. */
export interface Style {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly red: Paint;
  readonly green: Paint;
  readonly cyan: Paint;
  readonly yellow: Paint;
}

/** The styles of a stream (stdout by default), honouring NO_COLOR and pipes. */
export function styleOf(stream: NodeJS.WriteStream = process.stdout): Style {
  const on = colourful(stream);
  const paint = (open: number, close: number): Paint => (on ? (t) => `\x1b[${open}m${t}\x1b[${close}m` : (t) => t);
  return {
    bold: paint(1, 22),
    dim: paint(2, 22),
    red: paint(31, 39),
    green: paint(32, 39),
    cyan: paint(36, 39),
    yellow: paint(33, 39),
  };
}

/** A path of a file that was written: on a terminal a link that opens it (OSC 8), elsewhere the path alone. */
export function linkTo(stream: NodeJS.WriteStream, path: string): string {
  if (!isInteractive(stream)) return printable(path);
  return `\x1b]8;;${pathToFileURL(resolve(path)).href}\x1b\\${printable(path)}\x1b]8;;\x1b\\`;
}

/** An answer for `stream`: on a terminal without what would steer it, elsewhere exactly as it is. */
export function answerFor(stream: Pick<NodeJS.WriteStream, 'isTTY'>, text: string): string {
  return stream.isTTY ? printable(text) : text;
}

/** Writes one line on stdout. */
export function print(line = ''): void {
  process.stdout.write(`${line}\n`);
}

/** Writes one line on stderr: progress, notes, everything that is not the result. */
export function note(line = ''): void {
  process.stderr.write(`${line}\n`);
}

let jsonPrinted = false;

/** Prints the one JSON document of a `--json` run on stdout. Throws on a second call: one run, one document. */
export function printJson(value: unknown): void {
  if (jsonPrinted) throw new Error('a --json run prints exactly one document');
  jsonPrinted = true;
  process.stdout.write(`${escapeControls(JSON.stringify(value, undefined, 2))}\n`);
}

/** JSON escapes the controls below the space alone; the others steer a terminal too, and mean the same escaped. */
function escapeControls(json: string): string {
  return json.replace(
    /[\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  );
}

/** True when `printJson` was called in this process. */
export function hasPrintedJson(): boolean {
  return jsonPrinted;
}

const ANSI = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g');
const width = (text: string): number => [...text.replace(ANSI, '')].length;

/** A column of a printed table. */
export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** Lays rows out as an aligned plain-text table with a header; cells may carry ANSI styles. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map((c, i) => Math.max(width(c.title), ...rows.map((row) => width(row[i] ?? ''))));
  const line = (cells: readonly string[]): string =>
    columns
      .map((c, i) => {
        const cell = cells[i] ?? '';
        const space = ' '.repeat(Math.max(0, (widths[i] ?? 0) - width(cell)));
        return c.align === 'right' ? space + cell : cell + space;
      })
      .join('  ')
      .trimEnd();
  return [line(columns.map((c) => c.title)), line(widths.map((w) => '-'.repeat(w))), ...rows.map(line)].join('\n');
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Bytes in the largest binary unit that keeps the figure at or above one: `12.3 MiB`. */
export function formatBytes(numBytes: number): string {
  let value = numBytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${UNITS[unit]}`;
}

/** A count with K, M or B: `25.2 M`. */
export function formatCount(count: number): string {
  if (count >= 1e9) return `${(count / 1e9).toFixed(2)} B`;
  if (count >= 1e6) return `${(count / 1e6).toFixed(2)} M`;
  if (count >= 1e3) return `${(count / 1e3).toFixed(1)} K`;
  return String(count);
}

/** A learning rate as a plain number, to a thousandth of the highest of its schedule: `0.0001`, `0.0000197`, `0`. */
export function formatRate(rate: number, highest: number): string {
  const text = rate.toFixed(Math.min(100, Math.max(0, 2 - Math.floor(Math.log10(highest)))));
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/** A number of things in words: `1 checkpoint`, `3 checkpoints`, `2 failed lines`. */
export const counted = (count: number, thing: string): string =>
  `${count} ${count === 1 ? thing : /[sx]$/.test(thing) ? `${thing}es` : `${thing}s`}`;

/** A duration for people: `850 ms`, `12.3 s`, `4 min 10 s`, `2 h 05 min`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(Math.floor(seconds % 60)).padStart(2, '0')} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}
