/** Pictures in the frame of their coordinates: sizes of records against EXIF orientation, and what lies in a picture's place. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp from 'sharp';
import type { ImageConfig } from '../config/model.js';
import { planSquares } from '../images/squares.js';
import { type GoldenTokenizer, goldenTokenizer, readTextGolden } from '../text/golden.fixture.js';
import { SampleError } from './example.js';
import { isAsStored, type PreparedPicture, SampleReader } from './reader.js';
import type { PictureStore, Sample, Size } from './sample.js';

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
/** 12 x 6 pixels as stored: the left half red, the right half blue. */
const picture = (orientation?: number): Promise<Buffer> => {
  const blue = { create: { width: 6, height: 6, channels: 3, background: 'blue' } } as const;
  const plain = sharp({ create: { width: 12, height: 6, channels: 3, background: 'red' } }).composite([
    { input: blue, left: 6, top: 0 },
  ]);
  return (orientation === undefined ? plain : plain.withMetadata({ orientation })).png().toBuffer();
};

const files: Record<string, Uint8Array> = {
  'plain.png': await picture(),
  'turned.png': await picture(6),
  'over.png': await picture(3),
  'lfs.png': Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n'),
  'page.jpg': Buffer.from('<!DOCTYPE html><html></html>'),
  'error.jpg': Buffer.from('{"error":"Access denied"}'),
  'empty.jpg': Buffer.alloc(0),
};
const store: PictureStore = {
  read: async (key) => files[key]!,
  has: async (key) => key in files,
  close: async () => {},
};
const patchId = tokenizer.tokenToId('<im_patch>') as number;
const reader = new SampleReader(
  { sets: new Map(), stores: new Map([['images', store]]) },
  {
    text: { tokenizer, model: { imageTokens: { kind: 'bare', patchId } }, tokensPerImage: 4, maxLength: 200 },
    squares: planSquares([image]),
    overLong: 'error',
  },
);

const sampleOf = (key: string, size?: Size, box: readonly [number, number, number, number] = [0, 0, 6, 6]): Sample => ({
  id: 'own/1',
  where: 'own.jsonl, line 1',
  pictures: [{ store: 'images', key, size }],
  turns: [{ question: '<image> Where?', answer: '<boxes>', marks: [{ kind: 'boxes', picture: 0, boxes: [box] }] }],
});

async function frameOf(
  key: string,
  size?: Size,
): Promise<{ size: string; asStored: boolean; corner: string; answer: string }> {
  const { pictures, example } = await reader.prepare(sampleOf(key, size));
  const [prepared] = pictures as [PreparedPicture];
  const { width, height, data } = prepared.image;
  return {
    size: `${width} x ${height}`,
    asStored: isAsStored(prepared),
    corner: data[0]! > data[2]! ? 'red' : 'blue',
    answer: example.turns[0]!.answer,
  };
}

const stored = { width: 12, height: 6 };
const upright = { width: 6, height: 12 };

test('the frame whose size the record tells is that of the coordinates; without a size it is the upright one', async () => {
  // Left upper corner of 12 x 6 in a square of 12 with 3 above, and of 6 x 12 with 3 on the left.
  const wide = { size: '12 x 6', corner: 'red', answer: '[0.000,0.250,0.500,0.750]' };
  const high = { size: '6 x 12', corner: 'red', answer: '[0.250,0.000,0.750,0.500]' };
  assert.deepEqual(await frameOf('plain.png'), { ...wide, asStored: false });
  assert.deepEqual(await frameOf('plain.png', stored), { ...wide, asStored: false });
  assert.deepEqual(await frameOf('turned.png'), { ...high, asStored: false });
  assert.deepEqual(await frameOf('turned.png', upright), { ...high, asStored: false });
  assert.deepEqual(await frameOf('turned.png', stored), { ...wide, asStored: true });
  // Upside down, both frames have one size: a viewer's it is.
  assert.equal((await frameOf('over.png', stored)).corner, 'blue');
});

const fails = (sample: Sample, kind: SampleError['kind'], message: RegExp): Promise<void> =>
  assert.rejects(
    reader.prepare(sample),
    (error) => error instanceof SampleError && error.kind === kind && message.test(error.message),
    String(message),
  );

test('a size that is that of neither frame is a fault, and swapped sides are named', async () => {
  await fails(
    sampleOf('plain.png', upright),
    'picture-size',
    /plain\.png has 12 x 6 pixels, but the record says 6 x 12: its sides are swapped.*EXIF/,
  );
  await fails(sampleOf('plain.png', { width: 24, height: 12 }), 'picture-size', /the record says 24 x 12\.$/);
  await fails(sampleOf('turned.png', { width: 24, height: 12 }), 'picture-size', /has 6 x 12 pixels/);
});

test('boxes are judged and cut by the picture itself where the record tells no size', async () => {
  const { sample } = await reader.prepare(sampleOf('plain.png', undefined, [6, 3, 14, 9]));
  assert.deepEqual(sample.turns[0]!.marks, [{ kind: 'boxes', picture: 0, boxes: [[6, 3, 12, 6]] }]);
  await fails(
    sampleOf('plain.png', undefined, [13, 0, 20, 5]),
    'empty-box',
    /own\.jsonl, line 1: the box 13, 0, 20, 5 lies outside of the picture \(12 x 6\)/,
  );
});

test('what lies in the place of a picture is named', async () => {
  await fails(sampleOf('lfs.png'), 'picture', /images\/lfs\.png: this is a Git LFS pointer/);
  await fails(sampleOf('page.jpg'), 'picture', /page\.jpg: this is an HTML page/);
  await fails(sampleOf('error.jpg'), 'picture', /error\.jpg: this is an error message of a web server/);
  await fails(sampleOf('empty.jpg'), 'picture', /empty\.jpg: .*empty/);
});
