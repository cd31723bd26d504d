/** A model with untrained parts: refused by name until it is asked for, shown by inspect; dtype changes are said. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { commlm } from '../helpers/cli.js';
import { writePicture } from '../helpers/pictures.js';
import { makeTinyModel } from '../helpers/tiny-model.js';

let folder = '';
let model = '';
let picture = '';

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'commlm-untrained-'));
  model = makeTinyModel();
  const path = join(model, 'config.json');
  const json = JSON.parse(readFileSync(path, 'utf8')) as object;
  writeFileSync(path, JSON.stringify({ ...json, untrained: ['vision.encoders.1.align', 'projector'] }));
  picture = await writePicture(join(folder, 'picture.png'), 40, 40);
});

after(() => {
  rmSync(folder, { recursive: true });
  rmSync(model, { recursive: true });
});

const ask = ['ask', '--max-new-tokens', '2', '--json'];

test('ask refuses untrained parts by name, and runs them with --allow-untrained', async () => {
  const refused = await commlm([...ask, '--model', model, picture, 'What is this?']);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /align\.1, projector are untrained/);
  assert.match(refused.stderr, /--allow-untrained/);
  const { error } = JSON.parse(refused.stdout) as { error: { code: string } };
  assert.equal(error.code, 'model/untrained');
  const allowed = await commlm([...ask, '--model', model, picture, 'What is this?', '--allow-untrained']);
  assert.equal(allowed.code, 0, allowed.stderr);
});

test('batch refuses before it writes anything', async () => {
  const input = join(folder, 'in.jsonl');
  writeFileSync(input, `${JSON.stringify({ id: 1, image: picture, question: 'What?' })}\n`);
  const { code, stderr } = await commlm(['batch', '--model', model, input, join(folder, 'out.jsonl')]);
  assert.equal(code, 1);
  assert.match(stderr, /untrained/);
});

test('inspect shows what is untrained', async () => {
  const { stdout } = await commlm(['inspect', model, '--json']);
  const { untrained } = JSON.parse(stdout) as { untrained: string[] };
  assert.deepEqual(untrained, ['vision.encoders.1.align', 'projector']);
  assert.match((await commlm(['inspect', model])).stdout, /untrained, with fresh weights: align\.1, projector/);
});

test('another number format than the stored one is said in one line', async () => {
  const args = [...ask, '--model', model, picture, 'What is this?', '--allow-untrained'];
  const same = await commlm(args);
  assert.doesNotMatch(same.stderr, /are stored as/);
  const other = await commlm([...args, '--dtype', 'bf16']);
  assert.match(other.stderr, /weights are stored as f32 and run as bf16/);
});
