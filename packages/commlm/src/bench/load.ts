/**
 * The suite `load`: a model opened and asked once in a process of its own, for each number format. Resident memory is what
 * the kernel counts for the process: anonymous memory plus the pages of mapped files that it has in use (RssAnon + RssFile
 * of /proc/<pid>/status); its peak is the kernel's own (VmHWM), and the samples say what it consisted of.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { BYTES_PER_ELEMENT, numThreads, ones, scope } from '@commlm/torch';
import { CommError } from '../config/errors.js';
import type { WeightFormat } from '../config/formats.js';
import { resolveModelFolder } from '../hub/model-folder.js';
import { FORMATS } from '../weights/formats.js';
import { describeModel } from '../weights/open-model.js';
import { buildComm } from '../weights/quantise.js';
import type { LoadReport } from './load-child.js';
import type { BenchOptions, BenchRow } from './suite.js';

const CHILD = fileURLToPath(new URL('load-child.js', import.meta.url));
const SAMPLE_MS = 50;
/** Tokens of the answer: enough for a rate, few enough for a model of 7 billion parameters. */
const ANSWER_TOKENS = 8;
const GIB = 2 ** 30;

/** Memory at the moment of the largest sample, in bytes. */
interface Sample {
  readonly resident: number;
  readonly anonymous: number;
  readonly file: number;
}

/** Resident memory of a process now; undefined where the system has no /proc, or the process has ended. */
function sample(pid: number): Sample | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const of = (name: string): number =>
      1024 * Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? Number.NaN);
    const found = { resident: of('VmRSS'), anonymous: of('RssAnon'), file: of('RssFile') };
    return Number.isNaN(found.resident) ? undefined : found;
  } catch {
    return undefined;
  }
}

/** Runs the child to its end; the largest samples before and after the model was ready. */
function measure(
  model: string,
  dtype: string,
  signal: AbortSignal | undefined,
): Promise<{ report: LoadReport; loading: Sample | undefined; running: Sample | undefined }> {
  return new Promise((fulfil, reject) => {
    const child = spawn(process.execPath, [CHILD, model, dtype, String(ANSWER_TOKENS)], {
      stdio: ['ignore', 'pipe', 'pipe'],
      signal,
      env: { ...process.env, OMP_NUM_THREADS: String(numThreads()) },
    });
    let [out, errors] = ['', ''];
    let [loading, running]: (Sample | undefined)[] = [];
    const watch = (): void => {
      const now = sample(child.pid as number);
      if (now === undefined) return;
      if (errors.includes('ready\n')) {
        if (now.resident > (running?.resident ?? 0)) running = now;
      } else if (now.resident > (loading?.resident ?? 0)) loading = now;
    };
    const timer = setInterval(watch, SAMPLE_MS);
    child.stdout.on('data', (chunk) => {
      out += chunk;
    });
    child.stderr.on('data', (chunk) => {
      errors += chunk;
    });
    child.on('error', (error) => {
      clearInterval(timer);
      reject(signal?.aborted ? signal.reason : error);
    });
    child.on('close', (status) => {
      clearInterval(timer);
      if (status === 0) fulfil({ report: JSON.parse(out) as LoadReport, loading, running });
      else reject(childError(errors, status));
    });
  });
}

function childError(errors: string, status: number | null): CommError {
  const cause = /^\w*Error: (.+)$/m.exec(errors)?.[1];
  return new CommError(cause ?? `The measured process ended with ${status === null ? 'a signal' : `code ${status}`}.`, {
    code: 'bench/load',
    fix: cause === undefined ? 'The machine may have too little memory for this model.' : undefined,
  });
}

/** Bytes of the language model that one new token reads, its embedding table left out. */
function bytesPerToken(folder: string, format: WeightFormat): number {
  const model = buildComm(describeModel(folder).config);
  let bytes = 0;
  for (const [key, { shape, dtype, numel }] of model.stateDict()) {
    const tied = model.config.textConfig.tieWordEmbeddings;
    if (!key.startsWith('language_model.') || (key.endsWith('embed_tokens.weight') && !tied)) continue;
    const isMatrix = shape.length === 2 && !key.endsWith('embed_tokens.weight') && FORMATS.int8.encoding.matches(key);
    const stored = format === 'int8' ? (dtype === 'i8' || isMatrix ? 1 : 2) : BYTES_PER_ELEMENT[format];
    bytes += numel * stored;
  }
  model.dispose();
  return bytes;
}

/** Bytes a second that this process reads from memory with all its threads: the best of a few sums over 512 MiB. */
export function readBandwidth(): number {
  return scope(() => {
    const data = ones([2 ** 26], { dtype: 'i64' });
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 5; round++) {
      const started = performance.now();
      data.sum().item();
      best = Math.min(best, performance.now() - started);
    }
    return (data.numel * 8 * 1000) / best;
  });
}

/** Opens the model in int8 and in bf16, or in the format that is asked for. */
export async function* loadSuite({ model, dtype, onNote, signal }: BenchOptions): AsyncGenerator<BenchRow, void, void> {
  const folder = resolveModelFolder(model);
  const bandwidth = readBandwidth();
  for (const format of dtype === undefined ? (['int8', 'bf16'] as const) : [dtype]) {
    signal?.throwIfAborted();
    const { report, loading, running } = await measure(folder, format, signal);
    const row = (what: string, unit: string, ours: number): BenchRow => ({
      suite: 'load',
      what: `${format}: ${what}`,
      unit,
      ours,
    });
    const gib = (what: string, bytes: number | undefined): BenchRow[] =>
      bytes === undefined ? [] : [row(what, 'GiB', bytes / GIB)];
    const perToken = report.completionTokens > 1 ? report.decodeMs / (report.completionTokens - 1) : undefined;
    const rate = perToken === undefined ? undefined : (bytesPerToken(folder, format) * 1000) / perToken;
    yield* [
      row('start to first computing', 's', report.startMs / 1000),
      row('processor time of it', 's', report.startCpuMs / 1000),
      ...gib('peak resident memory', report.peakKiB === null ? undefined : report.peakKiB * 1024),
      ...gib('while loading', loading?.resident),
      ...gib('while answering', running?.resident),
      ...gib('of it anonymous', running?.anonymous),
      ...gib('of it mapped files', running?.file),
      row('picture', 's', report.visionMs / 1000),
      row(`prompt of ${report.promptTokens} tokens`, 's', report.prefillMs / 1000),
      ...(perToken === undefined || rate === undefined
        ? []
        : [
            row('one token', 'ms', perToken),
            row('weights read while decoding', 'GB/s', rate / 1e9),
            row(`of ${(bandwidth / 1e9).toFixed(1)} GB/s that a sum reads`, '%', (100 * rate) / bandwidth),
          ]),
    ];
    onNote?.(`${format}: ${report.threads} threads, ${(report.cpuMs / 1000).toFixed(1)} s of processor time in all`);
  }
}
