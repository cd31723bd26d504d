/** The benchmark suites: what each measures on this machine, beside a peer where one is installed. */
import { memoryStats, noGrad, numThreads, ones, randn, scope } from '@commlm/torch';
import { clipViTL14 } from '../config/presets.js';
import type { Answer, AskRequest } from '../generate/answer.js';
import { buildEncoder } from '../models/encoders.js';
import { featureCacheSuite } from './feature-cache.js';
import { loadSuite } from './load.js';
import { compare, median, Peer } from './peer.js';
import { BENCH_QUESTION, samplePicture } from './sample.js';
import { announce, type BenchOptions, type BenchRow, type Suite } from './suite.js';
import { trainSuite } from './train.js';

/** All suites in the order they run. */
export const SUITES: Readonly<Record<string, { readonly summary: string; readonly run: Suite }>> = {
  call: { summary: "cost of one operator call from JavaScript, beside Python's torch", run: callSuite },
  vit: { summary: 'ViT-L/14@336 forward in f32, random weights, beside transformers', run: vitSuite },
  tiny: { summary: 'load time, prompt and tokens a second of the embedded model', run: tinySuite },
  memory: { summary: 'many generations: resident memory and live tensors', run: memorySuite },
  load: {
    summary: 'a model opened and asked once: start, resident memory, share of the memory bandwidth',
    run: loadSuite,
  },
  cache: {
    summary: 'pictures a second of a frozen encoder: computed, and read from the feature cache',
    run: featureCacheSuite,
  },
  train: { summary: 'training steps with recompute, beside transformers: time, memory, losses', run: trainSuite },
};

async function beside(
  suite: 'call' | 'vit',
  name: string,
  options: BenchOptions,
  ours: () => number,
): Promise<Pick<BenchRow, 'ours' | 'peer' | 'ratio'>> {
  const started = await Peer.start(options.python, suite, numThreads(), { signal: options.signal });
  if (typeof started === 'string') {
    const alone = await compare(ours, undefined, options);
    return { ours: alone.ours, peer: { name, note: started } };
  }
  using peer = started;
  if (peer.info.threads !== numThreads()) {
    throw new Error(
      `the peer runs ${peer.info.threads} threads and we ${numThreads()}: the figures could not be compared`,
    );
  }
  const versions = Object.entries(peer.info.versions).map(([library, version]) => `${library} ${version}`);
  const result = await compare(ours, peer, options);
  return {
    ours: result.ours,
    peer: { name: versions.join(', '), value: result.peer as number },
    // The median of the ratios of neighbouring measurements: a slow moment of the machine hits both sides.
    ratio: median(result.ratios),
  };
}

const scaled = (
  row: Pick<BenchRow, 'ours' | 'peer' | 'ratio'>,
  factor: number,
): Pick<BenchRow, 'ours' | 'peer' | 'ratio'> => ({
  ...row,
  ours: row.ours * factor,
  peer: row.peer?.value === undefined ? row.peer : { ...row.peer, value: row.peer.value * factor },
});

const seconds = (work: () => void): number => {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
};

/** a.add(b) of four elements, the release of its result included (Python's reference count does the same). */
async function* callSuite(options: BenchOptions): AsyncGenerator<BenchRow, void, void> {
  const numCalls = 20_000;
  const perScope = 100;
  const [a, b] = [ones([4]), ones([4])];
  try {
    const run = (): number =>
      seconds(() => {
        for (let i = 0; i < numCalls; i += perScope) {
          scope(() => {
            for (let j = 0; j < perScope; j++) a.add(b);
          });
        }
      }) / numCalls;
    const row = await beside('call', 'Python torch', options, run);
    yield { suite: 'call', what: 'add of two float[4]', unit: 'µs', ...scaled(row, 1e6) };
  } finally {
    a.dispose();
    b.dispose();
  }
}

async function* vitSuite(options: BenchOptions): AsyncGenerator<BenchRow, void, void> {
  const encoder = buildEncoder({ type: 'clip', vit: clipViTL14() });
  const pixels_BCHW = randn([1, 3, 336, 336]);
  try {
    encoder.requiresGrad_(false).eval();
    const run = (): number =>
      seconds(() =>
        scope(() =>
          noGrad(() => {
            encoder.forwardTokens(pixels_BCHW);
          }),
        ),
      );
    const row = await beside('vit', 'transformers', options, run);
    yield { suite: 'vit', what: 'CLIP ViT-L/14@336, one picture, f32', unit: 'ms', ...scaled(row, 1e3) };
  } finally {
    encoder.dispose();
    pixels_BCHW.dispose();
  }
}

async function* tinySuite(options: BenchOptions): AsyncGenerator<BenchRow, void, void> {
  const request: AskRequest = { question: BENCH_QUESTION, maxNewTokens: 64 };
  const answers: Answer[] = [];
  const { loadModel } = await import('../generate/load.js');
  using session = await loadModel(options.model);
  for (let round = -1; round < options.rounds; round++) {
    options.signal?.throwIfAborted();
    // A new picture each time: the features of an old one would come from the cache.
    const asked = { ...request, images: [samplePicture(256, 192, round + 1)] };
    const answer = await session.ask(asked, { signal: options.signal });
    if (round >= 0) answers.push(answer);
  }
  const of = (value: (answer: Answer) => number): number => median(answers.map(value));
  const row = (what: string, unit: string, ours: number): BenchRow => ({ suite: 'tiny', what, unit, ours });
  const speeds = answers.filter(({ usage }) => usage.completionTokens > 1);
  yield* [
    row(
      'load the model (libtorch included)',
      'ms',
      of((answer) => answer.timings.loadMs),
    ),
    row(
      'picture: decode, resize, encode',
      'ms',
      of((answer) => answer.timings.visionMs),
    ),
    row(
      `prompt of ${answers[0]?.usage.promptTokens ?? 0} tokens`,
      'ms',
      of((answer) => answer.timings.prefillMs),
    ),
    ...(speeds.length === 0
      ? []
      : [
          row(
            'decoding',
            'tokens/s',
            median(speeds.map(({ usage, timings }) => (1000 * (usage.completionTokens - 1)) / timings.decodeMs)),
          ),
        ]),
  ];
}

/** Pictures kept by the session of the suite `memory`: few, so that its cache is full long before the first sample. */
const MEMORY_CACHE_BYTES = 2 ** 20;

async function* memorySuite(options: BenchOptions): AsyncGenerator<BenchRow, void, void> {
  const { generations, onNote, onWait, signal } = options;
  const { loadModel } = await import('../generate/load.js');
  using session = await loadModel(options.model, { imageCacheBytes: MEMORY_CACHE_BYTES });
  const every = Math.max(1, Math.floor(generations / 10));
  const samples: MemorySample[] = [];
  for (let i = 1; i <= generations; i++) {
    signal?.throwIfAborted();
    const started = performance.now();
    await session.ask({ question: BENCH_QUESTION, images: [samplePicture(160, 120, i)], maxNewTokens: 16 }, { signal });
    // The first ones fill caches; they are slower than the rest.
    if (i === 3) announce(performance.now() - started, generations - i, onWait);
    if (i % every !== 0) continue;
    const sample = sampleMemory();
    samples.push(sample);
    const { resident, native, live } = sample;
    onNote?.(
      `after ${i} generations: ${resident.toFixed(1)} MiB resident, ${native.toFixed(1)} MiB outside of the JavaScript heap, ${live} live tensors`,
    );
  }
  const first = samples[0]!;
  const last = samples.at(-1) as MemorySample;
  const row = (what: string, unit: string, ours: number): BenchRow => ({ suite: 'memory', what, unit, ours });
  // The first tenth fills caches and pools; growth is counted from there.
  yield* [
    row(`resident after ${generations} generations`, 'MiB', last.resident),
    row(`growth since generation ${every}`, 'MiB', last.resident - first.resident),
    row('of it outside of the JavaScript heap', 'MiB', last.native - first.native),
    row(`live tensors more than at generation ${every}`, 'tensors', last.live - first.live),
  ];
}

interface MemorySample {
  /** MiB. */
  readonly resident: number;
  /** MiB outside of the JavaScript heap, which V8 widens in steps as it likes. */
  readonly native: number;
  readonly live: number;
}

function sampleMemory(): MemorySample {
  globalThis.gc?.();
  const { rss, heapTotal } = process.memoryUsage();
  return { resident: rss / 2 ** 20, native: (rss - heapTotal) / 2 ** 20, live: memoryStats().liveTensors };
}
