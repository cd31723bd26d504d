/** Every encoder and language model agrees with the transformers library; `npm run parity` prints the same as a table. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goldenModels, measure } from './measure.js';

test('there is a golden model of each kind', () => {
  const models = goldenModels().join(' ');
  for (const kind of ['clip', 'dinov2', 'dinov2-registers', 'dinov2-resized', 'llama', 'llama-gqa-tied']) {
    assert.ok(models.split(' ').includes(kind), `${kind} is not among ${models}`);
  }
});

for (const model of goldenModels()) {
  test(`${model} agrees with the reference`, () => {
    const rows = measure(model);
    assert.ok(rows.length >= 5, 'f32 and bf16 outputs and f32 gradients are compared');
    for (const { dtype, quantity, difference, bound, ok } of rows) {
      assert.ok(ok, `${quantity} in ${dtype} differs by ${difference}, more than ${bound}`);
    }
  });
}
