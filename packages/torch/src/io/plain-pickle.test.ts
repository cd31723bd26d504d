/** Plain pickles from memory: every protocol gives the same value, and what is no data or too much is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readPlainPickle } from '@commlm/torch/files';

const read = (bytes: Uint8Array, maxValues = 1000): unknown =>
  readPlainPickle(bytes, {
    fail: (why) => {
      throw new RangeError(why);
    },
    maxValues,
  });

/** `[{'ref_id': 5, 'sent': 'caf\u00e9', 'box': (1.5, -2)}]`, pickled by Python's own module. */
const SAMPLES: Readonly<Record<string, string>> = {
  'protocol 0': '(lp0\n(dp1\nVref_id\np2\nI5\nsVsent\np3\nVcaf\u00e9\np4\nsVbox\np5\n(F1.5\nI-2\ntp6\nsa.',
  'protocol 2':
    '\x80\x02]q\x00}q\x01(X\x06\x00\x00\x00ref_idq\x02K\x05X\x04\x00\x00\x00sentq\x03X\x05\x00\x00\x00caf\xc3\xa9q\x04X\x03\x00\x00\x00boxq\x05G?\xf8\x00\x00\x00\x00\x00\x00J\xfe\xff\xff\xff\x86q\x06ua.',
};

for (const [name, text] of Object.entries(SAMPLES)) {
  test(`${name} gives lists, objects, numbers and texts`, () => {
    const bytes = Buffer.from(text, 'latin1');
    assert.deepEqual(read(bytes), [{ ref_id: 5, sent: 'caf\u00e9', box: [1.5, -2] }]);
    for (let length = 0; length < bytes.length; length++) {
      assert.throws(() => read(bytes.subarray(0, length)), /truncated file/, `cut at ${length}`);
    }
  });
}

test('a class is refused by its name, and so is more than the limit', () => {
  assert.throws(() => read(Buffer.from("cos\nsystem\n(S'true'\ntR.")), /holds an object of the class os\.system/);
  assert.throws(() => read(Buffer.from(`(l${'I1\na'.repeat(600)}.`)), /too many values/);
});

test('what is shared stays shared: a small pickle is no large value', () => {
  const levels = 60;
  // Each list holds the one before twice: 2^60 items, were they copied.
  const doubled = Array.from({ length: levels }, (_, i) => `0(lp${i + 1}\ng${i}\nag${i}\na`);
  const value = read(Buffer.from(`(lp0\n${doubled.join('')}.`));
  let depth = 0;
  for (let at = value as unknown[]; at.length > 0; at = at[0] as unknown[]) {
    assert.equal(at[0], at[1]);
    depth++;
  }
  assert.equal(depth, levels);
});
