/** The suite `cache`: pictures a second of a frozen encoder, computed and read back from the feature cache. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noGrad, randn, scope } from '@commlm/torch';
import { resolveLevels } from '../config/model.js';
import { comm7b, commTiny, TINY_VOCABULARY } from '../config/presets.js';
import { FeatureCache } from '../features/cache.js';
import { pictureKeys } from '../features/encoder-key.js';
import { buildEncoder } from '../models/encoders.js';
import { median } from './peer.js';
import { announce, type BenchOptions, type BenchRow, betweenSteps } from './suite.js';

/** Pictures a batch. */
const BATCH = 4;

/** Towers that are measured, random weights: COMM-7B's first one with all its levels, and comm-tiny's. */
const TOWERS = [
  { what: '24 levels of ViT-L/14@336 in bf16', dtype: 'bf16', config: () => comm7b().vision.encoders[0]! },
  {
    what: '12 levels of comm-tiny CLIP in f32',
    dtype: 'f32',
    config: () => commTiny(TINY_VOCABULARY).vision.encoders[0]!,
  },
] as const;

/** New batches of pictures each round: computed without a cache, computed and kept, and read; what is written is in the kernel's cache. */
export async function* featureCacheSuite(options: BenchOptions): AsyncGenerator<BenchRow, void, void> {
  for (const tower of TOWERS) yield* measure(tower, options);
}

async function* measure(
  { what, dtype, config }: (typeof TOWERS)[number],
  { rounds, onNote, onWait, signal }: BenchOptions,
): AsyncGenerator<BenchRow, void, void> {
  const folder = mkdtempSync(join(tmpdir(), 'commlm-features-'));
  const encoder = config();
  const { image, type } = encoder;
  const vit = buildEncoder(encoder);
  vit.to(dtype).requiresGrad_(false).eval();
  const levels = resolveLevels(encoder.levels, vit.config.numLayers);
  try {
    using cache = FeatureCache.open({ type, vit, image }, { folder, maxBytes: 1e12 });
    const before = cache.stats.bytes;
    const time = async (run: () => unknown): Promise<number> => {
      await betweenSteps(signal);
      const start = performance.now();
      scope(() => noGrad(() => void run()));
      return (1000 * BATCH) / (performance.now() - start);
    };
    const speeds: Record<'computed' | 'kept' | 'read', number[]> = { computed: [], kept: [], read: [] };
    for (let round = -1; round < rounds; round++) {
      const started = performance.now();
      using pixels = scope(() => randn([BATCH, 3, image.size, image.size]).to(dtype));
      const keys = scope(() => pictureKeys(pixels.to('f32').toArray() as Float32Array, BATCH));
      // All places come in order.
      const pictures = { keys, pixels: () => pixels };
      const computed = await time(() => vit.forward(pixels, levels));
      const kept = await time(() => {
        cache.encode(pictures, levels);
        cache.flush();
      });
      const read = await time(() => cache.encode(pictures, levels));
      if (round < 0) {
        announce(performance.now() - started, rounds, onWait);
        continue;
      }
      speeds.computed.push(computed);
      speeds.kept.push(kept);
      speeds.read.push(read);
    }
    const bytes = (cache.stats.bytes - before) / (BATCH * (rounds + 1));
    onNote?.(`${what}: one picture takes ${(bytes / 1e6).toFixed(2)} MB`);
    const row = (how: string, values: number[]): BenchRow => ({
      suite: 'cache',
      what: `${what}: ${how}`,
      unit: 'pictures/s',
      ours: median(values),
    });
    yield row('computed', speeds.computed);
    yield row('computed and kept on disk', speeds.kept);
    yield row('read and checked', speeds.read);
  } finally {
    vit.dispose();
    rmSync(folder, { recursive: true, force: true });
  }
}
