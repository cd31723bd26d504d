/** A short run of the fuzzer; `node tests/dist/fuzz/run.js` is the long one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz } from './fuzz.js';

test('500 damaged files give a value or a one-line error', async () => {
  const results = await fuzz(500, 2);
  assert.ok(results.length >= 11);
  for (const { reader, numRefused, faults } of results) {
    assert.deepEqual(faults, [], reader);
    assert.ok(numRefused > 0, reader);
  }
});
