/** One load and one answer in a process of its own, whose memory the suite `load` watches. Prints one line of JSON. */
import { numThreads } from '@commlm/torch';
import type { WantedFormat } from '../weights/formats.js';
import { peakKiB } from './resident.js';
import { BENCH_QUESTION, samplePicture } from './sample.js';

/** What the child measures; the rest comes from watching it. */
export interface LoadReport {
  /** From the start of the process until the model is ready to compute its first operator. */
  readonly startMs: number;
  /** Processor time of all threads until then. */
  readonly startCpuMs: number;
  readonly visionMs: number;
  readonly prefillMs: number;
  readonly decodeMs: number;
  readonly cpuMs: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly threads: number;
  /** The kernel's own peak of the resident memory, in KiB; null where there is no /proc. */
  readonly peakKiB: number | null;
}

const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

const [model, dtype, maxNewTokens] = process.argv.slice(2) as [string, WantedFormat, string];
const { loadModel } = await import('../generate/load.js');
using session = await loadModel(model, { dtype });
const [startMs, startCpuMs] = [performance.now(), cpuMs()];
process.stderr.write('ready\n');
const { timings, usage } = await session.ask({
  question: BENCH_QUESTION,
  images: [samplePicture(640, 480)],
  maxNewTokens: Number(maxNewTokens),
});
const report: LoadReport = {
  startMs,
  startCpuMs,
  visionMs: timings.visionMs,
  prefillMs: timings.prefillMs,
  decodeMs: timings.decodeMs,
  cpuMs: cpuMs(),
  promptTokens: usage.promptTokens,
  completionTokens: usage.completionTokens,
  threads: numThreads(),
  peakKiB: peakKiB(),
};
process.stdout.write(`${JSON.stringify(report)}\n`);
