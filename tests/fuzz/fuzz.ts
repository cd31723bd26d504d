/** Seeded damage to good files, and the rule that every reader keeps: a value or a one-line error of ours, in bounds. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TorchError } from '@commlm/torch';
import { listFolderReaders } from './folder-readers.js';
import { listReaders } from './readers.js';

/** Longest that one input may take, generous for a busy machine. */
const MAX_MS = 10_000;
/** Largest that the process may become. */
const MAX_RSS_BYTES = 2 ** 31;

/** What the inputs of one reader came to. */
export interface FuzzResult {
  readonly reader: string;
  readonly numInputs: number;
  readonly numRefused: number;
  readonly slowestMs: number;
  /** Inputs that broke the rule. */
  readonly faults: readonly string[];
}

/** Runs `count` inputs shared out over all readers; the same seed gives the same inputs. */
export async function fuzz(count: number, seed = 1): Promise<FuzzResult[]> {
  const folder = mkdtempSync(join(tmpdir(), 'commlm-fuzz-'));
  const readers = [...listReaders(), ...listFolderReaders()];
  const results: FuzzResult[] = [];
  try {
    for (const [index, { name, seeds, read }] of readers.entries()) {
      const random = generator(seed * 1000 + index);
      const numInputs = Math.ceil(count / readers.length);
      const faults: string[] = [];
      let [numRefused, slowestMs] = [0, 0];
      for (let i = 0; i < numInputs; i++) {
        const bytes = damage(seeds[random(seeds.length)] as Uint8Array, random);
        const started = performance.now();
        try {
          await read(bytes, folder);
        } catch (error) {
          numRefused++;
          const fault = faultOf(error);
          if (fault !== undefined) faults.push(`input ${i}: ${fault}`);
        }
        const ms = performance.now() - started;
        slowestMs = Math.max(slowestMs, ms);
        if (ms > MAX_MS) faults.push(`input ${i}: took ${ms.toFixed(0)} ms`);
        if (process.memoryUsage.rss() > MAX_RSS_BYTES)
          faults.push(`input ${i}: the process grew past ${MAX_RSS_BYTES} bytes`);
      }
      results.push({ reader: name, numInputs, numRefused, slowestMs, faults });
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return results;
}

/** What is wrong with an error: it has to be ours and of one line. */
function faultOf(error: unknown): string | undefined {
  const ours = error instanceof TorchError || error instanceof TypeError || (error as Error).name === 'CommError';
  const message = String((error as Error).message);
  if (ours && !message.includes('\n')) return undefined;
  return `${(error as Error).name}: ${message.slice(0, 300)}`;
}

/** A small seeded generator of whole numbers below n. */
function generator(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

const EXTREMES = [0, 1, 0x7f, 0x80, 0xff];

/** One to eight changes: bytes, numbers at their limits, pieces doubled, moved, taken out or cut off. */
function damage(seed: Uint8Array, random: (n: number) => number): Uint8Array {
  let bytes = Buffer.from(seed);
  for (let left = 1 + random(8); left > 0 && bytes.length > 8; left--) {
    // Headers and directories lie at the ends, so the ends get their share.
    const span = [bytes.length, Math.min(bytes.length, 512)][random(2)] as number;
    const at = random(4) === 0 ? bytes.length - 1 - random(span) : random(span);
    const length = Math.min(1 + random(32), bytes.length - at);
    switch (random(7)) {
      case 0:
        bytes[at] = random(256);
        break;
      case 1:
        bytes[at] = (bytes[at] as number) ^ (1 << random(8));
        break;
      case 2:
        bytes.fill(EXTREMES[random(EXTREMES.length)] as number, at, at + Math.min(length, 8));
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
        break;
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
        break;
      case 5:
        bytes.copy(bytes, random(bytes.length), at, at + length);
        break;
      default:
        if (random(4) === 0) bytes = bytes.subarray(0, at);
        else bytes.write(String(10 ** random(20)), at, 'latin1');
    }
  }
  return bytes;
}
