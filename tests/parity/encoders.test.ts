/** Every picture encoder agrees with the library that wrote its folder; `npm run parity` prints the same as a table. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goldenEncoders, measureEncoder } from './encoders.js';

test('there is a golden encoder of each kind', () => {
  const kinds = [
    'siglip',
    'siglip-rest',
    'vit',
    'mae',
    'deit',
    'dinov3',
    'dinov3-gated',
    'timm-deit3',
    'timm-eva02-clip',
    'open-clip',
  ];
  for (const kind of kinds) assert.ok(goldenEncoders().includes(kind), `${kind} is missing`);
});

for (const name of goldenEncoders()) {
  test(`${name} agrees with the reference`, async () => {
    const rows = await measureEncoder(name);
    assert.ok(rows.length >= 2, 'pixels and hidden states are compared');
    for (const { quantity, difference, bound, ok } of rows) {
      assert.ok(ok, `${quantity} differs by ${difference}, more than ${bound}`);
    }
  });
}
