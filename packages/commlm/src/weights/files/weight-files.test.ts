/** The files of weights in a folder: which are read, and in which order. */
import assert from 'node:assert/strict';
import { copyFileSync, cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { io, scope } from '@commlm/torch';
import { withStrictScopes } from '@commlm/torch/testing';
import { CommError } from '../../config/errors.js';
import { WeightFiles } from './weight-files.js';

// Written by torch.save and safetensors (tools/golden/torch_weights.py), the same tensors in each.
const golden = fileURLToPath(new URL('../../../../../tests/golden/torch-weights', import.meta.url));
const expected = join(golden, 'expected.safetensors');
const root = mkdtempSync(join(tmpdir(), 'weight-files-'));
after(() => rmSync(root, { recursive: true, force: true }));

const folderWith = (...names: string[]): string => {
  const folder = mkdtempSync(join(root, 'folder-'));
  for (const name of names) copyFileSync(expected, join(folder, name));
  return folder;
};

/** Checks that a source has the expected tensors, below `prefix`. */
function assertExpected(path: string, prefix = ''): void {
  withStrictScopes(() =>
    scope(() => {
      using files = WeightFiles.open(path);
      using wanted = io.openSafetensors(expected);
      assert.deepEqual(
        files.keys.filter((key) => key.startsWith(prefix)).sort(),
        wanted.keys.map((key) => prefix + key).sort(),
      );
      for (const key of wanted.keys) {
        assert.deepEqual(files.info(prefix + key), wanted.info(key), key);
        const [got, want] = [files.tensor(prefix + key), wanted.tensor(key)];
        assert.equal(got.dtype, want.dtype, key);
        assert.deepEqual(got.to('f32').contiguous().toBytes(), want.to('f32').toBytes(), key);
      }
    }),
  );
}

for (const folder of ['single', 'legacy', 'sharded', 'trainer', 'lightning']) {
  test(`torch files hold the same tensors: ${folder}`, () => assertExpected(join(golden, folder)));
}

test('parts below the state dict become prefixes', () => {
  assertExpected(join(golden, 'parts'), 'llm.');
  using files = WeightFiles.open(join(golden, 'parts'));
  assert.deepEqual(files.info('projector.0.weight').shape, [2, 2]);
});

test('a file of weights is opened as it is', () => {
  assertExpected(join(golden, 'trainer', 'checkpoint.pth'));
  assertExpected(expected);
});

test('safetensors go before torch files, conventional names before others', () => {
  const both = folderWith('model.safetensors', 'open_clip_model.safetensors');
  cpSync(join(golden, 'sharded'), both, { recursive: true });
  assert.equal(WeightFiles.open(both).name, join(both, 'model.safetensors'));
  const torch = folderWith('open_clip_model.safetensors');
  cpSync(join(golden, 'sharded'), torch, { recursive: true });
  assert.equal(WeightFiles.open(torch).name, join(torch, 'pytorch_model.bin.index.json'));
  const odd = folderWith('open_clip_model.safetensors', 'training_args.bin', 'adapter_model.safetensors');
  assert.equal(WeightFiles.open(odd).name, join(odd, 'open_clip_model.safetensors'));
});

test('what is no set of weights is refused by name', () => {
  const broken = folderWith();
  cpSync(join(golden, 'sharded'), broken, { recursive: true });
  rmSync(join(broken, 'pytorch_model-00002-of-00002.bin'));
  const damaged = folderWith();
  writeFileSync(join(damaged, 'pytorch_model.bin'), 'PK\u0003\u0004 and nothing else');
  const cases: [string, string, RegExp][] = [
    [broken, 'weights/missing-file', /pytorch_model-00002-of-00002\.bin is missing/],
    [damaged, 'weights/bad-file', /pytorch_model\.bin/],
    [join(golden, 'no-tensors'), 'weights/bad-file', /holds no named tensors/],
    [join(golden, 'two-states'), 'weights/bad-file', /two state dicts, 'state_dict' and 'model'/],
    [folderWith(), 'weights/missing-file', /no weights/],
    [folderWith('a.safetensors', 'b.safetensors'), 'weights/ambiguous', /a\.safetensors, b\.safetensors/],
  ];
  for (const [path, code, message] of cases) {
    assert.throws(
      () => WeightFiles.open(path),
      (error) => error instanceof CommError && error.code === code && message.test(error.message),
      path,
    );
  }
});
