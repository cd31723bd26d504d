/** Rows of one cache at positions of their own: they join, run ahead, are cut back, and read like each alone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cat, manualSeed, noGrad, randint, scope, type Tensor } from '@commlm/torch';
import { expectNoLeak, expectRounded } from '@commlm/torch/testing';
import { CommError } from '../config/errors.js';
import { KvCache } from './kv-cache.js';
import { Llama } from './llama.js';
import { SMALL_LLAMA_ROUNDING, smallLlama } from './sample-configs.fixture.js';

function build(changes: Parameters<typeof smallLlama>[0] = {}): Llama {
  manualSeed(5);
  const model = new Llama(smallLlama(changes));
  noGrad(() => {
    for (const parameter of model.parameters()) if (parameter.ndim > 1) parameter.mul_(10);
  });
  return model.requiresGrad_(false);
}

const close = (actual: Tensor, expected: Tensor): void => expectRounded(actual, expected, SMALL_LLAMA_ROUNDING);

/** Columns `start` to `end` of some rows, each from a place of its own. */
const pieces = (ids: Tensor, starts: readonly number[], length: number): Tensor =>
  cat(
    starts.map((start, row) => ids.narrow(0, row, 1).narrow(1, start, length)),
    0,
  );

const variants: Record<string, Parameters<typeof smallLlama>[0]> = {
  plain: {},
  'one key head': { numKvHeads: 1 },
  'a window in every layer': { slidingWindow: { size: 3, layers: 'all' } },
  'a window in one layer': { slidingWindow: { size: 4, layers: [1] } },
};

for (const [name, changes] of Object.entries(variants)) {
  test(`rows at positions of their own read like each alone: ${name}`, () => {
    scope(() => {
      using model = build(changes);
      const ids = randint(6, 48, [3, 16], { dtype: 'i64' });
      const whole = model.forward(ids);
      const wanted = (row: number, end: number, count = 1): Tensor =>
        whole.select(0, row).narrow(0, end - count, count);
      // Capacity 4 makes the cache grow while rows are uneven.
      using cache = new KvCache(model.config, { batch: 3, capacity: 4, dtype: 'f32' });
      // Prompts of 3, 7 and 5 tokens, padded behind; the last two logits of each.
      const prefill = model.lastLogits(ids.narrow(1, 0, 7), 2, { cache, counts: [3, 7, 5] });
      for (const [row, end] of [3, 7, 5].entries()) close(prefill.select(0, row), wanted(row, end, 2));
      assert.deepEqual([cache.lengths, cache.length], [[3, 7, 5], 7]);
      // Single tokens, then three at once as a look-up would try them, of which rows keep 1, 3 and 2.
      const single = model.nextLogits(pieces(ids, [3, 7, 5], 1), { cache });
      for (const [row, end] of [4, 8, 6].entries()) close(single.select(0, row), wanted(row, end).squeeze(0));
      const tried = model.lastLogits(pieces(ids, [4, 8, 6], 3), 3, { cache });
      for (const [row, end] of [7, 11, 9].entries()) close(tried.select(0, row), wanted(row, end, 3));
      cache.truncate([5, 11, 8]);
      const behind = model.nextLogits(pieces(ids, [5, 11, 8], 1), { cache });
      for (const [row, end] of [6, 12, 9].entries()) close(behind.select(0, row), wanted(row, end).squeeze(0));
      // Rows leave, and one that waits stays where it is.
      cache.selectRows([2, 0]);
      assert.deepEqual(cache.lengths, [9, 6]);
      const waits = { cache, counts: [1, 0] };
      const one = model.nextLogits(
        cat([ids.narrow(0, 2, 1).narrow(1, 9, 1), ids.narrow(0, 1, 1).narrow(1, 0, 1)]),
        waits,
      );
      close(one.select(0, 0), wanted(2, 10).squeeze(0));
      const both = model.nextLogits(cat([ids.narrow(0, 2, 1).narrow(1, 10, 1), ids.narrow(0, 0, 1).narrow(1, 6, 1)]), {
        cache,
      });
      close(both.select(0, 0), wanted(2, 11).squeeze(0));
      close(both.select(0, 1), wanted(0, 7).squeeze(0));
      assert.throws(() => cache.truncate([11, 8]), CommError);
    });
  });
}

test('uneven rows leave no tensor behind', () => {
  using model = build();
  expectNoLeak(() =>
    scope(() => {
      using cache = new KvCache(model.config, { batch: 2, capacity: 2, dtype: 'f32' });
      const ids = randint(6, 48, [2, 5], { dtype: 'i64' });
      model.lastLogits(ids, 1, { cache, counts: [2, 5] });
      for (let i = 0; i < 3; i++) model.nextLogits(ids.narrow(1, i, 1), { cache });
    }),
  );
});
