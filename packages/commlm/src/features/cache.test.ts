/** What the feature cache promises while nothing goes wrong: the same bits, one row a level, keys, its bound. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { cat, noGrad, scope, type Tensor } from '@commlm/torch';
import { expectNoLeak, maxRelDiff } from '@commlm/torch/testing';
import { pixelsOf, sampleEncoder, samplePictures, wantedOf } from './cache.fixture.js';
import { FeatureCache } from './cache.js';
import { pictureKeys } from './encoder-key.js';
import { pictureBytes } from './feature-bytes.js';

const root = mkdtempSync(join(tmpdir(), 'features-'));
after(() => rmSync(root, { recursive: true, force: true }));
const fresh = () => ({ folder: mkdtempSync(join(root, 'cache-')), maxBytes: 1e7 });

function expectSame(ours: readonly Tensor[], wanted: readonly Tensor[]): void {
  const facts = (maps: readonly Tensor[]): string[] => maps.map(({ shape, dtype }) => `${dtype} ${shape}`);
  assert.deepEqual(facts(ours), facts(wanted));
  for (const [l, map] of ours.entries()) assert.equal(maxRelDiff(map, wanted[l]!), 0, `level number ${l}`);
}

const rows = (maps: readonly Tensor[], ...places: number[]): Tensor[] =>
  maps.map((map) => cat(places.map((place) => map.narrow(0, place, 1))));

for (const dtype of ['bf16', 'f32'] as const) {
  test(`levels of a ${dtype} encoder come back bit for bit: computed, from memory, from disk, mixed in a batch`, () => {
    const encoder = sampleEncoder(dtype);
    const options = fresh();
    scope(() => {
      const levels = [1, 3];
      const wanted = wantedOf(encoder, [0, 1, 2], levels);
      {
        using cache = FeatureCache.open(encoder, options);
        expectSame(cache.encode(samplePictures([0, 1, 2]), levels), wanted);
        expectSame(cache.encode(samplePictures([0, 1, 2]), levels), wanted);
        assert.deepEqual([cache.stats.hits, cache.stats.misses], [3, 3]);
      }
      using again = FeatureCache.open(encoder, options);
      const asked: number[] = [];
      expectSame(again.encode(samplePictures([2, 0, 2], asked), levels), rows(wanted, 2, 0, 2));
      assert.deepEqual([again.stats.hits, again.stats.misses, asked.length], [3, 0, 0]);
      const mixed = again.encode(samplePictures([7, 1, 7], asked), levels);
      expectSame(rows(mixed, 1), rows(wanted, 1));
      expectSame(rows(mixed, 2), rows(mixed, 0));
      assert.deepEqual(asked, [7], 'each picture once');
    });
  });
}

test('a level is a row of its own: a missing one is added, and no deeper block runs for it', () => {
  const encoder = sampleEncoder();
  const options = fresh();
  scope(() => {
    {
      using cache = FeatureCache.open(encoder, options);
      cache.encode(samplePictures([0, 1]), [2]);
    }
    using cache = FeatureCache.open(encoder, options);
    const before = cache.stats.bytes;
    let ran = 0;
    for (const block of encoder.vit.blocks) {
      const { forward } = block;
      block.forward = (x, rope) => {
        ran++;
        return forward.call(block, x, rope);
      };
    }
    const asked: number[] = [];
    const maps = cache.encode(samplePictures([0, 1, 2], asked), [1, 2, 0]);
    assert.deepEqual(asked.sort(), [0, 1, 2]);
    // Pictures 0 and 1 lack levels 0 and 1: one block. Picture 2 lacks 2 as well: two.
    assert.equal(ran, 3);
    expectSame(maps, wantedOf(encoder, [0, 1, 2], [1, 2, 0]));
    cache.flush();
    const added = cache.stats.bytes - before;
    // Two levels of two pictures and three of one, and what headers of two shards take.
    const row = 16 * 24 * 4;
    assert.ok(added > 7 * row && added < 7 * row + 2 * 1024, `${added}`);
    cache.encode(samplePictures([0, 1, 2], asked), [2, 0]);
    assert.equal(cache.stats.misses, 3);
  });
});

test('the last level with and without the final norm are two rows', () => {
  const encoder = sampleEncoder();
  using cache = FeatureCache.open(encoder, fresh());
  scope(() => {
    const plain = cache.encode(samplePictures([0]), [3]);
    const normed = cache.encode(samplePictures([0]), [3], { applyFinalNorm: true });
    expectSame(plain, wantedOf(encoder, [0], [3]));
    expectSame(normed, [encoder.vit.norm.forward(plain[0]!)]);
    cache.encode(samplePictures([0]), [-1, 2], { applyFinalNorm: true });
    assert.equal(cache.stats.misses, 3, 'level 2 is computed, the others are there');
  });
});

test('kept in f16 or bf16, what is computed and what is read are the same rounded values; f16 refuses what it cannot hold', () => {
  for (const dtype of ['f16', 'bf16'] as const) {
    const encoder = sampleEncoder();
    const options = { ...fresh(), dtype };
    scope(() => {
      const wanted = wantedOf(encoder, [0], [1, 2]).map((map) => map.to(dtype));
      for (let run = 0; run < 2; run++) {
        using cache = FeatureCache.open(encoder, options);
        expectSame(cache.encode(samplePictures([0]), [1, 2]), wanted);
        assert.equal(cache.stats.misses, 1 - run);
      }
      if (dtype !== 'f16') return;
      noGrad(() => encoder.vit.blocks[0]!.mlp.fc2.bias!.add_(1e5));
      using cache = FeatureCache.open(encoder, options);
      assert.throws(() => cache.encode(samplePictures([0]), [1]), { code: 'features/range' });
    });
  }
});

test('other weights, preparation of pictures or dtype are another folder; other pixels another picture', () => {
  const options = fresh();
  const encoder = sampleEncoder();
  const missesOf = (changed: typeof encoder, more: { dtype?: 'bf16' } = {}): number => {
    using cache = FeatureCache.open(changed, { ...options, ...more });
    scope(() => void cache.encode(samplePictures([0]), [1]));
    return cache.stats.misses;
  };
  assert.equal(missesOf(encoder), 1);
  assert.equal(missesOf(encoder), 0);
  assert.equal(missesOf(encoder, { dtype: 'bf16' }), 1);
  assert.equal(missesOf({ ...encoder, image: { ...encoder.image, mean: [0, 0, 0] } }), 1);
  const { weight } = encoder.vit.blocks[2]!.mlp.fc1;
  scope(() => noGrad(() => weight.narrow(0, 0, 1).narrow(1, 0, 1).add_(1e-3)));
  assert.equal(missesOf(encoder), 1, 'one number of one weight');
  assert.equal(readdirSync(options.folder).length, 4);

  const square = new Uint8Array(2 * 12).fill(7);
  const [first, second] = pictureKeys(square, 2);
  assert.equal(first, second);
  square[23] = 8;
  assert.deepEqual([pictureKeys(square, 2)[0], pictureKeys(square, 2)[1] === second], [first, false]);
  assert.notEqual(pictureKeys(new Float32Array(3), 1)[0], pictureKeys(new Uint8Array(12), 1)[0]);
});

test('a full cache says so once, keeps what it has, and computes the rest without changing a number', () => {
  const encoder = sampleEncoder();
  const lines: string[] = [];
  const options = { ...fresh(), log: (line: string) => lines.push(line) };
  scope(() => {
    const room = (): number => {
      using empty = FeatureCache.open(encoder, options);
      return empty.stats.bytes + 2 * pictureBytes([16, 24], 2, 'f32');
    };
    const limited = { ...options, maxBytes: room() };
    const levels = [1, 2];
    {
      using cache = FeatureCache.open(encoder, limited);
      for (let round = 0; round < 2; round++) {
        for (const number of [0, 1, 2, 3]) {
          expectSame(cache.encode(samplePictures([number]), levels), wantedOf(encoder, [number], levels));
        }
      }
      assert.deepEqual([cache.stats.hits, cache.stats.misses], [2, 6]);
      expectSame(cache.encode(samplePictures([3, 1, 2]), levels), wantedOf(encoder, [3, 1, 2], levels));
    }
    using again = FeatureCache.open(encoder, limited);
    again.encode(samplePictures([0, 1]), levels);
    assert.deepEqual([again.stats.hits, again.stats.misses], [2, 0]);
    assert.ok(again.stats.bytes <= limited.maxBytes, `${again.stats.bytes} of ${limited.maxBytes}`);
  });
  assert.equal(lines.length, 1, lines.join('\n'));
  assert.match(lines[0]!, /is full.*comm\.features\.maxGB/);
});

test('pictures of another size are refused with a sentence', () => {
  using cache = FeatureCache.open(sampleEncoder(), fresh());
  scope(() => {
    const wide = pixelsOf([0, 1, 2, 3]);
    const pixels = cat([cat(wide.slice(0, 2), 2), cat(wide.slice(2), 2)], 3);
    assert.throws(() => cache.encode({ keys: ['0'.repeat(64)], pixels: () => pixels }, [1]), { code: 'features/size' });
  });
});

test('reading leaves nothing behind, and a folder holds what it belongs to', () => {
  const options = fresh();
  using cache = FeatureCache.open(sampleEncoder(), options);
  const pictures = samplePictures([0, 1]);
  const step = (): void => scope(() => void cache.encode(pictures, [1, 2]));
  step();
  cache.flush();
  expectNoLeak(step);
  const [set] = readdirSync(options.folder);
  assert.match(set!, /^clip-[0-9a-f]{32}$/);
  assert.ok(statSync(join(options.folder, set!, 'encoder.json')).isFile());
});
