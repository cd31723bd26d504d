/** Every language model, tokenizer and chat template agrees with the transformers library; `npm run parity` prints the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goldenLanguageModels, measureLanguage } from './language.js';

test('there is a golden language model of each type', () => {
  const models = goldenLanguageModels();
  for (const kind of ['qwen2', 'qwen3']) assert.ok(models.includes(kind), `${kind} is not among ${models.join(' ')}`);
});

for (const model of goldenLanguageModels()) {
  test(`${model} agrees with the reference`, async () => {
    const rows = await measureLanguage(model);
    assert.ok(rows.length >= 7, 'numbers, tokens and texts are compared');
    for (const { quantity, difference, bound, ok } of rows) {
      assert.ok(ok, `${quantity} differs by ${difference}, more than ${bound}`);
    }
  });
}
