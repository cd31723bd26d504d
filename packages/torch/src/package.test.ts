/** What the README promises: the example learns. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = new URL('../', import.meta.url);
const read = (name: string) => readFileSync(new URL(name, root), 'utf8');

test('the training example of the README is the file in examples, and its loss falls', () => {
  const example = read('examples/train.mjs');
  const [, shown] = /```js\n([\s\S]*?)```/.exec(read('README.md')) ?? [];
  assert.equal(shown, example);
  const output = execFileSync(process.execPath, [fileURLToPath(new URL('examples/train.mjs', root))], {
    encoding: 'utf8',
    env: { ...process.env, OMP_NUM_THREADS: '1' },
  });
  const losses = [...output.matchAll(/loss ([\d.]+)/g)].map((match) => Number(match[1]));
  assert.equal(losses.length, 6);
  const [first, last] = [losses[0]!, losses.at(-1) as number];
  assert.ok(first > 0.6 && last < 0.15, `from ${first} to ${last}`);
});
