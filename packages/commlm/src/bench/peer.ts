/** A process that runs one side of a suite, a peer's or ours: it waits while the other measures. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { announce, type BenchOptions } from './suite.js';

const SCRIPT = fileURLToPath(new URL('../../src/bench/peer.py', import.meta.url));

/** What a peer says when it is ready. */
export interface PeerInfo {
  readonly versions: Readonly<Record<string, string>>;
  readonly threads: number;
}

/** One measurement. */
export interface Measurement {
  /** Seconds. */
  readonly value: number;
  /** Processor time of all threads in seconds, which other work on the machine hardly changes. */
  readonly cpu?: number;
  /** Of a training step. */
  readonly loss?: number;
  /** The kernel's own peak of the resident memory of the process so far, in KiB. */
  readonly peakKiB?: number | null;
}

interface PeerMessage extends Partial<Measurement> {
  readonly ready?: boolean;
  readonly missing?: string;
  readonly versions?: Record<string, string>;
  readonly threads?: number;
}

/** A running peer. */
export class Peer {
  readonly info: PeerInfo;
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #signal: AbortSignal | undefined;

  private constructor(
    process: ChildProcessWithoutNullStreams,
    lines: AsyncIterator<string>,
    info: PeerInfo,
    signal: AbortSignal | undefined,
  ) {
    this.#process = process;
    this.#signal = signal;
    this.#lines = lines;
    this.info = info;
  }

  /** Starts the peer of a suite with Python at `python`; a text that says what is missing when it cannot run. */
  static start(
    python: string,
    suite: 'call' | 'vit' | 'train',
    numThreads: number,
    { args = [], signal }: { readonly args?: readonly string[]; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Peer | string> {
    return Peer.spawn(python, [SCRIPT, suite, String(numThreads), ...args], numThreads, signal);
  }

  /** The same for any program that speaks as `peer.py` does; the signal ends it whatever it does. */
  static async spawn(
    program: string,
    args: readonly string[],
    numThreads: number,
    signal?: AbortSignal,
  ): Promise<Peer | string> {
    const child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      signal,
      env: { ...process.env, OMP_NUM_THREADS: String(numThreads), TRANSFORMERS_VERBOSITY: 'error' },
    });
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => {
      errors = (errors + chunk.toString()).slice(-2000);
    });
    child.stdin.on('error', () => {}); // a peer that ended early is reported by its silence
    const failed = new Promise<undefined>((resolve) => child.on('error', () => resolve(undefined)));
    const reader: Interface = createInterface({ input: child.stdout });
    const lines = reader[Symbol.asyncIterator]();
    const first = await Promise.race([failed, lines.next()]);
    signal?.throwIfAborted();
    if (first === undefined) return 'not installed';
    const message = first.done ? {} : (JSON.parse(first.value) as PeerMessage);
    if (message.ready && message.versions && message.threads !== undefined) {
      return new Peer(child, lines, { versions: message.versions, threads: message.threads }, signal);
    }
    child.kill();
    if (message.missing !== undefined) return `not installed (${message.missing})`;
    return `failed (${errors.trim().split('\n').at(-1) ?? 'no output'})`;
  }

  /** Measures once. */
  async measure(): Promise<Measurement> {
    this.#process.stdin.write('\n');
    const line = await this.#lines.next();
    this.#signal?.throwIfAborted();
    const { value, ...rest } = line.done ? {} : (JSON.parse(line.value) as PeerMessage);
    if (value === undefined) throw new Error('the peer process ended in the middle of a measurement');
    return { value, ...rest };
  }

  [Symbol.dispose](): void {
    this.#process.stdin.end();
  }
}

/** Medians of both sides, measured in turns, with one unmeasured round of each first. */
export async function compare(
  ours: () => number,
  peer: Peer | undefined,
  { rounds, onWait, signal }: Pick<BenchOptions, 'rounds' | 'onWait' | 'signal'>,
): Promise<{ ours: number; peer: number | undefined; ratios: number[] }> {
  const mine: number[] = [];
  const theirs: number[] = [];
  for (let round = -1; round < rounds; round++) {
    const started = performance.now();
    await pause(50);
    signal?.throwIfAborted();
    const a = ours();
    await pause(50);
    signal?.throwIfAborted();
    const b = (await peer?.measure())?.value;
    if (round < 0) {
      announce(performance.now() - started, rounds, onWait);
      continue;
    }
    mine.push(a);
    if (b !== undefined) theirs.push(b);
  }
  return {
    ours: median(mine),
    peer: theirs.length > 0 ? median(theirs) : undefined,
    ratios: theirs.map((b, i) => mine[i]! / b),
  };
}

/** Idle threads of one side spin for a moment after a parallel region; lets them go to sleep. */
export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The middle value; the mean of the two middle ones for an even count. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle]!;
  return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}
