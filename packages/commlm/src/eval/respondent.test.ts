/** What a model is shown: the frame that a question's coordinates are in. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp from 'sharp';
import type { BatchAnswerer } from '../generate/answer.js';
import { ModelRespondent } from './respondent.js';

type Shown = Uint8Array | { readonly width: number; readonly height: number; readonly data: Uint8Array };

/** A camera's picture, held sideways: stored 60 x 40, shown 40 x 60; the left half is white as stored. */
async function sideways(): Promise<Uint8Array> {
  const white = {
    input: { create: { width: 30, height: 40, channels: 3, background: '#fff' } },
    left: 0,
    top: 0,
  } as const;
  return await sharp({ create: { width: 60, height: 40, channels: 3, background: '#000' } })
    .composite([white])
    .withMetadata({ orientation: 6 })
    .png()
    .toBuffer();
}

/** What reaches the model for one question. */
async function shownFor(size: { width: number; height: number } | undefined, blind = false): Promise<Shown> {
  const shown: Shown[] = [];
  const model = {
    askBatch: (requests: readonly { images: readonly Shown[] }[]) => {
      for (const { images } of requests) shown.push(...images);
      return Promise.resolve(requests.map(() => ({ answer: '', finishReason: 'stop' })));
    },
  } as unknown as BatchAnswerer;
  const respondent = new ModelRespondent(model, 4, {} as never);
  const question = { id: 7, text: 'Where?', picture: sideways, size, blind };
  for await (const replies of respondent.answer([question])) assert.equal(replies.length, 1);
  return shown[0]!;
}

const sizeOf = (shown: Shown): string =>
  shown instanceof Uint8Array ? 'as the file is' : `${shown.width} x ${shown.height}`;
const firstPixels = (shown: Shown): number[] => [...(shown as { data: Uint8Array }).data.subarray(0, 3)];

test('coordinates say whether a turned picture is shown as stored or upright', async () => {
  assert.equal(sizeOf(await shownFor(undefined)), 'as the file is');
  const stored = await shownFor({ width: 60, height: 40 });
  assert.equal(sizeOf(stored), '60 x 40');
  assert.deepEqual(firstPixels(stored), [255, 255, 255]);
  assert.equal(sizeOf(await shownFor({ width: 40, height: 60 })), '40 x 60');
});

test('a copy at another scale will do, another shape is refused by the question', async () => {
  assert.equal(sizeOf(await shownFor({ width: 401, height: 600 })), '40 x 60');
  await assert.rejects(shownFor({ width: 64, height: 48 }), {
    code: 'eval/picture-size',
    message: /^Question 7 cannot be answered: its picture has 40 x 60 pixels, but its coordinates are for 64 x 48\.$/,
  });
});

test('a grey picture has the sides of the one whose place it takes', async () => {
  const grey = await shownFor({ width: 60, height: 40 }, true);
  assert.equal(sizeOf(grey), '60 x 40');
  assert.deepEqual(firstPixels(grey), [128, 128, 128]);
});
