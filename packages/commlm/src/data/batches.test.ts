/** Batches: in order from any start, padded or packed, grouped by length. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp from 'sharp';
import { CommError } from '../config/errors.js';
import { concat } from '../config/mixture.js';
import type { ImageConfig } from '../config/model.js';
import type { SkipConfig } from '../config/skip.js';
import { planSquares } from '../images/squares.js';
import { type GoldenTokenizer, goldenTokenizer, readTextGolden } from '../text/golden.fixture.js';
import { type BatchSettings, MixtureBatches } from './batches.js';
import { SampleError } from './example.js';
import { Mixture } from './mixture.js';
import { SampleReader } from './reader.js';
import type { DataSet, PictureStore } from './sample.js';

const tokenizer = goldenTokenizer(
  readTextGolden<GoldenTokenizer[]>('tokenizers').find(({ name }) => name === 'own') as GoldenTokenizer,
);
const image: ImageConfig = {
  size: 8,
  fit: 'pad',
  shortSide: null,
  padColor: [255, 255, 255],
  resample: 'bicubic',
  mean: [0.5, 0.5, 0.5],
  std: [0.5, 0.5, 0.5],
};
const png = (width: number, height: number): Promise<Buffer> =>
  sharp({ create: { width, height, channels: 3, background: 'red' } })
    .png()
    .toBuffer();
const good = await png(12, 6);

const LENGTH = 40;
/** Pictures of one colour; that of `broken` samples is none. */
function makeSet(name: string, broken: readonly number[] = []): DataSet {
  return {
    name,
    length: LENGTH,
    sample: (index, draw) => ({
      id: `${name}/${index}`,
      where: `${name}.jsonl:${index + 1}`,
      pictures:
        index % 4 === 3 ? [] : [{ store: 'images', key: broken.includes(index) ? 'broken' : `${name}${index}` }],
      turns: [
        {
          question: `${index % 4 === 3 ? '' : '<image>'} what is number ${draw % 2}?${' and more'.repeat(index % 7)}`,
          answer: `The answer is ${index}.`,
          marks: [],
        },
      ],
    }),
  };
}
const store: PictureStore = {
  read: async (key) => {
    if (key === 'broken') throw new CommError('images has no "broken".', { code: 'data/picture' });
    return good;
  },
  has: async (key) => key !== 'broken',
  close: async () => {},
};

const SKIP: SkipConfig = {
  picture: 'skip',
  malformed: 'error',
  'empty-box': 'skip',
  'picture-size': 'error',
  'image-count': 'error',
  'too-long': 'error',
  untrained: 'error',
  limit: 10,
};

function open(sets: readonly DataSet[], settings: Partial<BatchSettings> = {}): MixtureBatches {
  const sizes = new Map(sets.map(({ name, length }) => [name, length]));
  const patchId = tokenizer.tokenToId('<im_patch>') as number;
  const reader = new SampleReader(
    { sets: new Map(sets.map((set) => [set.name, set])), stores: new Map([['images', store]]) },
    {
      text: { tokenizer, model: { imageTokens: { kind: 'bare', patchId } }, tokensPerImage: 4, maxLength: 200 },
      squares: planSquares([image, { ...image, mean: [0, 0, 0] }]),
      overLong: 'error',
    },
  );
  const mixture = new Mixture(concat(...sets.map(({ name }) => name)), sizes, { seed: 1, shuffle: true });
  return new MixtureBatches(mixture, sizes, reader, {
    batchSize: 4,
    packing: 'pad',
    maxLength: 200,
    padId: 0,
    groupBatches: 1,
    tokensPerImage: 4,
    skip: SKIP,
    seed: 1,
    ...settings,
  });
}

test('two encoders that differ in mean alone share one square', () => {
  const plan = planSquares([image, { ...image, mean: [0, 0, 0] }, { ...image, size: 16 }]);
  assert.deepEqual([plan.squares.length, plan.encoders], [2, [0, 0, 1]]);
});

test('batch k is the same whatever came before, padded and packed, in groups of like length', async () => {
  for (const settings of [{}, { packing: 'pack' as const }, { groupBatches: 5 }]) {
    const first = open([makeSet('a'), makeSet('b')], settings);
    const ids: BigInt64Array[] = [];
    for (let k = 0; k < 8; k++) ids.push((await first.batch(k)).rows.ids);
    const again = open([makeSet('a'), makeSet('b')], settings);
    for (const k of [7, 2, 5]) assert.deepEqual((await again.batch(k)).rows.ids, ids[k], JSON.stringify(settings));
  }
});

test('an epoch of batches has every sample once; groups pad less', async () => {
  const padding = async (groupBatches: number): Promise<number> => {
    const batches = open([makeSet('a'), makeSet('b')], { groupBatches });
    const seen: string[] = [];
    let padded = 0;
    for (let k = 0; k < (2 * LENGTH) / 4; k++) {
      const { samples, rows } = await batches.batch(k);
      seen.push(...samples.map(({ sample }) => sample.id));
      padded += rows.segments.filter((segment) => segment < 0).length;
    }
    assert.equal(new Set(seen).size, 2 * LENGTH);
    return padded;
  };
  const [plain, grouped] = [await padding(1), await padding(10)];
  assert.ok(grouped < plain / 2, `${grouped} padding tokens in groups, ${plain} without`);
});

test('a broken picture is replaced by the next sample of its set and told', async () => {
  const batches = open([makeSet('a', [5, 6]), makeSet('b')], { batchSize: 80 });
  const { samples, skipped } = await batches.batch(0);
  const ids = samples.map(({ sample }) => sample.id);
  assert.ok(!ids.includes('a/5') && !ids.includes('a/6'));
  // 5 is replaced by 6, which is broken too, then by 7, which has no picture; so is 6.
  assert.equal(ids.filter((id) => id === 'a/7').length, 3);
  assert.deepEqual(skipped.map(({ sample }) => sample).sort(), ['a/5', 'a/6', 'a/6']);
  assert.match(skipped[0]!.message, /^a\.jsonl:\d: images has no "broken"\.$/);
  assert.equal(ids.filter((id) => id.startsWith('b/')).length, 40, 'the shares stay');
});

test('faults that the recipe does not skip, and sets without a usable sample, stop it', async () => {
  const strict = open([makeSet('a', [5])], { batchSize: 40, skip: { ...SKIP, picture: 'error' } });
  await assert.rejects(strict.batch(0), (error) => error instanceof SampleError && error.kind === 'picture');
  const all = open(
    [
      makeSet(
        'a',
        Array.from({ length: LENGTH }, (_, i) => i),
      ),
    ].map((set) => ({ ...set, length: 3 })),
  );
  await assert.rejects(all.batch(0), { code: 'data/all-skipped', message: /3 samples in a row/ });
});
