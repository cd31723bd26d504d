/** Prepared pictures stack into one tensor. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scope } from '@commlm/torch';
import type { ImageConfig } from '../config/model.js';
import { noisePicture } from './golden.js';
import { preprocess } from './preprocess.js';
import { toTensor } from './to-tensor.js';

test('pictures of one size become float[B, 3, S, S]', () => {
  scope(() => {
    const config: ImageConfig = {
      size: 6,
      fit: 'stretch',
      shortSide: null,
      padColor: null,
      resample: 'bicubic',
      mean: [0, 0, 0],
      std: [1, 1, 1],
    };
    const images = [1, 2].map((seed) => preprocess(noisePicture(9, 4, seed), config));
    const pixels = toTensor(images);
    assert.deepEqual([...pixels.shape], [2, 3, 6, 6]);
    assert.deepEqual([...pixels.select(0, 1).flatten().toArray()], [...(images[1]?.pixels ?? [])]);
    assert.equal(toTensor(images, { dtype: 'bf16' }).dtype, 'bf16');
    assert.throws(() => toTensor([]), TypeError);
    const smaller = preprocess(noisePicture(3, 3, 1), { ...config, size: 3 });
    assert.throws(() => toTensor([images[0] as typeof smaller, smaller]), TypeError);
  });
});
