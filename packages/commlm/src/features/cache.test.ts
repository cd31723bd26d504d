/** The cache of features: its keys, shards that a killed run leaves, and its bound. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { cat, manualSeed, noGrad, randn, scope, type Tensor } from '@commlm/torch';
import { expectNoLeak, maxRelDiff } from '@commlm/torch/testing';
import { CommError } from '../config/errors.js';
import { CommConfig, parseConfig } from '../config/model.js';
import { Comm } from '../models/comm.js';
import { smallComm } from '../models/sample-configs.fixture.js';
import { FeatureCache } from './cache.js';

const root = mkdtempSync(join(tmpdir(), 'features-'));
after(() => rmSync(root, { recursive: true, force: true }));
const fresh = (): string => mkdtempSync(join(root, 'cache-'));

function build(dtype: 'f32' | 'bf16' = 'bf16'): Comm {
  manualSeed(3);
  const model = new Comm(parseConfig(CommConfig, smallComm()));
  model.to(dtype).requiresGrad_(false);
  return model;
}

const pixels = (count: number): Tensor[] => [0, 1].map(() => randn([count, 3, 32, 32]).to('bf16'));
const only = (images: readonly Tensor[], ...rows: number[]): Tensor[] =>
  images.map((image) => cat(rows.map((row) => image.narrow(0, row, 1))));

function expectSame(ours: readonly (readonly Tensor[])[], wanted: readonly (readonly Tensor[])[]): void {
  assert.deepEqual(
    ours.map((maps) => maps.map(({ shape, dtype }) => `${dtype} ${shape}`)),
    wanted.map((maps) => maps.map(({ shape }) => `bf16 ${shape}`)),
  );
  for (const [i, maps] of ours.entries()) {
    for (const [l, map] of maps.entries()) assert.equal(maxRelDiff(map, wanted[i]![l]!.to('bf16')), 0, `${i} ${l}`);
  }
}

for (const dtype of ['bf16', 'f32'] as const) {
  test(`levels of ${dtype} encoders come back bit for bit: computed, from memory, from disk, mixed in a batch`, () => {
    using model = build(dtype);
    const options = { folder: fresh(), maxBytes: 1e7 };
    scope(() => {
      const images = pixels(3);
      const wanted = noGrad(() => model.vision.encode(images));
      {
        using cache = FeatureCache.open(model.vision, options);
        expectSame(cache.encode(images), wanted);
        assert.deepEqual([cache.stats.hits, cache.stats.misses], [0, 3]);
        expectSame(cache.encode(images), wanted);
        assert.deepEqual([cache.stats.hits, cache.stats.misses], [3, 3]);
      }
      using again = FeatureCache.open(model.vision, options);
      const known = again.encode(only(images, 2, 0, 2));
      expectSame(
        known,
        wanted.map((maps) => only(maps, 2, 0, 2)),
      );
      assert.deepEqual([again.stats.hits, again.stats.misses], [3, 0]);
      const [first, second] = [again.encode(images), pixels(2)];
      expectSame(first, wanted);
      const both = second.map((image, i) => cat([image, images[i]!.narrow(0, 1, 1), image.narrow(0, 0, 1)]));
      const mixed = again.encode(both);
      expectSame(
        mixed.map((maps) => only(maps, 2)),
        wanted.map((maps) => only(maps, 1)),
      );
      expectSame(
        mixed.map((maps) => only(maps, 3)),
        mixed.map((maps) => only(maps, 0)),
      );
      assert.equal(again.stats.misses, 2);
    });
  });
}

test('other weights, levels or pixels are other features', () => {
  using model = build();
  const options = { folder: fresh(), maxBytes: 1e7 };
  scope(() => {
    const images = pixels(1);
    using cache = FeatureCache.open(model.vision, options);
    cache.encode(images);
    cache.flush();
    noGrad(() => images[1]!.narrow(3, 31, 1).add_(1));
    cache.encode(images);
    assert.equal(cache.stats.misses, 2);
    noGrad(() => model.vision.encoders[1]!.vit.blocks[0]!.mlp.fc1.weight.add_(0.1));
    using other = FeatureCache.open(model.vision, options);
    other.encode(images);
    assert.deepEqual([other.stats.hits, other.stats.misses], [0, 1]);
    assert.equal(readdirSync(options.folder).length, 2);
  });
});

test('full shards are written as they come; a killed run keeps them and a half-written file is no shard', () => {
  using model = build();
  const options = { folder: fresh(), maxBytes: 1e7, shardBytes: 2 * 16 * 24 * 5 * 2 };
  scope(() => {
    const images = pixels(5);
    const killed = FeatureCache.open(model.vision, options);
    for (let i = 0; i < 5; i++) killed.encode(only(images, i));
    const [set] = readdirSync(options.folder);
    writeFileSync(join(options.folder, set!, 'half.safetensors.abc.tmp'), 'half');
    using resumed = FeatureCache.open(model.vision, options);
    resumed.encode(images);
    assert.deepEqual([resumed.stats.hits, resumed.stats.misses], [4, 1]);
    writeFileSync(join(options.folder, set!, 'bad.safetensors'), 'damaged');
    assert.throws(
      () => FeatureCache.open(model.vision, options),
      (error) => error instanceof CommError && error.message.includes('bad.safetensors'),
    );
    killed.close();
  });
});

test('a full cache says so, and what it holds is still read', () => {
  using model = build();
  const options = { folder: fresh(), maxBytes: 10_000 };
  scope(() => {
    const images = pixels(3);
    using cache = FeatureCache.open(model.vision, options);
    cache.encode(only(images, 0));
    cache.encode(only(images, 1));
    assert.throws(
      () => cache.encode(only(images, 2)),
      (error) => error instanceof CommError && error.code === 'train/feature-cache-full',
    );
    cache.encode(only(images, 1, 0));
  });
});

test('reading leaves nothing behind', () => {
  using model = build();
  const images = scope(() => pixels(2));
  using cache = FeatureCache.open(model.vision, { folder: fresh(), maxBytes: 1e7 });
  const step = (): void =>
    scope(() => {
      cache.encode(images);
    });
  step();
  cache.flush();
  expectNoLeak(step);
});
