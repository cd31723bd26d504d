/** The suite `cache`: levels of a frozen encoder for one picture, computed and read back from the feature cache. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noGrad, randn, scope, type Tensor } from '@commlm/torch';
import { comm7b } from '../config/presets.js';
import { FeatureCache } from '../features/cache.js';
import { VisionModel } from '../models/fusion.js';
import { median } from './peer.js';
import type { BenchOptions, BenchRow } from './suite.js';

/** COMM-7B's first branch: all 24 levels of CLIP ViT-L/14 at 336 px in bf16, random weights; what is written is in the kernel's cache. */
export async function* featureCacheSuite({
  rounds,
  onNote,
  signal,
}: BenchOptions): AsyncGenerator<BenchRow, void, void> {
  const folder = mkdtempSync(join(tmpdir(), 'commlm-features-'));
  const { vision: config } = comm7b();
  using vision = new VisionModel({ ...config, encoders: config.encoders.slice(0, 1) });
  vision.to('bf16').requiresGrad_(false);
  try {
    using cache = FeatureCache.open(vision, { folder, maxBytes: 1e9 * rounds });
    const time = (pixels: readonly Tensor[]): number => {
      const start = performance.now();
      scope(() => {
        cache.encode(pixels);
      });
      return performance.now() - start;
    };
    const [computed, read]: [number[], number[]] = [[], []];
    for (let round = -1; round < rounds; round++) {
      signal?.throwIfAborted();
      scope(() =>
        noGrad(() => {
          const pixels = [randn([1, 3, 336, 336]).to('bf16')];
          computed.push(time(pixels));
          cache.flush();
          read.push(time(pixels));
        }),
      );
    }
    const megabytes = cache.stats.bytes / (rounds + 1) / 1e6;
    onNote?.(`one picture takes ${megabytes.toFixed(1)} MB`);
    const row = (what: string, ours: number): BenchRow => ({ suite: 'cache', what, unit: 'ms', ours });
    yield* [
      row('24 levels of ViT-L/14@336 in bf16: computed', median(computed.slice(1))),
      row('read from the cache', median(read.slice(1))),
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
